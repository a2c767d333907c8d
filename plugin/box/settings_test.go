package box_test

import (
	"testing"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/plugin/box"
	"github.com/boxconnection/connector/proto/connector"
)

// Secrets go to https, or to this machine; each bad place is named by its
// field, and no call is made with one.
func TestDestinations(t *testing.T) {
	t.Parallel()
	for value, good := range map[string]bool{
		"https://box.example/x":      true,
		"http://localhost:8080/x":    true,
		"http://127.0.0.1/x":         true,
		"http://[::1]:8080/x":        true,
		"http://box.example/x":       false,
		"http://localhost.example/x": false,
		"ftp://box.example/x":        false,
		"https:///x":                 false,
		"box.example":                false,
		"https://u:p@box.example/x":  false,
		"https://box.example/x#y":    false,
		"https://box.example/x?y=z":  false,
		"https://box.example:port/x": false,
		"https://box.example/%zz":    false,
	} {
		for _, field := range []string{"token_url", "revoke_url", "api_url", "upload_url"} {
			settings := settingsFor("https://box.example", field, value)
			found := box.Invalid(settings)
			if (len(found) == 0) != good {
				t.Errorf("%s = %s: %v", field, value, found)
			}
			if good {
				continue
			}
			if len(found) == 1 && found[0].Pointer != "/"+field {
				t.Errorf("%s = %s: it points at %s", field, value, found[0].Pointer)
			}
			_, err := box.New().BeginAuthorization(t.Context(), plugin.BeginRequest{
				Settings: settings, RedirectURI: redirectURI, State: connector.NewSecret("s"), Now: noon,
			})
			wantDiagnostic(t, err, connector.SettingInvalid, connector.FixSettings)
		}
	}
	if found := box.Invalid(settingsFor("https://box.example", "authorize_url", "https://ent.box.com/api/oauth2/authorize?box_login=x")); len(found) != 0 {
		t.Errorf("the sign-in page may have a query: %v", found)
	}
}

// A draft may be incomplete, a call may not.
func TestMissingSettings(t *testing.T) {
	t.Parallel()
	for _, field := range []string{"client_id", "client_secret", "token_url", "api_url"} {
		settings := settingsFor("https://box.example", field, "")
		if found := box.Invalid(settings); len(found) != 0 {
			t.Errorf("%s: %v", field, found)
		}
		err := box.New().Revoke(t.Context(), plugin.RevokeRequest{Settings: settings, Credential: spent()})
		wantDiagnostic(t, err, connector.SettingRequired, connector.FixSettings)
		if d := diagnosticOf(t, err); d.Pointer != "/"+field {
			t.Errorf("%s: it points at %s", field, d.Pointer)
		}
	}
	for _, raw := range []string{"", "[]", "null x", `{"client_id":1}`} {
		_, err := box.New().Open(t.Context(), plugin.OpenRequest{Settings: plugin.Settings(raw), Credential: spent(), Now: noon})
		wantDiagnostic(t, err, connector.SettingsUnreadable, connector.FixSettings)
	}
}

func TestVersionIsTold(t *testing.T) {
	t.Parallel()
	if got := box.New(box.WithVersion("v1.2.3")).Describe().Version; got != "v1.2.3" {
		t.Errorf("version is %q", got)
	}
	if box.New(box.WithVersion("")).Describe().Version == "" {
		t.Error("without a version there is none at all")
	}
}
