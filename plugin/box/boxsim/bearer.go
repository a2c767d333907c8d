package boxsim

import (
	"net/http"
	"slices"
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
	c.entry.User = token.grant.user.Login
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

// readScopes let a token read folders and their lists.
var readScopes = []string{"root_readonly", "root_readwrite", "base_explorer", "base_picker", "item_read", "item_readwrite"}

// mayRead says why a token may not read an item, or nil. The caller holds s.mu.
func (s *Server) mayRead(t *accessToken, it *item) *answer {
	if !slices.ContainsFunc(readScopes, func(scope string) bool { return slices.Contains(t.scopes, scope) }) {
		a := challenge(http.StatusForbidden, challengeInsufficientScope)
		return &a
	}
	if t.object != nil && !it.within(t.object) {
		a := apiRefusal(http.StatusForbidden, "access_denied_insufficient_permissions", "Access denied - insufficient permission", nil)
		return &a
	}
	return nil
}
