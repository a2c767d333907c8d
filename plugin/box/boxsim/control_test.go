package boxsim_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

func TestControlIsGuarded(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	for _, pattern := range append(boxsim.ControlEndpoints(), "GET /_sim/nonsense") {
		method, path, _ := strings.Cut(pattern, " ")
		for _, token := range []string{"", "Bearer ", "Bearer wrong", "Basic " + s.info.ControlToken} {
			req := s.request(method, s.info.BaseURL+path, "{}")
			req.Header.Set("Authorization", token)
			if r := s.must(req); r.status != http.StatusUnauthorized {
				t.Errorf("%s with %q: %d %s", pattern, token, r.status, r.body)
			}
		}
	}
}

func TestControlRefusals(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"PATCH", "/knobs", `{"rotation":"sideways"}`, 400},
		{"PATCH", "/knobs", `{"access_lifetime":"soon"}`, 400},
		{"PATCH", "/knobs", `{"expires_in":"nonsense"}`, 400},
		{"PATCH", "/knobs", `{"code_lifetime":"0s"}`, 400},
		{"PATCH", "/knobs", `{"token_rate":-1}`, 400},
		{"PATCH", "/knobs", `{"nonsense":1}`, 400},
		{"PATCH", "/knobs", `{} {}`, 400},
		{"POST", "/faults", `{}`, 400},
		{"POST", "/faults", `{"then":{"row":"nonsense"}}`, 400},
		{"POST", "/faults", `{"then":{"row":"token_conflict","status":500}}`, 400},
		{"POST", "/faults", `{"then":{"drop":true,"status":500}}`, 400},
		{"POST", "/faults", `{"then":{"status":99}}`, 400},
		{"POST", "/faults", `{"then":{"body":"x"}}`, 400},
		{"POST", "/faults", `{"then":{"delay":"1h"}}`, 400},
		{"POST", "/faults", `{"times":-2,"then":{"drop":true}}`, 400},
		{"POST", "/faults", `{"then":{"when":"later","drop":true}}`, 400},
		{"POST", "/faults", `{"then":{"drop":true,"nonsense":1}}`, 400},
		{"POST", "/faults/f99/release", ``, 404},
		{"DELETE", "/faults/f99", ``, 404},
		{"POST", "/clock", `{"advance":"2000000h"}`, 400},
		{"POST", "/clock", `{"advance":10}`, 400},
		{"POST", "/tokens/expire", `{}`, 400},
		{"POST", "/tokens/revoke", `{"token":"x","user":"y"}`, 400},
		{"POST", "/users/nobody/deactivate", ``, 404},
		{"POST", "/grants", `{"user":"nobody","count":1}`, 400},
		{"POST", "/grants", `{"count":0}`, 400},
		{"GET", "/requests?nonsense=1", ``, 400},
		{"GET", "/requests?since=x", ``, 400},
		{"GET", "/requests?stage=x", ``, 400},
		{"GET", "/requests?wait=x", ``, 400},
		{"GET", "/nonsense", ``, 404},
	} {
		req := s.request(tc.method, s.info.ControlURL+tc.path, tc.body)
		req.Header.Set("Authorization", "Bearer "+s.info.ControlToken)
		if r := s.must(req); r.status != tc.want || r.get("error") == "" {
			t.Errorf("%s %s %s: %d %s", tc.method, tc.path, tc.body, r.status, r.body)
		}
	}
	var refused *boxsim.ControlError
	if err := s.ctl.Deactivate(t.Context(), "nobody"); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		t.Errorf("the client's error: %v", err)
	}
	if k, err := s.ctl.Knobs(t.Context()); err != nil || k != boxsim.DefaultKnobs() {
		t.Errorf("a refused change must change nothing: %+v, %v", k, err)
	}
}

func TestClockShowsInTheDateHeader(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	s.advance(90 * time.Minute)
	s.advance(-30 * time.Minute)
	want := noon.Add(time.Hour)
	if got := s.api("/users/me", "x").header.Get("Date"); got != want.Format(http.TimeFormat) {
		t.Errorf("Date is %s", got)
	}
	c, err := s.ctl.Clock(t.Context())
	if err != nil || !c.Now.Equal(want) || time.Duration(c.Offset) != time.Hour {
		t.Errorf("clock: %+v, %v", c, err)
	}
}

func TestJournal(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	first := s.signIn("ada@acme.example")
	before, err := s.ctl.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second := s.renewed(first.refresh)
	s.works(second.access)
	found, err := s.ctl.Requests(t.Context(), boxsim.RequestQuery{Since: before})
	if err != nil || len(found) != 2 {
		t.Fatalf("%+v, %v", found, err)
	}
	r := found[0]
	if r.Method != http.MethodPost || r.Path != "/oauth2/token" || r.GrantType != "refresh_token" || r.ClientID != s.info.ClientID || r.Status != 200 ||
		r.Tokens["refresh_token"] != boxsim.Fingerprint(first.refresh) || r.Tokens["issued_access_token"] != boxsim.Fingerprint(second.access) ||
		r.User != "ada@acme.example" || r.Stage != boxsim.Done || !r.Committed || !r.Time.Equal(noon) || r.Seq != before+1 {
		t.Errorf("renewal: %+v", r)
	}
	if r := found[1]; r.Tokens["access_token"] != boxsim.Fingerprint(second.access) || r.AuthScheme != "Bearer" {
		t.Errorf("call: %+v", r)
	}
	for _, q := range []boxsim.RequestQuery{
		{Path: "/2.0/*"}, {GrantType: "refresh_token"}, {Since: before + 1}, {Method: "GET", Since: before}, {Status: 302},
	} {
		if found, err := s.ctl.Requests(t.Context(), q); err != nil || len(found) != 1 {
			t.Errorf("%+v finds %+v, %v", q, found, err)
		}
	}
	if err := s.ctl.ResetRequests(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.works(second.access)
	if found, err := s.ctl.Requests(t.Context(), boxsim.RequestQuery{}); err != nil || len(found) != 1 || found[0].Seq != before+3 {
		t.Errorf("after the reset: %+v, %v", found, err)
	}
}

func TestNoSecretIsListed(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	s := newSim(t, func(o *boxsim.Options) { o.Logger = log.logger() })
	code := s.code("ada@acme.example")
	first := s.token("grant_type", "authorization_code", "code", code).tokens()
	second := s.renewed(first.refresh)
	s.works(second.access)
	narrowed := s.narrow(second.access, "scope", "item_preview").get("access_token")
	s.revoke(second.refresh)
	text := log.String()
	if text == "" {
		t.Error("nothing was logged")
	}
	for _, path := range []string{"/requests", "/state", "/faults", "/knobs"} {
		req := s.request(http.MethodGet, s.info.ControlURL+path, "")
		req.Header.Set("Authorization", "Bearer "+s.info.ControlToken)
		text += s.must(req).body
	}
	for _, secret := range []string{code, first.access, first.refresh, second.access, second.refresh, narrowed, s.info.ClientSecret, s.info.ControlToken} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is shown", secret)
		}
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	q := boxsim.RequestQuery{Path: "/2.0/users/me"}
	if _, err := s.ctl.Wait(t.Context(), q, 1, 10*time.Millisecond); !errors.Is(err, boxsim.ErrWaitPassed) {
		t.Errorf("nothing came: %v", err)
	}
	type result struct {
		found []boxsim.Request
		err   error
	}
	waited := make(chan result, 1)
	go func() {
		found, err := s.ctl.Wait(t.Context(), q, 2, 10*time.Second)
		waited <- result{found, err}
	}()
	s.works("x")
	s.works("x")
	if r := <-waited; r.err != nil || len(r.found) != 2 {
		t.Errorf("%+v", r)
	}
}

// A renewal is frozen in flight, before or after it took effect.
func TestHold(t *testing.T) {
	t.Parallel()
	for _, when := range []boxsim.When{boxsim.BeforeCommit, boxsim.AfterCommit} {
		t.Run(string(when), func(t *testing.T) {
			t.Parallel()
			s := newSim(t)
			first := s.signIn("ada@acme.example")
			f := s.fault(boxsim.Fault{Match: boxsim.Match{GrantType: "refresh_token"}, Then: boxsim.Action{Hold: true, When: when}})
			renewal := s.form(s.info.TokenURL, s.tokenForm("grant_type", "refresh_token", "refresh_token", first.refresh))
			answers := make(chan reply, 1)
			go func() {
				r, _ := s.do(renewal)
				answers <- r
			}()
			s.wait(boxsim.RequestQuery{GrantType: "refresh_token", Stage: boxsim.Held}, 1)
			want := 1 // pairs that exist while the answer is held
			if when == boxsim.AfterCommit {
				want = 2
			}
			if got := s.counters().PairsIssued; got != want {
				t.Errorf("%d pairs, want %d", got, want)
			}
			select {
			case r := <-answers:
				t.Fatalf("answered while held: %+v", r)
			default:
			}
			if err := s.ctl.Release(t.Context(), f.ID); err != nil {
				t.Fatal(err)
			}
			if r := <-answers; r.status != http.StatusOK || r.get("refresh_token") == "" {
				t.Errorf("after the release: %+v", r)
			}
		})
	}
}

func TestHeldClientMayGo(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	first := s.signIn("ada@acme.example")
	s.fault(boxsim.Fault{Match: boxsim.Match{GrantType: "refresh_token"}, Then: boxsim.Action{Hold: true}})
	ctx, cancel := context.WithCancel(t.Context())
	renewal := s.form(s.info.TokenURL, s.tokenForm("grant_type", "refresh_token", "refresh_token", first.refresh)).WithContext(ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := s.do(renewal)
		ended <- err
	}()
	s.wait(boxsim.RequestQuery{GrantType: "refresh_token", Stage: boxsim.Held}, 1)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the client's error: %v", err)
	}
	r := s.wait(boxsim.RequestQuery{GrantType: "refresh_token", Stage: boxsim.Done}, 1)[0]
	if !r.ClientGone || r.Committed {
		t.Errorf("%+v", r)
	}
}

func TestFaultsAreCounted(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	token := s.signIn("ada@acme.example").access
	f := s.fault(boxsim.Fault{
		Match: boxsim.Match{Method: "GET", Path: "/2.0/users/*"}, Skip: 1, Times: 2,
		Then: boxsim.Action{Status: 503, Body: `{"busy":true}`, Headers: map[string]string{"Retry-After": "7"}},
	})
	always := s.fault(boxsim.Fault{Match: boxsim.Match{Path: "/2.0/folders/0"}, Times: -1, Then: boxsim.Action{Row: "api_internal_error"}})
	var got []int
	for range 4 {
		r := s.api("/users/me", token)
		got = append(got, r.status)
		if r.status == 503 && (r.body != `{"busy":true}` || r.header.Get("Retry-After") != "7" || r.header.Get("Content-Type") != "application/json") {
			t.Errorf("%s %v", r.body, r.header)
		}
		if r := s.api("/folders/0", token); r.status != 500 {
			t.Errorf("always: %d", r.status)
		}
	}
	if got[0] != 200 || got[1] != 503 || got[2] != 503 || got[3] != 200 {
		t.Errorf("statuses: %v", got)
	}
	all, err := s.ctl.Faults(t.Context())
	if err != nil || len(all) != 2 || all[0].ID != f.ID || all[0].Met != 2 || all[1].ID != always.ID || all[1].Met != 4 {
		t.Errorf("%+v, %v", all, err)
	}
	if err := s.ctl.ClearFaults(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := s.api("/folders/0", token); r.status != 200 {
		t.Errorf("after clearing: %d", r.status)
	}
}

func TestFaultsAreBounded(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	hold := boxsim.Fault{Match: boxsim.Match{Path: "/never"}, Then: boxsim.Action{Drop: true}}
	for range 100 {
		s.fault(hold)
	}
	var refused *boxsim.ControlError
	if _, err := s.ctl.AddFault(t.Context(), hold); !errors.As(err, &refused) {
		t.Errorf("the 101st: %v", err)
	}
}

func TestSpoiltAnswers(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	first := s.signIn("ada@acme.example")
	match := boxsim.Match{GrantType: "refresh_token"}
	renew := func() (reply, error) {
		return s.do(s.form(s.info.TokenURL, s.tokenForm("grant_type", "refresh_token", "refresh_token", first.refresh)))
	}

	s.fault(boxsim.Fault{Match: match, Then: boxsim.Action{Truncate: true}})
	if r, err := renew(); err == nil || json.Valid([]byte(r.body)) {
		t.Errorf("cut off: %+v, %v", r, err)
	}
	s.fault(boxsim.Fault{Match: match, Then: boxsim.Action{SlowBody: boxsim.Duration(50 * time.Millisecond)}})
	began := time.Now()
	slow, err := renew()
	if err != nil || slow.status != 200 || time.Since(began) < 40*time.Millisecond {
		t.Errorf("slow: %+v, %v", slow, err)
	}
	s.fault(boxsim.Fault{Match: match, Then: boxsim.Action{When: boxsim.AfterCommit, Row: "web_bad_gateway"}})
	if r, err := renew(); err != nil || r.status != http.StatusBadGateway {
		t.Errorf("spoilt: %+v, %v", r, err)
	}
	s.fault(boxsim.Fault{Match: match, Then: boxsim.Action{Delay: boxsim.Duration(30 * time.Millisecond), Headers: map[string]string{"date": "Thu, 01 Jan 1970 00:00:00 GMT"}}})
	began = time.Now()
	if r, err := renew(); err != nil || r.tokens() != slow.tokens() || r.header.Get("Date") != "Thu, 01 Jan 1970 00:00:00 GMT" || time.Since(began) < 30*time.Millisecond {
		t.Errorf("delayed, with another date: %+v, %v", r, err)
	}
}

func TestTokensCanBeEnded(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	a, b := s.signIn("ada@acme.example"), s.signIn("ben@acme.example")
	ended := func(n int, err error) int {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if ended(s.ctl.ExpireToken(t.Context(), boxsim.Fingerprint(a.access))) != 1 || s.works(a.access) {
		t.Error("by its fingerprint, the access token must have expired")
	}
	a = s.renewed(a.refresh)
	if ended(s.ctl.RevokeToken(t.Context(), a.refresh)) != 1 || !s.works(a.access) {
		t.Error("only the refresh token must be dead")
	}
	wantOAuth(t, s.refresh(a.refresh), http.StatusBadRequest, "invalid_grant", "Invalid refresh token")
	if ended(s.ctl.ExpireUser(t.Context(), "ben@acme.example")) != 2 || s.works(b.access) {
		t.Error("all of a user's tokens must have expired")
	}
	wantOAuth(t, s.refresh(b.refresh), http.StatusBadRequest, "invalid_grant", "Refresh token has expired")
	c := s.signIn("cleo@globex.example")
	if ended(s.ctl.RevokeUser(t.Context(), "3300003")) != 2 || s.works(c.access) || !s.works(a.access) {
		t.Error("exactly the user's tokens must be dead")
	}
	for _, token := range []string{"unknown", c.access} {
		if ended(s.ctl.ExpireToken(t.Context(), token)) != 0 {
			t.Error("nothing to end")
		}
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	first := s.signIn("ada@acme.example")
	second := s.renewed(first.refresh)
	st, err := s.ctl.State(t.Context())
	if err != nil || len(st.AccessTokens) != 2 || len(st.RefreshTokens) != 2 {
		t.Fatalf("%+v, %v", st, err)
	}
	for _, rt := range st.RefreshTokens {
		spent := rt.Fingerprint == boxsim.Fingerprint(first.refresh)
		if rt.Pending == spent || spent != (len(rt.Successors) == 1 && rt.Successors[0] == boxsim.Fingerprint(second.refresh)) {
			t.Errorf("%+v", rt)
		}
	}
	s.works(second.access)
	if st, err = s.ctl.State(t.Context()); err != nil || len(st.AccessTokens) != 1 || st.AccessTokens[0].Pending ||
		st.AccessTokens[0].Fingerprint != boxsim.Fingerprint(second.access) || len(st.RefreshTokens) != 1 || st.Counters.Renewals != 1 {
		t.Errorf("%+v, %v", st, err)
	}
}
