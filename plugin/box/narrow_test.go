package box_test

import (
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/plugin/box"
	"github.com/boxconnection/connector/proto/connector"
)

// An answer that isn't narrowed as asked is never handed out: a service that
// ignores the resource answers with everything.
func TestNarrowedOrNothing(t *testing.T) {
	t.Parallel()
	const issued = `"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"`
	object := `"object":{"type":"file","id":"42"}`
	for name, c := range map[string]struct {
		answer, resource string
		good             bool
	}{
		"as asked":           {`{"access_token":"1!N","expires_in":100,"restricted_to":[{"scope":"item_preview",` + object + `}]}`, "/files/42", true},
		"in parts":           {`{"access_token":"1!N","restricted_to":[{"scope":"item_preview",` + object + `},{"scope":"item_download",` + object + `}]}`, "/files/42", true},
		"another thing":      {`{"access_token":"1!N","restricted_to":[{"scope":"item_preview","object":{"type":"file","id":"43"}}]}`, "/files/42", false},
		"no thing":           {`{"access_token":"1!N","restricted_to":[{"scope":"item_preview"}]}`, "/files/42", false},
		"partly another":     {`{"access_token":"1!N","restricted_to":[{"scope":"item_preview",` + object + `},{"scope":"item_download"}]}`, "/files/42", false},
		"not restricted":     {`{"access_token":"1!N","restricted_to":[],` + issued + `}`, "/files/42", false},
		"scopes alone":       {`{"access_token":"1!N","restricted_to":[{"scope":"item_preview"}]}`, "", true},
		"by the scope field": {`{"access_token":"1!N","scope":"item_preview"}`, "", true},
		"by the type":        {`{"access_token":"1!N","restricted_to":[],` + issued + `}`, "", true},
		"more scopes":        {`{"access_token":"1!N","restricted_to":[{"scope":"item_preview"},{"scope":"root_readwrite"}]}`, "", false},
		"more in the field":  {`{"access_token":"1!N","scope":"item_preview root_readwrite"}`, "", false},
		"nothing told":       {`{"access_token":"1!N"}`, "", false},
		"the same token":     {`{"access_token":"AT1","restricted_to":[{"scope":"item_preview"}]}`, "", false},
		"unreadable":         {`{"access_token":"1!N","restricted_to":"item_preview"}`, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, saysJSON(200, c.answer))
			req := plugin.NarrowRequest{Settings: settingsFor(s.URL), Access: testAccess(), Scopes: []string{"item_preview", "item_download"}}
			if c.resource != "" {
				req.Resource = s.URL + "/2.0" + c.resource
			}
			a, err := box.New(at(noon)).Narrow(t.Context(), req)
			form := s.only(t).form(t)
			for name, want := range map[string]string{
				"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": "AT1",
				"subject_token_type": "urn:ietf:params:oauth:token-type:access_token", "scope": "item_preview item_download",
				"resource": req.Resource, "client_id": clientID, "client_secret": clientSecret,
			} {
				if got := form.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if !c.good {
				wantCode(t, err, connector.UnexpectedAnswer)
				if a != nil {
					t.Error("access was handed out all the same")
				}
				return
			}
			if err != nil || a.Token.Reveal() != "1!N" || !a.Scopes.Known {
				t.Errorf("got %+v, %v", a, err)
			}
		})
	}
}

func wantCode(t *testing.T, err error, code connector.Code) {
	t.Helper()
	if d := diagnosticOf(t, err); d.Code != code || d.Suggestion == "" {
		t.Errorf("got %v, want %s", d, code)
	}
}

// Narrowed access ends with its parent at the latest, on the host's clock.
func TestNarrowedAccessEndsWithItsParent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parent  time.Duration // 0 for unknown
		answer  string
		expires time.Duration
	}{
		"own":            {time.Hour, `,"expires_in":100`, 100 * time.Second},
		"parent's":       {time.Minute, `,"expires_in":100`, time.Minute},
		"own unknown":    {time.Minute, ``, time.Minute},
		"parent unknown": {0, `,"expires_in":100`, 100 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, saysJSON(200, `{"access_token":"1!N","restricted_to":[{"scope":"item_preview"}]`+c.answer+`}`))
			parent := testAccess()
			parent.IssuedAt = noon.Add(-time.Hour)
			if c.parent != 0 {
				parent.ExpiresAt = noon.Add(c.parent)
			}
			a, err := box.New(at(noon.Add(5*time.Hour))).Narrow(t.Context(), plugin.NarrowRequest{
				Settings: settingsFor(s.URL), Access: parent, Scopes: []string{"item_preview"}, Now: noon,
			})
			if err != nil || !a.ExpiresAt.Equal(noon.Add(c.expires)) || a.RenewAt.After(a.ExpiresAt) || !a.ExpiresAt.After(a.IssuedAt) {
				t.Errorf("got %+v, %v", a, err)
			}
		})
	}
}

func TestNarrowingThatCantBeMeant(t *testing.T) {
	t.Parallel()
	s := newService(t, saysJSON(200, `{}`))
	api := s.URL + "/2.0"
	for name, req := range map[string]plugin.NarrowRequest{
		"no access":      {Scopes: []string{"item_preview"}},
		"no scope":       {Access: testAccess()},
		"two in one":     {Access: testAccess(), Scopes: []string{"item_preview item_download"}},
		"empty scope":    {Access: testAccess(), Scopes: []string{""}},
		"a web page":     {Access: testAccess(), Scopes: []string{"item_preview"}, Resource: "https://app.box.com/file/42"},
		"the API itself": {Access: testAccess(), Scopes: []string{"item_preview"}, Resource: api + "/"},
		"a way out":      {Access: testAccess(), Scopes: []string{"item_preview"}, Resource: api + "/../files/42"},
		"hidden way out": {Access: testAccess(), Scopes: []string{"item_preview"}, Resource: api + "/%2e%2e/files/42"},
		"a look-alike":   {Access: testAccess(), Scopes: []string{"item_preview"}, Resource: s.URL + "/2.0x/files/42"},
	} {
		req.Settings = settingsFor(s.URL)
		_, err := box.New().Narrow(t.Context(), req)
		if d := diagnosticOf(t, err); d.Code != connector.UsageWrong || d.Suggestion == "" {
			t.Errorf("%s: %v", name, d)
		}
	}
	if len(s.all()) != 0 {
		t.Error("the service was asked")
	}
}
