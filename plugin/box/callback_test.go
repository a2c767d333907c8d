package box_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/plugin/box"
	"github.com/boxconnection/connector/proto/connector"
)

// What may come back from the browser, and what each means. Nothing but a good
// callback reaches the service.
func TestCallbacks(t *testing.T) {
	t.Parallel()
	const registered = "http://localhost:8765/callback"
	for name, c := range map[string]struct {
		callback    string
		code        connector.Code // "" for success
		disposition connector.Disposition
	}{
		"good":                 {registered + "?code=C&state=S", "", ""},
		"other parameters":     {registered + "?base_domain=app.box.com&code=C&state=S&x=1&x=2", "", ""},
		"fragment":             {registered + "?code=C&state=S#_=_", "", ""},
		"denied":               {registered + "?error=access_denied&state=S", connector.AuthorizationDenied, connector.SignInAgain},
		"denied, in words":     {registered + "?error=access_denied&error_description=canary+text&state=S", connector.AuthorizationDenied, connector.SignInAgain},
		"scope":                {registered + "?error=invalid_scope", connector.ScopeMissing, connector.FixSettings},
		"app":                  {registered + "?error=unauthorized_client", connector.ClientUnauthorized, connector.FixSettings},
		"redirect URI":         {registered + "?error=redirect_uri_mismatch", connector.RedirectURIRejected, connector.FixSettings},
		"blocked":              {registered + "?error=service_blocked", connector.ApplicationBlocked, connector.AskAdministrator},
		"busy":                 {registered + "?error=temporarily_unavailable", connector.ServiceUnavailable, connector.Retry},
		"unknown error":        {registered + "?error=canary_error", connector.ServiceRefused, ""},
		"hostile error":        {registered + "?error=%3Cscript%3Ecanary", connector.ServiceRefused, ""},
		"empty error":          {registered + "?error=&state=S", connector.ServiceRefused, ""},
		"code and error":       {registered + "?code=C&error=access_denied", connector.AuthorizationInvalid, connector.SignInAgain},
		"two codes":            {registered + "?code=C&code=D&state=S", connector.AuthorizationInvalid, connector.SignInAgain},
		"two states":           {registered + "?code=C&state=S&state=T", connector.AuthorizationInvalid, connector.SignInAgain},
		"two errors":           {registered + "?error=access_denied&error=x", connector.AuthorizationInvalid, connector.SignInAgain},
		"nothing":              {registered, connector.AuthorizationInvalid, connector.SignInAgain},
		"empty code":           {registered + "?code=&state=S", connector.AuthorizationInvalid, connector.SignInAgain},
		"unreadable":           {registered + "?code=%zz", connector.AuthorizationInvalid, connector.SignInAgain},
		"slash at the end":     {registered + "/?code=C&state=S", connector.AuthorizationInvalid, connector.SignInAgain},
		"other name of host":   {"http://127.0.0.1:8765/callback?code=C&state=S", connector.AuthorizationInvalid, connector.SignInAgain},
		"other port":           {"http://localhost:8766/callback?code=C&state=S", connector.AuthorizationInvalid, connector.SignInAgain},
		"other scheme":         {"https://localhost:8765/callback?code=C&state=S", connector.AuthorizationInvalid, connector.SignInAgain},
		"code in the fragment": {registered + "#code=C&state=S", connector.AuthorizationInvalid, connector.SignInAgain},
		"too long":             {registered + "?code=" + strings.Repeat("C", 20<<10), connector.AuthorizationInvalid, connector.SignInAgain},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, saysJSON(200, goodPair))
			con := box.New(at(noon))
			settings := settingsFor(s.URL)
			done, err := complete(t, con, settings, begin(t, con, settings, registered), c.callback)
			if c.code == "" {
				if err != nil || done.Credential.IsZero() || s.only(t).form(t).Get("code") != "C" {
					t.Errorf("got %v", err)
				}
				return
			}
			wantDiagnostic(t, err, c.code, c.disposition)
			d := diagnosticOf(t, err)
			if strings.Contains(d.Error(), "text") || strings.Contains(d.Error(), "<") {
				t.Errorf("the page's text is shown: %s", d)
			}
			if len(s.all()) != 0 {
				t.Error("the service was asked")
			}
		})
	}
}

// A redirect URI with a query of its own is used byte for byte.
func TestRedirectURIWithAQuery(t *testing.T) {
	t.Parallel()
	const registered = "https://engine.example/cb?owner=a%20b"
	s := newService(t, saysJSON(200, goodPair))
	c := box.New(at(noon))
	settings := settingsFor(s.URL)
	begun := begin(t, c, settings, registered)
	u, err := url.Parse(begun.URL)
	if err != nil || u.Query().Get("redirect_uri") != registered {
		t.Errorf("%s, %v", begun.URL, err)
	}
	if _, err := complete(t, c, settings, begun, registered+"&code=C&state=S"); err != nil {
		t.Fatal(err)
	}
	if got := s.only(t).form(t).Get("redirect_uri"); got != registered {
		t.Errorf("exchanged with %q", got)
	}
}

func TestSignInThatTookTooLong(t *testing.T) {
	t.Parallel()
	s := newService(t, saysJSON(200, goodPair))
	c := box.New(at(noon))
	settings := settingsFor(s.URL)
	begun := begin(t, c, settings, redirectURI)
	_, err := c.CompleteAuthorization(t.Context(), plugin.CompleteRequest{
		Settings: settings, Pending: begun.Pending, CallbackURL: connector.NewSecret(goodCallback()), Now: noon.Add(10*time.Minute + 1),
	})
	wantDiagnostic(t, err, connector.AuthorizationExpired, connector.SignInAgain)
	for _, pending := range []string{"", "{}", `{"format":2}`, "x", strings.Repeat(" ", 20<<10)} {
		_, err := c.CompleteAuthorization(t.Context(), plugin.CompleteRequest{
			Settings: settings, Pending: connector.NewSecret(pending), CallbackURL: connector.NewSecret(goodCallback()), Now: noon,
		})
		wantDiagnostic(t, err, connector.AuthorizationInvalid, connector.SignInAgain)
	}
	if len(s.all()) != 0 {
		t.Error("the service was asked")
	}
}

// An exchange is made once, and what to do after a passing failure is a new
// sign-in, since the code is good for one try.
func TestExchangeIsNotRepeated(t *testing.T) {
	t.Parallel()
	s := newService(t, says(503, "text/html", "<html>"))
	c := box.New(at(noon))
	settings := settingsFor(s.URL)
	_, err := complete(t, c, settings, begin(t, c, settings, redirectURI), goodCallback())
	wantDiagnostic(t, err, connector.ServiceUnavailable, connector.Retry)
	if d := diagnosticOf(t, err); !strings.Contains(d.Suggestion, "start the sign-in again") {
		t.Errorf("suggestion: %s", d.Suggestion)
	}
	s.only(t)
}
