package box_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/plugin/box"
	"github.com/boxconnection/connector/proto/connector"
)

func runChecks(t *testing.T, c *box.Connector, req plugin.TestRequest) map[string]connector.Check {
	t.Helper()
	results := map[string]connector.Check{}
	var order []string
	for check := range c.Test(t.Context(), req) {
		results[check.ID] = check
		order = append(order, check.ID)
	}
	declared := c.Describe().Checks
	if len(order) != len(declared) {
		t.Fatalf("%d results for %d declared checks: %v", len(order), len(declared), order)
	}
	for i, d := range declared {
		if order[i] != d.ID {
			t.Errorf("result %d is %s, declared was %s", i, order[i], d.ID)
		}
		if got := results[d.ID]; got.Title != d.Title || got.SideEffect != d.SideEffect {
			t.Errorf("%s: %+v", d.ID, got)
		}
	}
	return results
}

// dated answers like Box, with another time of day.
func dated(off time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", noon.Add(off).Format(http.TimeFormat))
		likeBox(w, r)
	}
}

// instead answers like Box but for one path.
func instead(path string, answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == path {
			answer(w, r)
			return
		}
		dated(0)(w, r)
	}
}

// Each check fails for its own reason, says what to do, and stops only what
// depends on it.
func TestEachCheckFails(t *testing.T) {
	t.Parallel()
	closed := "http://127.0.0.1:1"
	const me, root = "/2.0/users/me", "/2.0/folders/0/items"
	user := func(fields string) http.HandlerFunc {
		return instead(me, saysJSON(200, `{"id":"1","login":"ada@acme.example"`+fields+`}`))
	}
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		change  []string
		granted *connector.Scopes
		check   string
		status  connector.CheckStatus
		code    connector.Code
		skipped []string
	}{
		"no secret": {dated(0), []string{"client_secret", ""}, nil, "settings", connector.CheckFailed, connector.SettingRequired,
			[]string{"authorization_host", "api_reachable", "clock", "token_accepted", "account_active", "root_folder", "scopes"}},
		"sign-in page away": {dated(0), []string{"authorize_url", closed}, nil, "authorization_host", connector.CheckFailed, connector.ConnectionFailed, nil},
		"tokens away":       {dated(0), []string{"token_url", closed}, nil, "authorization_host", connector.CheckFailed, connector.ConnectionFailed, nil},
		"sign-in page unknown": {dated(0), []string{"authorize_url", "https://nowhere.invalid"}, nil,
			"authorization_host", connector.CheckFailed, connector.NameResolutionFailed, nil},
		"API away": {dated(0), []string{"api_url", closed}, nil, "api_reachable", connector.CheckFailed, connector.ConnectionFailed,
			[]string{"clock", "token_accepted", "account_active", "root_folder", "scopes"}},
		"API down": {instead("/2.0", says(503, "text/html", "")), nil, nil, "api_reachable", connector.CheckFailed, connector.ServiceUnavailable,
			[]string{"clock", "token_accepted", "account_active", "root_folder", "scopes"}},
		"clock a little off": {dated(2 * time.Minute), nil, nil, "clock", connector.CheckWarning, connector.ClockSkewed, nil},
		"clock behind":       {dated(10 * time.Minute), nil, nil, "clock", connector.CheckFailed, connector.ClockSkewed, nil},
		"clock ahead":        {dated(-10 * time.Minute), nil, nil, "clock", connector.CheckFailed, connector.ClockSkewed, nil},
		"token refused": {instead(me, says(401, "", "", "WWW-Authenticate", `Bearer realm="Service", error="invalid_token"`)), nil, nil,
			"token_accepted", connector.CheckFailed, connector.AccessRefused, []string{"account_active", "root_folder", "scopes"}},
		"account deactivated": {instead(me, saysJSON(401, `{"type":"error","status":401,"code":"unauthorized","message":"User has been deactivated"}`)), nil, nil,
			"token_accepted", connector.CheckFailed, connector.AccountInactive, []string{"account_active", "root_folder", "scopes"}},
		"rate limit": {instead(me, saysJSON(429, `{"code":"rate_limit_exceeded"}`)), nil, nil,
			"token_accepted", connector.CheckFailed, connector.RateLimited, []string{"account_active", "root_folder", "scopes"}},
		"page of a proxy": {instead(me, says(403, "text/html", "<html>")), nil, nil,
			"token_accepted", connector.CheckFailed, connector.UnexpectedAnswer, []string{"account_active", "root_folder", "scopes"}},
		"account inactive":   {user(`,"status":"inactive"`), nil, nil, "account_active", connector.CheckFailed, connector.AccountInactive, nil},
		"account restricted": {user(`,"status":"cannot_delete_edit"`), nil, nil, "account_active", connector.CheckWarning, connector.PermissionDenied, nil},
		"root folder closed": {instead(root, says(403, "", "", "WWW-Authenticate", `Bearer realm="Service", error="insufficient_scope"`)), nil, nil,
			"root_folder", connector.CheckFailed, connector.ScopeMissing, nil},
		"scopes unknown": {dated(0), nil, nil, "scopes", connector.CheckWarning, connector.ScopesUnknown, nil},
		"scope missing": {dated(0), nil, &connector.Scopes{Known: true, Values: []string{"other"}},
			"scopes", connector.CheckFailed, connector.ScopeMissing, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, c.answer)
			req := plugin.TestRequest{Settings: settingsFor(s.URL, c.change...), Access: testAccess(), RequiredScopes: []string{"root_readonly"}}
			if c.granted != nil {
				req.Access.Scopes = *c.granted
			}
			results := runChecks(t, box.New(at(noon)), req)
			got := results[c.check]
			if got.Status != c.status || got.Diagnostic == nil {
				t.Fatalf("%s is %+v", c.check, got)
			}
			if d := got.Diagnostic; d.Code != c.code || d.Summary == "" || d.Suggestion == "" {
				t.Errorf("%s says %s, want %s", c.check, d, c.code)
			}
			if warned := got.Status == connector.CheckWarning; warned != (got.Diagnostic.Severity == connector.SeverityWarning) {
				t.Errorf("severity %s with status %s", got.Diagnostic.Severity, got.Status)
			}
			skipped := map[string]bool{}
			for _, id := range c.skipped {
				skipped[id] = true
			}
			for id, r := range results {
				if id != c.check && skipped[id] != (r.Status == connector.CheckSkipped) {
					t.Errorf("%s is %s, to be skipped: %v", id, r.Status, skipped[id])
				}
				if id != c.check && id != "scopes" && r.Status == connector.CheckFailed {
					t.Errorf("%s failed too: %v", id, r.Diagnostic)
				}
			}
		})
	}
}

// Before the first sign-in what can be tested is tested, and the rest is
// skipped, not passed.
func TestChecksWithoutAccess(t *testing.T) {
	t.Parallel()
	s := newService(t, dated(0))
	results := runChecks(t, box.New(at(noon)), plugin.TestRequest{Settings: settingsFor(s.URL)})
	for id, want := range map[string]connector.CheckStatus{
		"settings": connector.CheckPassed, "authorization_host": connector.CheckPassed, "api_reachable": connector.CheckPassed,
		"clock": connector.CheckPassed, "token_accepted": connector.CheckSkipped, "account_active": connector.CheckSkipped,
		"root_folder": connector.CheckSkipped, "scopes": connector.CheckSkipped,
	} {
		if got := results[id].Status; got != want {
			t.Errorf("%s is %s, want %s", id, got, want)
		}
	}
	for _, r := range s.all() {
		if r.header.Get("Authorization") != "" {
			t.Error("something was sent as a token")
		}
	}
}

// Servers that don't know the method answer all the same.
func TestServiceWithoutHEAD(t *testing.T) {
	t.Parallel()
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		likeBox(w, r)
	})
	results := runChecks(t, box.New(), plugin.TestRequest{Settings: settingsFor(s.URL), Access: testAccess()})
	for _, id := range []string{"authorization_host", "api_reachable", "token_accepted"} {
		if results[id].Status != connector.CheckPassed {
			t.Errorf("%s: %v", id, results[id].Diagnostic)
		}
	}
}

// An unknown authority is told apart from a wrong address, by both checks that
// look at the way there.
func TestChecksTellTLSApart(t *testing.T) {
	t.Parallel()
	s := startService(t, likeBox, (*httptest.Server).StartTLS)
	results := runChecks(t, box.New(), plugin.TestRequest{Settings: settingsFor(s.URL), Access: testAccess()})
	for _, id := range []string{"authorization_host", "api_reachable"} {
		if d := results[id].Diagnostic; d == nil || d.Code != connector.TLSFailed || !strings.Contains(d.Suggestion, "CA certificate") {
			t.Errorf("%s: %v", id, d)
		}
	}
}

// A test that isn't wanted any longer ends.
func TestChecksStop(t *testing.T) {
	t.Parallel()
	s := newService(t, dated(0))
	for range box.New(at(noon)).Test(t.Context(), plugin.TestRequest{Settings: settingsFor(s.URL)}) {
		break
	}
	if len(s.all()) != 0 {
		t.Error("checks went on")
	}
}

// A name of the account can't break the line that it is shown in.
func TestAccountNameIsCleaned(t *testing.T) {
	t.Parallel()
	s := newService(t, instead("/2.0/users/me", saysJSON(200, `{"id":"1","login":"ada\n\u001b[31m@acme.example","status":"active"}`)))
	got := runChecks(t, box.New(at(noon)), plugin.TestRequest{Settings: settingsFor(s.URL), Access: testAccess()})["account_active"]
	if strings.ContainsAny(got.Message, "\n\x1b") || !strings.Contains(got.Message, "@acme.example") {
		t.Errorf("message: %q", got.Message)
	}
}
