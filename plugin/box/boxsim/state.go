package boxsim

import (
	"cmp"
	"slices"
	"time"
)

// Counters count what happened since the emulator started.
type Counters struct {
	Allowed        int `json:"allowed"` // sign-ins that were allowed
	Denied         int `json:"denied"`
	CodesExchanged int `json:"codes_exchanged"`
	CodesReused    int `json:"codes_reused"`
	TokenRequests  int `json:"token_requests"`
	RateLimited    int `json:"rate_limited"`
	PairsIssued    int `json:"pairs_issued"`
	// Renewals counts refresh tokens that were accepted, Replays those among
	// them that were answered with a pair issued before.
	Renewals int `json:"renewals"`
	Replays  int `json:"replays"`
	Narrowed int `json:"narrowed"`
	// ReusedAfterConsumption counts refresh tokens that came after they were
	// dead from use, ReusedAfterSuccessorUsed those among them whose successor
	// had been used. A careful client never causes the latter.
	ReusedAfterConsumption   int `json:"reused_after_consumption"`
	ReusedAfterSuccessorUsed int `json:"reused_after_successor_used"`
	Revocations              int `json:"revocations"`
	// RefusedCalls counts API calls whose access token was dead or unknown.
	RefusedCalls int `json:"refused_calls"`
}

// AccessTokenState is an access token as the control API shows it.
type AccessTokenState struct {
	Fingerprint string    `json:"fingerprint"`
	Grant       string    `json:"grant"`
	User        string    `json:"user"` // login
	Scopes      []string  `json:"scopes"`
	Narrowed    bool      `json:"narrowed"`
	Pending     bool      `json:"pending"` // its pair hasn't been used yet and replaces another
	IssuedAt    time.Time `json:"issued_at"`
	ExpiresAt   time.Time `json:"expires_at"`
}

// RefreshTokenState is a refresh token as the control API shows it.
type RefreshTokenState struct {
	Fingerprint string `json:"fingerprint"`
	Grant       string `json:"grant"`
	User        string `json:"user"`
	Pending     bool   `json:"pending"`
	// Successors are the refresh tokens that were issued for it and still
	// work. If there are any, it was spent but can be replayed.
	Successors []string  `json:"successors,omitempty"`
	IssuedAt   time.Time `json:"issued_at"`
	ExpiresAt  time.Time `json:"expires_at"`
}

// State is a summary of what is alive.
type State struct {
	Clock         Clock               `json:"clock"`
	Knobs         Knobs               `json:"knobs"`
	AccessTokens  []AccessTokenState  `json:"access_tokens"`
	RefreshTokens []RefreshTokenState `json:"refresh_tokens"`
	Counters      Counters            `json:"counters"`
	LastRequest   int64               `json:"last_request"`
	Content       ContentState        `json:"content"`
}

func (t *refreshToken) works(now time.Time) bool {
	return t.state == refreshLive && now.Before(t.expiresAt)
}

// State returns what is alive, oldest first, and what was counted.
func (s *Server) State() State {
	_, last, _ := s.journal.list(RequestQuery{Since: 1 << 62})
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.now()
	out := State{
		Clock: s.clock.read(), Knobs: s.knobs, Counters: s.counters, LastRequest: last, Content: s.contentState(),
		AccessTokens: []AccessTokenState{}, RefreshTokens: []RefreshTokenState{},
	}
	for _, t := range s.accessTokens {
		if t.works(now) {
			out.AccessTokens = append(out.AccessTokens, AccessTokenState{
				Fingerprint: Fingerprint(t.value), Grant: t.grant.id, User: t.grant.user.Login, Scopes: t.scopes,
				Narrowed: t.pair == nil, Pending: t.pair != nil && t.pair.parent != nil, IssuedAt: t.issuedAt, ExpiresAt: t.expiresAt,
			})
		}
	}
	for _, t := range s.refreshTokens {
		if !t.works(now) {
			continue
		}
		st := RefreshTokenState{
			Fingerprint: Fingerprint(t.value), Grant: t.pair.grant.id, User: t.pair.grant.user.Login,
			Pending: t.pair.parent != nil, IssuedAt: t.issuedAt, ExpiresAt: t.expiresAt,
		}
		for _, child := range t.pair.children {
			if child.refresh.works(now) {
				st.Successors = append(st.Successors, Fingerprint(child.refresh.value))
			}
		}
		out.RefreshTokens = append(out.RefreshTokens, st)
	}
	slices.SortFunc(out.AccessTokens, func(a, b AccessTokenState) int {
		return cmp.Or(a.IssuedAt.Compare(b.IssuedAt), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	slices.SortFunc(out.RefreshTokens, func(a, b RefreshTokenState) int {
		return cmp.Or(a.IssuedAt.Compare(b.IssuedAt), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return out
}

// end is what the control API does to tokens: let them expire, or revoke them.
type end string

const (
	endExpire end = "expire"
	endRevoke end = "revoke"
)

// endTokens ends the access or refresh tokens that a predicate chooses and
// returns how many.
func (s *Server) endTokens(how end, chosen func(value string, g *grant) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, n := s.clock.now(), 0
	for value, t := range s.accessTokens {
		if t.works(now) && chosen(value, t.grant) {
			n++
			if how == endExpire {
				t.expiresAt = now
			} else {
				t.dead = true
			}
		}
	}
	for value, t := range s.refreshTokens {
		if t.works(now) && chosen(value, t.pair.grant) {
			n++
			if how == endExpire {
				t.expiresAt = now
			} else {
				t.state = refreshRevoked
			}
		}
	}
	return n
}

func (s *Server) setDeactivated(key string, off bool) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.user(key)
	if u == nil {
		return User{}, false
	}
	u.Deactivated = off
	return *u, true
}
