package boxsim_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin/box/boxsim"
	"github.com/google/go-cmp/cmp"
)

const exampleVerifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

func TestTokenAnswerIsBoxs(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	want := regexp.MustCompile(`^\{"access_token":"[0-9A-Za-z]{32}","expires_in":\d{4},"restricted_to":\[\],"refresh_token":"[0-9A-Za-z]{64}","token_type":"bearer"\}$`)
	r := s.token("grant_type", "authorization_code", "code", s.code("ada@acme.example"), "redirect_uri", "ignored")
	if r.status != http.StatusOK || !want.MatchString(r.body) || r.header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	seen := map[int64]bool{}
	for range 20 {
		n := expiresIn(t, s.token("grant_type", "authorization_code", "code", s.code("ada@acme.example")))
		if n < 3600 || n > 4200 {
			t.Errorf("expires_in is %d", n)
		}
		seen[n] = true
	}
	if len(seen) < 2 {
		t.Error("expires_in must vary")
	}
}

func TestTokenRequestForm(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	body := s.tokenForm("grant_type", "refresh_token", "refresh_token", "x").Encode()
	typed := func(kind, body string) *http.Request {
		req := s.request(http.MethodPost, s.info.TokenURL, body)
		req.Header.Set("Content-Type", kind)
		return req
	}
	for name, req := range map[string]*http.Request{
		"multipart":       typed("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\nrefresh_token\r\n--b--\r\n"),
		"JSON":            typed("application/json", `{"grant_type":"refresh_token"}`),
		"no type":         s.request(http.MethodPost, s.info.TokenURL, body),
		"query":           s.request(http.MethodPost, s.info.TokenURL+"?"+body, ""),
		"query of a form": s.form(s.info.TokenURL+"?"+body, url.Values{}),
		"grant type":      s.form(s.info.TokenURL, s.tokenForm("grant_type", "password")),
		"no code":         s.form(s.info.TokenURL, s.tokenForm("grant_type", "authorization_code")),
	} {
		t.Run(name, func(t *testing.T) {
			wantOAuth(t, s.must(req), http.StatusBadRequest, "invalid_request", "Invalid grant_type parameter or parameter missing")
		})
	}
	wantOAuth(t, s.token("grant_type", "refresh_token"), http.StatusBadRequest, "invalid_request", "No refresh token parameter found")
	for _, kind := range []string{"client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"} {
		wantOAuth(t, s.token("grant_type", kind), http.StatusBadRequest, "unauthorized_client", "The grant type is unauthorized for this client_id")
	}
}

func TestClientCredentialsBelongIntoTheBody(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	first := s.signIn("ada@acme.example")
	basic := s.form(s.info.TokenURL, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.refresh}})
	basic.SetBasicAuth(s.info.ClientID, s.info.ClientSecret)
	wantOAuth(t, s.must(basic), http.StatusBadRequest, "invalid_client", "The client credentials are invalid")
	for _, wrong := range [][2]string{{"client_id", "x"}, {"client_secret", "x"}, {"client_secret", ""}} {
		r := s.token("grant_type", "refresh_token", "refresh_token", first.refresh, wrong[0], wrong[1])
		wantOAuth(t, r, http.StatusBadRequest, "invalid_client", "The client credentials are invalid")
	}
	s.renewed(first.refresh) // a refused client spends nothing
}

func TestCode(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	exchange := func(code string) reply { return s.token("grant_type", "authorization_code", "code", code) }

	inTime := s.code("ada@acme.example")
	s.advance(29 * time.Second)
	first := exchange(inTime)
	if first.status != http.StatusOK {
		t.Fatalf("within 30 s: %s", first.body)
	}
	wantOAuth(t, exchange(inTime), http.StatusBadRequest, "invalid_grant", "Auth code doesn't exist or is invalid for the client")
	if !s.works(first.tokens().access) {
		t.Error("the reuse of a code must leave its tokens alive")
	}
	late := s.code("ada@acme.example")
	s.advance(30 * time.Second)
	wantOAuth(t, exchange(late), http.StatusBadRequest, "invalid_grant", "The authorization code has expired")
	wantOAuth(t, exchange("unknown"), http.StatusBadRequest, "invalid_grant", "Auth code doesn't exist or is invalid for the client")
	if c := s.counters(); c.CodesExchanged != 1 || c.CodesReused != 1 {
		t.Errorf("counters: %+v", c)
	}
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	s := newSim(t, withKnobs(func(k *boxsim.Knobs) { k.AccessLifetime = boxsim.Duration(10 * time.Second) }))
	r := s.token("grant_type", "authorization_code", "code", s.code("ada@acme.example"))
	if expiresIn(t, r) != 10 {
		t.Errorf("got %s", r.body)
	}
	first := r.tokens()
	s.advance(9 * time.Second)
	if !s.works(first.access) {
		t.Error("must work for ten seconds")
	}
	s.advance(time.Second)
	if r := s.api("/users/me", first.access); r.status != http.StatusUnauthorized || r.body != "" {
		t.Errorf("expired: %d %s", r.status, r.body)
	}
	s.advance(60*24*time.Hour - 11*time.Second)
	second := s.renewed(first.refresh)
	s.advance(60 * 24 * time.Hour)
	wantOAuth(t, s.refresh(second.refresh), http.StatusBadRequest, "invalid_grant", "Refresh token has expired")
}

func TestExpiresInCanBeAnything(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	for _, raw := range []string{"null", `"3600"`, "3600.0", "-5", "1e18", "0"} {
		s.set(func(k *boxsim.Knobs) { k.ExpiresIn = raw })
		r := s.token("grant_type", "authorization_code", "code", s.code("ada@acme.example"))
		if !strings.Contains(r.body, `"expires_in":`+raw+`,`) {
			t.Errorf("%s: %s", raw, r.body)
		}
	}
	s.set(func(k *boxsim.Knobs) { k.ExpiresIn, k.OmitRefreshToken = boxsim.AbsentExpiresIn, true })
	r := s.token("grant_type", "authorization_code", "code", s.code("ada@acme.example"))
	if strings.Contains(r.body, "expires_in") || strings.Contains(r.body, "refresh_token") || !s.works(r.get("access_token")) {
		t.Errorf("left out: %s", r.body)
	}
}

func TestPKCEIsRecordedAndCanBeEnforced(t *testing.T) {
	t.Parallel()
	s := newSim(t, autoConsent)
	challenge := []string{"code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method", "S256"}
	exchange := func(verifier string) reply {
		return s.token("grant_type", "authorization_code", "code", s.code("", challenge...), "code_verifier", verifier)
	}
	for _, enforce := range []bool{false, true} {
		s.set(func(k *boxsim.Knobs) { k.EnforcePKCE = enforce })
		if err := s.ctl.ResetRequests(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := exchange(exampleVerifier); r.status != http.StatusOK {
			t.Errorf("enforced %v: %s", enforce, r.body)
		}
		for _, wrong := range []string{"wrong", ""} {
			if r := exchange(wrong); (r.status != http.StatusOK) != enforce {
				t.Errorf("enforced %v: verifier %q gives %d", enforce, wrong, r.status)
			}
		}
		var got []string
		for _, r := range s.wait(boxsim.RequestQuery{}, 6) {
			got = append(got, r.PKCE)
		}
		if diff := cmp.Diff([]string{"S256", "match", "S256", "mismatch", "S256", "missing"}, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestTokenRate(t *testing.T) {
	t.Parallel()
	s := newSim(t, withKnobs(func(k *boxsim.Knobs) { k.TokenRate = 2 }))
	first := s.signIn("ada@acme.example")
	s.renewed(first.refresh)
	r := s.refresh(first.refresh)
	if r.status != http.StatusTooManyRequests || r.get("error") != "temporarily_unavailable" || r.header.Get("Retry-After") != "1" {
		t.Errorf("over the rate: %d %s %v", r.status, r.body, r.header)
	}
	s.advance(time.Second)
	s.renewed(first.refresh)
}

func TestDeactivatedUser(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	first := s.signIn("ben@acme.example")
	if err := s.ctl.Deactivate(t.Context(), "3300002"); err != nil {
		t.Fatal(err)
	}
	if r := s.refresh(first.refresh); r.get("error") != "account_deactivated" {
		t.Errorf("renewal: %d %s", r.status, r.body)
	}
	r := s.api("/users/me", first.access)
	if r.status != http.StatusUnauthorized || r.get("code") != "unauthorized" || r.header.Get("Www-Authenticate") != "" {
		t.Errorf("API: %d %s %v", r.status, r.body, r.header)
	}
	if err := s.ctl.Activate(t.Context(), "ben@acme.example"); err != nil {
		t.Fatal(err)
	}
	if !s.works(s.renewed(first.refresh).access) {
		t.Error("the tokens must come back with the user")
	}
}
