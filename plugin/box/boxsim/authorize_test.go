package boxsim_test

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

func TestConsent(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada := boxsim.Person{Client: s.hc}

	back, err := ada.Allow(t.Context(), s.authorizeURL("state", "a b&c=%"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(back, callback+"?") {
		t.Errorf("sent back to %s", back)
	}
	q := query(t, back)
	if q.Get("state") != "a b&c=%" || !regexp.MustCompile(`^[0-9A-Za-z]{32}$`).MatchString(q.Get("code")) || len(q) != 2 {
		t.Errorf("callback parameters: %v", q)
	}

	back, err = ada.Deny(t.Context(), s.authorizeURL())
	if err != nil {
		t.Fatal(err)
	}
	q = query(t, back)
	if q.Get("error") != "access_denied" || q.Get("state") != "opaque" || q.Has("code") {
		t.Errorf("denied: %v", q)
	}
	s.set(func(k *boxsim.Knobs) { k.DenyDescription = "" })
	if back, err = ada.Deny(t.Context(), s.authorizeURL()); err != nil || query(t, back).Has("error_description") {
		t.Errorf("the description must be left out: %s, %v", back, err)
	}
}

func TestSignInAsAnotherAccount(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	for _, login := range []string{"ada@acme.example", "cleo@globex.example"} {
		if got := s.api("/users/me", s.signIn(login).access).get("login"); got != login {
			t.Errorf("signed in as %s, want %s", got, login)
		}
	}
	s.set(func(k *boxsim.Knobs) { k.AutoConsent = true })
	if got := s.api("/users/me", s.signIn("ben@acme.example").access).get("login"); got != "ben@acme.example" {
		t.Errorf("at once: signed in as %s", got)
	}
}

func TestRedirectURIRules(t *testing.T) {
	t.Parallel()
	s := newSim(t, autoConsent, func(o *boxsim.Options) {
		o.RedirectURIs = []string{
			"http://localhost:8085/cb", "http://127.0.0.1/cb", "http://[::1]:7000/cb", "https://app.example/cb?tenant=1", "https://localhost/tls",
		}
	})
	for uri, want := range map[string]bool{
		"http://localhost:8085/cb":              true,
		"http://localhost:1/cb":                 true,
		"http://localhost/cb":                   true,
		"http://localhost:8085/cb/":             false,
		"http://localhost:8085/":                false,
		"http://localhost:8085":                 false,
		"http://localhost:8085/cb?x=1":          false,
		"http://localhost:8085/cb#x":            false,
		"http://localhost:8085/CB":              false,
		"http://LOCALHOST:8085/cb":              false,
		"http://user@localhost:8085/cb":         false,
		"https://localhost:8085/cb":             false,
		"http://127.0.0.1:9/cb":                 true,
		"http://127.0.0.2:9/cb":                 false,
		"http://[::1]:9/cb":                     true,
		"https://app.example/cb?tenant=1":       true,
		"https://app.example:443/cb?tenant=1":   false,
		"https://app.example:8443/cb?tenant=1":  false,
		"https://app.example/cb?tenant=2":       false,
		"https://app.example/cb":                false,
		"https://app.example/cb?tenant=1&x=1":   false,
		"https://localhost:9443/tls":            true,
		"http://localhost.attacker.example/cb":  false,
		"http://localhost:8085@evil.example/cb": false,
	} {
		back, err := boxsim.Person{Client: s.hc}.Allow(t.Context(), s.authorizeURL("redirect_uri", uri))
		var refused *boxsim.PageError
		switch {
		case want && (err != nil || !strings.HasPrefix(back, uri)):
			t.Errorf("%s: refused or sent elsewhere: %q, %v", uri, back, err)
		case !want && (!errors.As(err, &refused) || refused.Code != "redirect_uri_mismatch"):
			t.Errorf("%s: want the mismatch page, got %q, %v", uri, back, err)
		}
	}
}

func TestErrorPagesDontRedirect(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	for name, tc := range map[string]struct {
		change []string
		code   string
	}{
		"client":        {[]string{"client_id", "other"}, "invalid_client"},
		"redirect":      {[]string{"redirect_uri", "https://evil.example/<script>"}, "redirect_uri_mismatch"},
		"response type": {[]string{"response_type", "token"}, "unsupported_response_type"},
		"scope":         {[]string{"scope", "root_readwrite ai.readwrite"}, "invalid_scope"},
	} {
		r := s.must(s.request(http.MethodGet, s.authorizeURL(tc.change...), ""))
		if r.header.Get("Location") != "" || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: want a page, got %d %v", name, r.status, r.header)
		}
		if strings.Contains(r.body, "<script>") {
			t.Errorf("%s: what the request says must be escaped", name)
		}
		var refused *boxsim.PageError
		if _, err := (boxsim.Person{Client: s.hc}).Allow(t.Context(), s.authorizeURL(tc.change...)); !errors.As(err, &refused) || refused.Code != tc.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRedirectURIMayBeLeftOutIfThereIsOne(t *testing.T) {
	t.Parallel()
	without := func(s *sim) string {
		return s.info.AuthorizeURL + "?" + url.Values{"response_type": {"code"}, "client_id": {s.info.ClientID}}.Encode()
	}
	one := newSim(t)
	back, err := boxsim.Person{Client: one.hc}.Allow(t.Context(), without(one))
	if err != nil || !strings.HasPrefix(back, callback+"?") || query(t, back).Has("state") {
		t.Errorf("sent back to %q, %v", back, err)
	}
	several := newSim(t, func(o *boxsim.Options) { o.RedirectURIs = []string{callback, "https://app.example/cb"} })
	if r := several.must(several.request(http.MethodGet, without(several), "")); r.status != http.StatusOK {
		t.Errorf("the page must come first: %d", r.status)
	}
	var refused *boxsim.PageError
	if _, err = (boxsim.Person{Client: several.hc}).Allow(t.Context(), without(several)); !errors.As(err, &refused) || refused.Code != "redirect_uri_missing" {
		t.Errorf("after the decision: %v", err)
	}
}

func TestConsentTicket(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ticket := func() url.Values {
		page := s.must(s.request(http.MethodGet, s.authorizeURL(), "")).body
		m := regexp.MustCompile(`name="ticket" value="([^"]+)"`).FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("no ticket in %s", page)
		}
		return url.Values{"ticket": {m[1]}, "decision": {"allow"}, "login": {"ada@acme.example"}}
	}
	used := ticket()
	if r := s.must(s.form(s.info.AuthorizeURL, used)); r.status != http.StatusFound {
		t.Fatalf("first use: %d %s", r.status, r.body)
	}
	if r := s.must(s.form(s.info.AuthorizeURL, used)); r.status != http.StatusBadRequest {
		t.Errorf("second use: %d", r.status)
	}
	old := ticket()
	s.advance(11 * time.Minute)
	if r := s.must(s.form(s.info.AuthorizeURL, old)); r.status != http.StatusBadRequest {
		t.Errorf("after its time: %d", r.status)
	}
	foreign := s.form(s.info.AuthorizeURL, ticket())
	foreign.Header.Set("Origin", "https://evil.example")
	if r := s.must(foreign); r.status != http.StatusForbidden {
		t.Errorf("from another site: %d", r.status)
	}
	unknown := ticket()
	unknown.Set("login", "nobody@acme.example")
	if r := s.must(s.form(s.info.AuthorizeURL, unknown)); r.status != http.StatusBadRequest || r.header.Get("Location") != "" {
		t.Errorf("unknown account: %d", r.status)
	}
}

func TestDeactivatedAccountCantSignIn(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	if err := s.ctl.Deactivate(t.Context(), "ben@acme.example"); err != nil {
		t.Fatal(err)
	}
	var refused *boxsim.PageError
	if _, err := (boxsim.Person{Login: "ben@acme.example", Client: s.hc}).Allow(t.Context(), s.authorizeURL()); !errors.As(err, &refused) || refused.Code != "account_deactivated" {
		t.Errorf("got %v", err)
	}
}

func TestAddressesMayBeRefused(t *testing.T) {
	t.Parallel()
	s := newSim(t, autoConsent, func(o *boxsim.Options) { o.RedirectURIs = []string{callback, "http://127.0.0.1/cb"} })
	s.set(func(k *boxsim.Knobs) { k.RefuseAddresses = true })
	for target, want := range map[string]int{
		s.authorizeURL(): http.StatusFound,
		s.authorizeURL("redirect_uri", "http://127.0.0.1/cb"): http.StatusForbidden,
		s.authorizeURL("state", "from 10.1.2.3 at noon"):      http.StatusForbidden,
		s.authorizeURL("state", "1.2.3"):                      http.StatusFound,
	} {
		if r := s.must(s.request(http.MethodGet, target, "")); r.status != want {
			t.Errorf("%s: %d, want %d", target, r.status, want)
		}
	}
}

func TestRegistrationRules(t *testing.T) {
	t.Parallel()
	for _, uris := range [][]string{
		{"http://app.example/cb"}, {"/cb"}, {"https://app.example/cb#x"}, {"custom://cb"}, {"https://user@app.example/"}, {callback, callback}, {"https:///cb"},
	} {
		if _, err := boxsim.New(boxsim.Options{RedirectURIs: uris}); !errors.Is(err, boxsim.ErrOptions) {
			t.Errorf("%v must not be registered: %v", uris, err)
		}
	}
}
