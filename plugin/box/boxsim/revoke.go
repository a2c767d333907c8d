package boxsim

import "net/http"

// revokeToken answers POST /oauth2/revoke: either token of a pair ends the
// whole grant, a narrowed token ends itself alone, and a token that is dead or
// unknown is no error.
func (s *Server) revokeToken(c *call) answer {
	if !c.formOK {
		return oauthRefusal(http.StatusBadRequest, "invalid_request", descInvalidRequest)
	}
	switch c.form.Get("client_id") {
	case s.clientID:
	case "":
		return oauthRefusal(http.StatusBadRequest, "invalid_request", "Client id was not found in the headers or body")
	default:
		return oauthRefusal(http.StatusBadRequest, "invalid_request", "The client is invalid")
	}
	if !s.clientOK(c.form) {
		return oauthRefusal(http.StatusBadRequest, "invalid_client", descInvalidClient)
	}
	value := c.form.Get("token")
	if value == "" {
		return oauthRefusal(http.StatusBadRequest, "invalid_request", descInvalidRequest)
	}
	s.counters.Revocations++
	if t := s.accessTokens[value]; t != nil && t.works(s.clock.now()) {
		if t.pair == nil {
			t.dead = true
		} else {
			t.grant.revoke()
		}
	}
	if t := s.refreshTokens[value]; t != nil && t.state == refreshLive {
		t.pair.grant.revoke()
	}
	return answer{status: http.StatusOK}
}
