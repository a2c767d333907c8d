package box_test

import (
	"slices"
	"testing"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/plugin/box"
)

// The descriptor follows the subset that every renderer shows, and has the two
// tabs that a person expects.
func TestDescriptorFollowsTheSubset(t *testing.T) {
	t.Parallel()
	if _, err := plugin.NewServer(box.New()); err != nil {
		t.Fatal(err)
	}
	d := box.New().Describe()
	if findings := descriptor.Lint(d.Schema, d.Layout); len(findings) != 0 {
		t.Fatalf("findings: %v", findings)
	}
	parsed, err := descriptor.Parse(d.Schema, d.Layout)
	if err != nil {
		t.Fatal(err)
	}
	settings := parsed.Normalize(descriptor.Settings{"client_id": " id\n"})
	for name, want := range map[string]string{
		"connection_type": "oauth2",
		"authorize_url":   "https://account.box.com/api/oauth2/authorize",
		"token_url":       "https://api.box.com/oauth2/token",
		"revoke_url":      "https://api.box.com/oauth2/revoke",
		"api_url":         "https://api.box.com/2.0",
		"upload_url":      "https://upload.box.com/api/2.0",
		"client_id":       "id",
	} {
		if settings[name] != want {
			t.Errorf("%s is %q, want %q", name, settings[name], want)
		}
	}
	tabs := map[string][]string{}
	for _, f := range parsed.Fields() {
		tabs[f.Tab] = append(tabs[f.Tab], f.Name)
		switch f.Name {
		case "client_secret":
			if !f.Secret || !f.RequiredIn(settings) {
				t.Error("client_secret isn't a required secret")
			}
		case "client_id":
			if f.Secret || !f.RequiredIn(settings) {
				t.Error("client_id isn't required, or is a secret")
			}
		case "access_token":
			if !f.ReadOnly || f.Action != "generate" {
				t.Error("access_token isn't a status with the action generate")
			}
		case "callback_url":
			if !f.ReadOnly || f.Action != "copy" {
				t.Error("callback_url can't be copied")
			}
		}
		if f.Destination != (f.Group == "Advanced") || f.Destination != f.Advanced {
			t.Errorf("%s: the destinations, and they alone, belong to Advanced", f.Name)
		}
	}
	if want := []string{"callback_url", "client_id", "client_secret", "scopes", "access_token"}; !slices.Equal(tabs["OAuth 2.0"], want) {
		t.Errorf("tab OAuth 2.0 has %v, want %v", tabs["OAuth 2.0"], want)
	}
}
