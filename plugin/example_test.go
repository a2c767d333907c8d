package plugin_test

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
)

// keyed is a connector for a service that takes an API key.
type keyed struct{}

func (keyed) Describe() connector.Description {
	return connector.Description{
		ID: "keyed", Title: "A service with keys", Version: "1.0.0",
		SignIns: []connector.SignIn{connector.SignInNone},
		Schema: []byte(`{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "title": "Keyed",
			"additionalProperties": false, "properties": {
			"api_key": {"type": "string", "title": "API key", "format": "password", "writeOnly": true}}}`),
		Layout: []byte(`{"type": "Categorization", "elements": [{"type": "Category", "label": "Connection", "elements": [
			{"type": "Control", "scope": "#/properties/api_key", "options": {"format": "password"}}]}]}`),
		Checks:          []connector.CheckDeclaration{{ID: "key", Title: "Key is given", SideEffect: connector.SideEffectNone}},
		CredentialReads: []uint32{1}, CredentialWrites: 1,
	}
}

func (keyed) Open(_ context.Context, req plugin.OpenRequest) (plugin.Opened, error) {
	var settings struct {
		APIKey string `json:"api_key"`
	}
	if err := req.Settings.Decode(&settings); err != nil {
		return plugin.Opened{}, err
	}
	return plugin.Opened{Access: &connector.Access{
		Token: connector.NewSecret(settings.APIKey), Type: "ApiKey", IssuedAt: req.Now,
		Endpoints: map[string]string{"api": "https://api.example.com/v1"},
	}}, nil
}

func (k keyed) Test(ctx context.Context, req plugin.TestRequest) iter.Seq[connector.Check] {
	return plugin.RunChecks(ctx, k.Describe().Checks, map[string]plugin.CheckFunc{
		"key": func(context.Context) connector.Check {
			if req.Access == nil {
				return plugin.Skipped("There is no access yet.")
			}
			return plugin.Passed("The key is there.")
		},
	})
}

// A connector's main function is one line.
func Example() {
	main := func() { plugin.Main(keyed{}) }
	_ = main
}

func ExampleRunChecks() {
	for check := range (keyed{}).Test(context.Background(), plugin.TestRequest{Access: &connector.Access{IssuedAt: time.Now()}}) {
		fmt.Println(check.Title, check.Status, check.Message)
	}
	// Output: Key is given passed The key is there.
}
