package plugin_test

import (
	"testing"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

func TestDescriptionsThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*connector.Description){
		"no ID":               func(d *connector.Description) { d.ID = "" },
		"bad ID":              func(d *connector.Description) { d.ID = "Box" },
		"no title":            func(d *connector.Description) { d.Title = "" },
		"no version":          func(d *connector.Description) { d.Version = "" },
		"no sign-in":          func(d *connector.Description) { d.SignIns = nil },
		"sign-in not offered": func(d *connector.Description) { d.SignIns = []connector.SignIn{connector.SignInNone} },
		"no schema":           func(d *connector.Description) { d.Schema = nil },
		"no format":           func(d *connector.Description) { d.CredentialWrites = 0 },
		"can't read its own":  func(d *connector.Description) { d.CredentialReads = []uint32{1} },
		"check without title": func(d *connector.Description) { d.Checks[0].Title = "" },
		"check twice":         func(d *connector.Description) { d.Checks[1].ID = d.Checks[0].ID },
		"later parent":        func(d *connector.Description) { d.Checks[0].DependsOn = []string{"token"} },
		"too many checks":     func(d *connector.Description) { d.Checks = make([]connector.CheckDeclaration, handshake.MaxChecks+1) },
	} {
		d := (&full{}).Describe()
		change(&d)
		if _, err := plugin.NewServer(&full{describe: func() connector.Description { return d }}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// A schema outside the subset is the author's fault and not the person's.
func TestBrokenSchema(t *testing.T) {
	t.Parallel()
	d := (&full{}).Describe()
	d.Schema = []byte(`{"type": "array"}`)
	c := dial(t, &full{describe: func() connector.Description { return d }})
	_, err := c.ValidateSettings(t.Context(), &connectorv1.ValidateSettingsRequest{Settings: settings})
	if got := diagnose(err); got.Code != connector.PluginContractBroken || got.Origin != connector.OriginConnector {
		t.Errorf("got %v", got)
	}
}
