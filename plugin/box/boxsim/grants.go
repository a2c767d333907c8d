package boxsim

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	mathrand "math/rand/v2"
	"time"
)

// Fingerprint is how the emulator shows a token, a code or a secret: the first
// 16 hexadecimal digits of its SHA-256. It is empty for an empty value.
func Fingerprint(secret string) string {
	if secret == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:8])
}

// grant is what a person allowed by one sign-in. Its pairs follow one another
// by rotation.
type grant struct {
	id        string
	user      *User
	scopes    []string
	createdAt time.Time
	alive     map[*pair]struct{} // pairs of which some token may still work
	narrowed  map[*accessToken]struct{}
}

func newGrant(u *User, scopes []string, now time.Time) *grant {
	return &grant{
		id: randomString(12, lowercase), user: u, scopes: scopes, createdAt: now,
		alive: map[*pair]struct{}{}, narrowed: map[*accessToken]struct{}{},
	}
}

// code is an authorization code, and what has to be checked at its exchange.
type code struct {
	user            *User
	scopes          []string
	redirectURI     string
	challenge       string
	challengeMethod string
	expiresAt       time.Time
	spent           bool
}

// pair is one access and one refresh token that were issued together.
type pair struct {
	grant    *grant
	access   *accessToken
	refresh  *refreshToken
	parent   *pair   // the pair that this one replaces, until it has
	children []*pair // pairs that were issued for this one's refresh token
	used     bool
}

type accessToken struct {
	value     string
	grant     *grant
	pair      *pair        // nil if narrowed
	parent    *accessToken // the token that this one was narrowed from
	scopes    []string
	object    *item // nil: not restricted to an item
	issuedAt  time.Time
	expiresAt time.Time
	dead      bool
	announced int64 // the last expires_in that was sent
}

// works says whether the API accepts the token.
func (t *accessToken) works(now time.Time) bool {
	return !t.dead && now.Before(t.expiresAt) && (t.parent == nil || t.parent.works(now))
}

// refreshState is what has become of a refresh token, its expiry aside.
type refreshState string

const (
	refreshLive     refreshState = "live"
	refreshConsumed refreshState = "consumed"
	refreshRevoked  refreshState = "revoked"
)

type refreshToken struct {
	value     string
	pair      *pair
	issuedAt  time.Time
	expiresAt time.Time
	state     refreshState
}

const (
	alphanumeric    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	lowercase       = "0123456789abcdefghijklmnopqrstuvwxyz"
	narrowedLetters = alphanumeric + "-_"
)

// limits bound the memory of a long run.
type limits struct {
	pairs    int // the oldest dead ones are forgotten first
	codes    int // and as many open consent pages
	narrowed int // tokens of one grant
	requests int // in the journal; the oldest are forgotten first
}

func defaultLimits() limits {
	return limits{pairs: 100_000, codes: 10_000, narrowed: 10_000, requests: 100_000}
}

// randomString draws letters evenly: bytes beyond the last whole multiple of
// the alphabet are drawn again. crypto/rand.Read never fails.
func randomString(n int, letters string) string {
	limit := 256 - 256%len(letters)
	out := make([]byte, 0, n)
	buf := make([]byte, n)
	for len(out) < n {
		_, _ = rand.Read(buf)
		for _, b := range buf[:n-len(out)] {
			if int(b) < limit {
				out = append(out, letters[int(b)%len(letters)])
			}
		}
	}
	return string(out)
}

// newPair issues a pair. The caller holds s.mu.
func (s *Server) newPair(g *grant, parent *pair, now time.Time) *pair {
	p := &pair{grant: g, parent: parent}
	p.access = s.newAccess(p, now)
	p.refresh = &refreshToken{
		value: randomString(64, alphanumeric), pair: p, issuedAt: now,
		expiresAt: now.Add(time.Duration(s.knobs.RefreshLifetime)), state: refreshLive,
	}
	g.alive[p] = struct{}{}
	s.refreshTokens[p.refresh.value] = p.refresh
	s.pairs = append(s.pairs, p)
	if parent != nil {
		parent.children = append(parent.children, p)
	}
	s.counters.PairsIssued++
	s.forget(now)
	return p
}

func (s *Server) newAccess(p *pair, now time.Time) *accessToken {
	lifetime := time.Duration(s.knobs.AccessLifetime)
	if lifetime == 0 {
		lifetime = time.Duration(3600+mathrand.IntN(601)) * time.Second //nolint:gosec // not a secret
	}
	t := &accessToken{
		value: randomString(32, alphanumeric), grant: p.grant, pair: p, scopes: p.grant.scopes,
		issuedAt: now, expiresAt: now.Add(lifetime),
	}
	s.accessTokens[t.value] = t
	return t
}

// forget drops the oldest pairs of which nothing works any more.
func (s *Server) forget(now time.Time) {
	for tries := 0; len(s.pairs) > s.limits.pairs && tries < 16; tries++ {
		p := s.pairs[0]
		s.pairs[0] = nil
		s.pairs = s.pairs[1:]
		if p.access.works(now) || p.refresh.state == refreshLive {
			s.pairs = append(s.pairs, p)
			continue
		}
		delete(s.accessTokens, p.access.value)
		delete(s.refreshTokens, p.refresh.value)
		delete(p.grant.alive, p)
	}
}

// revoke kills everything that a grant gave. Narrowed tokens end with those
// that they came from. The caller holds s.mu.
func (g *grant) revoke() {
	for p := range g.alive {
		p.kill(refreshRevoked)
	}
	clear(g.alive)
	clear(g.narrowed)
}

func (p *pair) kill(state refreshState) {
	p.access.dead = true
	if p.refresh.state == refreshLive {
		p.refresh.state = state
	}
}
