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

// Secrets, codes and refresh tokens with +, /, %, & and = arrive as they are,
// in the body alone, in one request.
func TestRenewalOnTheWire(t *testing.T) {
	t.Parallel()
	s := newService(t, saysJSON(200, goodPair))
	opened, err := box.New(at(noon)).Open(t.Context(), renewRequest(s.URL))
	if err != nil {
		t.Fatal(err)
	}
	got := s.only(t)
	want := "client_id=client-id&client_secret=a%2Bb%2Fc%25Qd%26e%3Df+g&grant_type=refresh_token&refresh_token=re%2Bfresh%2F%2525%3D%26y"
	if got.body != want {
		t.Errorf("body is\n%s, want\n%s", got.body, want)
	}
	if got.method != "POST" || got.path != "/oauth2/token" || got.query != "" {
		t.Errorf("got %s %s?%s", got.method, got.path, got.query)
	}
	if got.header.Get("Content-Type") != "application/x-www-form-urlencoded" || got.header.Get("Authorization") != "" {
		t.Errorf("headers: %v", got.header)
	}
	a := opened.Access
	if a.Token.Reveal() != "AT2" || a.Type != "Bearer" || a.Scopes.Known || a.Generation != 0 {
		t.Errorf("access: %+v", a)
	}
	if a.Endpoints["api"] != s.URL+"/2.0" || a.Endpoints["upload"] != s.URL+"/api/2.0" {
		t.Errorf("endpoints: %v", a.Endpoints)
	}
	if !a.Refusal.EmptyBody || len(a.Refusal.ChallengeErrors) != 1 || a.Refusal.ChallengeErrors[0] != "invalid_token" {
		t.Errorf("refusal: %+v", a.Refusal)
	}
	if !a.IssuedAt.Equal(noon) || !a.ExpiresAt.Equal(noon.Add(3895*time.Second)) {
		t.Errorf("issued %v, expires %v", a.IssuedAt, a.ExpiresAt)
	}
	c := opened.Credential
	if fields := stored(t, c); fields["refresh_token"] != "RT2" || fields["access_token"] != "AT2" || c.Format != 1 {
		t.Errorf("credential: format %d, %v", c.Format, fields)
	}
	if !c.AccessExpiresAt.Equal(a.ExpiresAt) || !c.LapsesAt.Equal(noon.Add(60*24*time.Hour)) {
		t.Errorf("expires %v, lapses %v", c.AccessExpiresAt, c.LapsesAt)
	}
	again, err := box.New(at(noon)).Open(t.Context(), plugin.OpenRequest{Settings: settingsFor(s.URL), Credential: *c, Now: noon})
	if err != nil || again.Access.Token.Reveal() != "AT2" || again.Credential != nil {
		t.Errorf("the new credential doesn't open: %+v, %v", again, err)
	}
	s.only(t)
}

func TestSignInOnTheWire(t *testing.T) {
	t.Parallel()
	s := newService(t, saysJSON(200, goodPair))
	c := box.New(at(noon))
	settings := settingsFor(s.URL, "scopes", "root_readonly  manage_webhook")
	begun := begin(t, c, settings, redirectURI)
	u, err := url.Parse(begun.URL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for name, want := range map[string]string{
		"response_type": "code", "client_id": clientID, "redirect_uri": redirectURI, "state": "st=at/e+",
		"scope": "root_readonly manage_webhook", "code_challenge_method": "S256",
	} {
		if got := q.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !strings.HasPrefix(begun.URL, s.URL+"/api/oauth2/authorize?") || len(q.Get("code_challenge")) != 43 {
		t.Errorf("URL: %s", begun.URL)
	}
	if strings.Contains(begun.URL, "secret") || !begun.ExpiresAt.Equal(noon.Add(10*time.Minute)) {
		t.Errorf("URL %s, expires %v", begun.URL, begun.ExpiresAt)
	}
	done, err := complete(t, c, settings, begun, goodCallback())
	if err != nil {
		t.Fatal(err)
	}
	form := s.only(t).form(t)
	for name, want := range map[string]string{
		"grant_type": "authorization_code", "code": hardCode, "client_id": clientID, "client_secret": clientSecret, "redirect_uri": redirectURI,
	} {
		if got := form.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if len(form.Get("code_verifier")) < 43 || len(form) != 6 || s.only(t).header.Get("Authorization") != "" {
		t.Errorf("form: %v", form)
	}
	if fields := stored(t, &done.Credential); fields["refresh_token"] != "RT2" {
		t.Errorf("credential: %v", fields)
	}
	// Measured from the start of the request, on the host's clock.
	if want := noon.Add(time.Minute + 3895*time.Second); !done.Credential.AccessExpiresAt.Equal(want) {
		t.Errorf("expires %v, want %v", done.Credential.AccessExpiresAt, want)
	}
}

// Without scopes in the settings none are asked for: Box then grants what the
// app has.
func TestNoScopeIsAskedForUnlessSet(t *testing.T) {
	t.Parallel()
	begun := begin(t, box.New(), settingsFor("https://box.example"), redirectURI)
	if strings.Contains(begun.URL, "scope=") {
		t.Error(begun.URL)
	}
}

func TestRevocationOnTheWire(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status      int
		contentType string
		body        string
		code        connector.Code
		disposition connector.Disposition
	}{
		"done":           {200, "", "", "", ""},
		"gone":           {400, "application/json", `{"error":"invalid_grant","error_description":"Invalid refresh token"}`, "", ""},
		"gone, by token": {400, "application/json", `{"error":"invalid_token"}`, "", ""},
		"gone, in words": {400, "application/json", `{"error":"invalid_request","error_description":"The token is invalid"}`, "", ""},
		"client":         {400, "application/json", `{"error":"invalid_client"}`, connector.ClientRejected, connector.FixSettings},
		"client, in words": {400, "application/json", `{"error":"invalid_request","error_description":"The client is invalid"}`,
			connector.ClientRejected, connector.FixSettings},
		"busy":       {503, "text/html", "<html>", connector.ServiceUnavailable, connector.Retry},
		"proxy page": {403, "text/html", "<html>", connector.UnexpectedAnswer, connector.Retry},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, says(c.status, c.contentType, c.body))
			err := box.New().Revoke(t.Context(), plugin.RevokeRequest{Settings: settingsFor(s.URL), Credential: spent()})
			if got, want := s.only(t).body, "client_id=client-id&client_secret=a%2Bb%2Fc%25Qd%26e%3Df+g&token=re%2Bfresh%2F%2525%3D%26y"; got != want {
				t.Errorf("body is %s, want %s", got, want)
			}
			if c.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantDiagnostic(t, err, c.code, c.disposition)
		})
	}
}
