package boxsim

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// peerRoutes are the control protocol of the conformance suite (PEER.md
// there), below the emulator's own control API.
func peerRoutes() []controlRoute {
	return []controlRoute{
		{"POST /_sim/peer/consent", (*Server).peerConsent},
		{"GET /_sim/peer/requests", (*Server).peerRequests},
		{"POST /_sim/peer/faults", (*Server).peerFault},
		{"DELETE /_sim/peer/faults", (*Server).ctlClearFaults},
		{"POST /_sim/peer/lifetime", (*Server).peerLifetime},
		{"POST /_sim/peer/clock", (*Server).peerClock},
		{"POST /_sim/peer/expire", func(s *Server, _ *http.Request) (any, error) { s.endAll(true, false); return nil, nil }},
		{"POST /_sim/peer/rotate", func(s *Server, _ *http.Request) (any, error) { s.endAll(false, true); return nil, nil }},
		{"POST /_sim/peer/kill", func(s *Server, _ *http.Request) (any, error) { s.endAll(true, true); return nil, nil }},
		{"GET /_sim/peer/alive", (*Server).peerAlive},
		{"POST /_sim/peer/reset", (*Server).peerReset},
	}
}

func (s *Server) peerConsent(r *http.Request) (any, error) {
	var in struct {
		URL      string `json:"url"`
		Decision string `json:"decision"`
		Person   string `json:"person"`
	}
	if err := readControl(r, &in); err != nil {
		return nil, err
	}
	person := Person{Login: in.Person}
	decide := person.Allow
	switch in.Decision {
	case "allow":
	case "deny":
		decide = person.Deny
	default:
		return nil, badControl(errors.New("decision must be allow or deny"))
	}
	callback, err := decide(r.Context(), in.URL)
	if err != nil {
		return nil, badControl(err)
	}
	return map[string]string{"callback": callback}, nil
}

// peerRequest is a request as the protocol tells it.
type peerRequest struct {
	Seq         int64    `json:"seq"`
	Kind        string   `json:"kind"`
	Grant       string   `json:"grant"`
	Status      int      `json:"status"`
	Succeeded   bool     `json:"succeeded"`
	Done        bool     `json:"done"`
	Gone        bool     `json:"gone"`
	Presented   []string `json:"presented"`
	Issued      []string `json:"issued"`
	RedirectURI string   `json:"redirect_uri"`
}

func (s *Server) peerRequests(r *http.Request) (any, error) {
	since, ok := number(r.URL.Query(), "since", 0)
	if !ok {
		return nil, badControl(errors.New("since must be a number"))
	}
	found, last, _ := s.journal.list(RequestQuery{Since: int64(since)})
	out := make([]peerRequest, 0, len(found))
	for i := range found {
		q := &found[i]
		p := peerRequest{
			Seq: q.Seq, Kind: peerKind(q.Path), Grant: q.GrantType, Status: q.Status, Done: q.Stage == Done,
			Succeeded: q.Committed && q.Status < http.StatusBadRequest, Gone: q.ClientGone, RedirectURI: q.RedirectURI,
			Presented: []string{}, Issued: []string{},
		}
		for name, token := range q.Tokens {
			if strings.HasPrefix(name, "issued_") {
				p.Issued = append(p.Issued, token)
			} else {
				p.Presented = append(p.Presented, token)
			}
		}
		out = append(out, p)
	}
	return map[string]any{"requests": out, "last": last}, nil
}

const (
	pathToken  = "/oauth2/token"
	pathRevoke = "/oauth2/revoke"
	pathAPI    = "/2.0/*"
)

func peerKind(path string) string {
	switch {
	case strings.HasSuffix(path, "/authorize"):
		return "authorize"
	case path == pathToken:
		return "token"
	case path == pathRevoke:
		return "revoke"
	case strings.HasPrefix(path, "/2.0"):
		return "api"
	}
	return "other"
}

// peerFault turns a fault of the protocol into one of the emulator's.
func (s *Server) peerFault(r *http.Request) (any, error) {
	var in struct {
		On      string            `json:"on"`
		Grant   string            `json:"grant"`
		Times   int               `json:"times"`
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
		Drop    string            `json:"drop"`
		Hold    bool              `json:"hold"`
		DelayMS int               `json:"delay_ms"`
		Meaning string            `json:"meaning"`
	}
	if err := readControl(r, &in); err != nil {
		return nil, err
	}
	path, ok := map[string]string{"token": pathToken, "revoke": pathRevoke, "api": pathAPI, "any": ""}[in.On]
	if !ok {
		return nil, badControl(errors.New("on must be token, revoke, api or any"))
	}
	f := Fault{Match: Match{Path: path, GrantType: in.Grant}, Times: in.Times, Then: Action{
		Status: in.Status, Headers: in.Headers, Body: in.Body, Hold: in.Hold, Drop: in.Drop != "",
		Delay: Duration(time.Duration(in.DelayMS) * time.Millisecond),
	}}
	if in.Drop == "after" {
		f.Then.When = AfterCommit
	}
	switch in.Meaning {
	case "":
	case "client_rejected":
		f.Then.Row = "token_client_invalid"
	case "unusable_access":
		f.Match.GrantType, f.Then.When, f.Then.Status = "refresh_token", AfterCommit, http.StatusOK
		f.Then.Body = `{"access_token":"no token ","expires_in":3600,"restricted_to":[],"refresh_token":"` +
			randomString(64, lowercase) + `","token_type":"bearer"}`
	case "narrow_wider":
		f.Match.GrantType, f.Then.When, f.Then.Status = "urn:ietf:params:oauth:grant-type:token-exchange", AfterCommit, http.StatusOK
		f.Then.Body = `{"access_token":"` + randomString(32, lowercase) + `","expires_in":3600,"restricted_to":[{"scope":"root_readwrite"}],` +
			`"token_type":"bearer","issued_token_type":"` + typeAccessToken + `"}`
	case "scopes_untold":
		return nil, nil // it never tells them
	case "not_renewable":
		s.mu.Lock()
		defer s.mu.Unlock()
		s.knobs.OmitRefreshToken = true
		return nil, nil
	default:
		return nil, badControl(errors.New("the meaning isn't known"))
	}
	_, err := s.faults.add(f)
	if err != nil {
		err = badControl(err)
	}
	return nil, err
}

func (s *Server) peerLifetime(r *http.Request) (any, error) {
	var in struct {
		Seconds int64 `json:"seconds"`
	}
	if err := readControl(r, &in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.knobs
	k.AccessLifetime = Duration(time.Duration(in.Seconds) * time.Second)
	if err := k.validate(); err != nil {
		return nil, badControl(err)
	}
	s.knobs = k
	return nil, nil
}

func (s *Server) peerClock(r *http.Request) (any, error) {
	var in struct {
		Seconds int64 `json:"advance_seconds"`
	}
	if err := readControl(r, &in); err != nil {
		return nil, err
	}
	if err := s.clock.advance(time.Duration(in.Seconds) * time.Second); err != nil {
		return nil, badControl(err)
	}
	return nil, nil
}

// endAll ends all access tokens, or all refresh tokens, or both.
func (s *Server) endAll(access, refresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.accessTokens {
		t.dead = t.dead || access
	}
	for _, t := range s.refreshTokens {
		if refresh && t.state == refreshLive {
			t.state = refreshRevoked
		}
	}
}

func (s *Server) peerAlive(*http.Request) (any, error) {
	state := s.State()
	return map[string]int{"access": len(state.AccessTokens), "renewal": len(state.RefreshTokens)}, nil
}

func (s *Server) peerReset(*http.Request) (any, error) {
	s.faults.release("", true)
	s.journal.reset()
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.consents)
	clear(s.codes)
	clear(s.accessTokens)
	clear(s.refreshTokens)
	s.knobs = DefaultKnobs()
	return nil, nil
}
