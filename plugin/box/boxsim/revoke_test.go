package boxsim_test

import (
	"net/http"
	"testing"
)

func (s *sim) revoke(token string) reply {
	s.t.Helper()
	return s.must(s.form(s.info.RevokeURL, s.tokenForm("token", token)))
}

func TestRevokeKillsBothTokens(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	for name, choose := range map[string]func(tokens) string{
		"access":  func(p tokens) string { return p.access },
		"refresh": func(p tokens) string { return p.refresh },
	} {
		p := s.signIn("ada@acme.example")
		other := s.signIn("ada@acme.example")
		if r := s.revoke(choose(p)); r.status != http.StatusOK || r.body != "" {
			t.Errorf("%s: %d %q", name, r.status, r.body)
		}
		if s.works(p.access) {
			t.Errorf("%s: the access token must be dead", name)
		}
		wantOAuth(t, s.refresh(p.refresh), http.StatusBadRequest, "invalid_grant", "Invalid refresh token")
		if !s.works(other.access) {
			t.Errorf("%s: another sign-in must live", name)
		}
	}
}

func TestRevokeReachesPendingPairs(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	first := s.signIn("ada@acme.example")
	second := s.renewed(first.refresh)
	s.revoke(first.refresh)
	for _, token := range []string{first.access, second.access} {
		if s.works(token) {
			t.Error("all access tokens of the grant must be dead")
		}
	}
	if r := s.refresh(second.refresh); r.get("error") != "invalid_grant" {
		t.Errorf("pending refresh token: %d %s", r.status, r.body)
	}
}

func TestRevokeRefusals(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	p := s.signIn("ada@acme.example")
	for name, tc := range map[string]struct {
		pairs             []string
		code, description string
	}{
		"no client":    {[]string{"client_id", ""}, "invalid_request", "Client id was not found in the headers or body"},
		"other client": {[]string{"client_id", "x"}, "invalid_request", "The client is invalid"},
		"secret":       {[]string{"client_secret", "x"}, "invalid_client", "The client credentials are invalid"},
		"no token":     {[]string{"token", ""}, "invalid_request", "Invalid grant_type parameter or parameter missing"},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.must(s.form(s.info.RevokeURL, s.tokenForm(append([]string{"token", p.refresh}, tc.pairs...)...)))
			wantOAuth(t, r, http.StatusBadRequest, tc.code, tc.description)
		})
	}
	if r := s.revoke("unknown"); r.status != http.StatusOK {
		t.Errorf("a token that isn't known: %d", r.status)
	}
	s.renewed(p.refresh) // a refused revocation kills nothing
}
