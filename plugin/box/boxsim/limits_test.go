package boxsim

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// These look inside, since the limits are too high to be reached from outside.

func post(s *Server, path string, form url.Values) *httptest.ResponseRecorder {
	form.Set("client_id", s.clientID)
	form.Set("client_secret", s.clientSecret)
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	return w
}

func ask(s *Server) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/oauth2/authorize?response_type=code&client_id="+s.clientID, nil))
	return w
}

func smallServer(t *testing.T, bounds limits, change func(*Knobs)) *Server {
	t.Helper()
	k := DefaultKnobs()
	change(&k)
	s, err := newServer(Options{Knobs: &k}, bounds)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signedIn(t *testing.T, s *Server) tokenBody {
	t.Helper()
	back, err := url.Parse(ask(s).Result().Header["location"][0]) //nolint:staticcheck // Box writes names in lower case
	if err != nil {
		t.Fatal(err)
	}
	return pairOf(t, post(s, "/oauth2/token", url.Values{"grant_type": {grantCode}, "code": {back.Query().Get("code")}}))
}

func pairOf(t *testing.T, w *httptest.ResponseRecorder) tokenBody {
	t.Helper()
	var body tokenBody
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return body
}

func TestOldPairsAndRequestsAreForgotten(t *testing.T) {
	t.Parallel()
	bounds := limits{pairs: 10, codes: 100, narrowed: 100, requests: 20}
	s := smallServer(t, bounds, func(k *Knobs) { k.AutoConsent, k.Rotation = true, StrictSingleUse })
	idle, busy := signedIn(t, s), signedIn(t, s)
	for range 50 {
		busy = pairOf(t, post(s, "/oauth2/token", url.Values{"grant_type": {grantRefresh}, "refresh_token": {busy.RefreshToken}}))
	}
	if len(s.pairs) > bounds.pairs || len(s.refreshTokens) > bounds.pairs || len(s.accessTokens) > bounds.pairs {
		t.Errorf("%d pairs, %d refresh tokens, %d access tokens", len(s.pairs), len(s.refreshTokens), len(s.accessTokens))
	}
	found, last, _ := s.journal.list(RequestQuery{})
	if len(found) > bounds.requests || found[len(found)-1].Seq != last || last != 54 {
		t.Errorf("%d requests, the last is %d", len(found), last)
	}
	// What is alive isn't forgotten, however old it is.
	pairOf(t, post(s, "/oauth2/token", url.Values{"grant_type": {grantRefresh}, "refresh_token": {idle.RefreshToken}}))
}

func TestOpenSignInsAreBounded(t *testing.T) {
	t.Parallel()
	for name, auto := range map[string]bool{"pages": false, "codes": true} {
		s := smallServer(t, limits{pairs: 10, codes: 5, narrowed: 5, requests: 5}, func(k *Knobs) { k.AutoConsent = auto })
		for range 5 {
			if w := ask(s); w.Code >= http.StatusBadRequest {
				t.Fatalf("%s: %d %s", name, w.Code, w.Body)
			}
		}
		if w := ask(s); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: the sixth gives %d", name, w.Code)
		}
		if err := s.clock.advance(2 * 3600e9); err != nil {
			t.Fatal(err)
		}
		if w := ask(s); w.Code >= http.StatusBadRequest {
			t.Errorf("%s: later %d", name, w.Code)
		}
	}
}

func TestNarrowedTokensAreBounded(t *testing.T) {
	t.Parallel()
	s := smallServer(t, limits{pairs: 10, codes: 10, narrowed: 4, requests: 5}, func(k *Knobs) { k.AutoConsent = true })
	full := signedIn(t, s)
	narrow := func() *httptest.ResponseRecorder {
		return post(s, "/oauth2/token", url.Values{
			"grant_type": {grantExchange}, "subject_token": {full.AccessToken}, "subject_token_type": {typeAccessToken}, "scope": {"item_preview"},
		})
	}
	var first tokenBody
	for i := range 4 {
		if got := pairOf(t, narrow()); i == 0 {
			first = got
		}
	}
	if w := narrow(); w.Code != http.StatusTooManyRequests {
		t.Errorf("the fifth gives %d", w.Code)
	}
	post(s, "/oauth2/revoke", url.Values{"token": {first.AccessToken}})
	pairOf(t, narrow())
}
