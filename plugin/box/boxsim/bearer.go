package boxsim

import (
	"net/http"
	"strings"
)

// authenticate finds the access token that a call presents. Presenting a
// working one is its use, which may commit a rotation. The caller holds s.mu.
func (s *Server) authenticate(c *call) (*accessToken, *answer) {
	value, ok := bearer(c.r)
	if !ok {
		a := challenge(http.StatusUnauthorized, `Bearer realm="Service"`)
		return nil, &a
	}
	token := s.accessTokens[value]
	if token == nil || !token.works(s.clock.now()) {
		s.counters.RefusedCalls++
		a := challenge(http.StatusUnauthorized, challengeInvalidToken)
		return nil, &a
	}
	c.token = token
	c.entry.User, c.entry.Scopes, c.entry.Narrowed = token.grant.user.Login, token.scopes, token.pair == nil
	if token.object != nil {
		c.entry.Resource = token.object.kind + "/" + token.object.id
	}
	if token.grant.user.Deactivated {
		a := apiRefusal(http.StatusUnauthorized, "unauthorized", "User has been deactivated", nil)
		return nil, &a
	}
	if token.pair != nil {
		s.use(token.pair)
	}
	return token, nil
}

func bearer(r *http.Request) (string, bool) {
	scheme, value, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(value), ok && strings.EqualFold(scheme, "bearer") && strings.TrimSpace(value) != ""
}

// expirePresented lets the access token expire that a call presents.
func (s *Server) expirePresented(c *call) {
	value, _ := bearer(c.r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if token := s.accessTokens[value]; token != nil {
		token.expiresAt = s.clock.now()
	}
}
