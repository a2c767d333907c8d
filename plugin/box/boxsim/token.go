package boxsim

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// The grant types that the token endpoint knows.
const (
	grantCode              = "authorization_code"
	grantRefresh           = "refresh_token"
	grantClientCredentials = "client_credentials"
	grantJWT               = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	grantExchange          = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// tokenBody is a token answer, its fields in the order of captured samples.
type tokenBody struct {
	AccessToken     string          `json:"access_token"`
	ExpiresIn       json.RawMessage `json:"expires_in,omitempty"`
	RestrictedTo    []restriction   `json:"restricted_to"`
	RefreshToken    string          `json:"refresh_token,omitempty"`
	TokenType       string          `json:"token_type"`
	IssuedTokenType string          `json:"issued_token_type,omitempty"`
}

// token answers POST /oauth2/token.
func (s *Server) token(c *call) answer {
	now := s.clock.now()
	s.counters.TokenRequests++
	if !s.admitToken(now) {
		s.counters.RateLimited++
		return rowByName("token_rate_limited").answer()
	}
	if !c.formOK {
		return oauthRefusal(http.StatusBadRequest, "invalid_request", descInvalidRequest)
	}
	grantType := c.form.Get("grant_type")
	switch grantType {
	case grantCode, grantRefresh:
		if !s.clientOK(c.form) {
			return oauthRefusal(http.StatusBadRequest, "invalid_client", descInvalidClient)
		}
		if grantType == grantCode {
			return s.exchangeCode(c, now)
		}
		return s.refresh(c, now)
	case grantExchange:
		return s.narrow(c, now)
	case grantClientCredentials, grantJWT:
		if !s.clientOK(c.form) {
			return oauthRefusal(http.StatusBadRequest, "invalid_client", descInvalidClient)
		}
		return rowByName("token_grant_type_unauthorized").answer()
	default:
		return oauthRefusal(http.StatusBadRequest, "invalid_request", descInvalidRequest)
	}
}

// clientOK checks the credentials in the body, the only place where Box reads
// them.
func (s *Server) clientOK(form url.Values) bool {
	id := sha256.Sum256([]byte(form.Get("client_id")))
	secret := sha256.Sum256([]byte(form.Get("client_secret")))
	wantID, wantSecret := sha256.Sum256([]byte(s.clientID)), sha256.Sum256([]byte(s.clientSecret))
	return subtle.ConstantTimeCompare(id[:], wantID[:])&subtle.ConstantTimeCompare(secret[:], wantSecret[:]) == 1
}

// admitToken keeps the token endpoint within its rate, counted over the last
// second of the emulator's clock.
func (s *Server) admitToken(now time.Time) bool {
	if s.knobs.TokenRate == 0 {
		return true
	}
	kept := s.tokenTimes[:0]
	for _, t := range s.tokenTimes {
		if age := now.Sub(t); age >= 0 && age < time.Second {
			kept = append(kept, t)
		}
	}
	s.tokenTimes = kept
	if len(kept) >= s.knobs.TokenRate {
		return false
	}
	s.tokenTimes = append(kept, now)
	return true
}

func (s *Server) exchangeCode(c *call, now time.Time) answer {
	value := c.form.Get("code")
	if value == "" {
		return oauthRefusal(http.StatusBadRequest, "invalid_request", descInvalidRequest)
	}
	cd := s.codes[value]
	if cd == nil || cd.spent {
		if cd != nil {
			s.counters.CodesReused++
		}
		return oauthRefusal(http.StatusBadRequest, "invalid_grant", descInvalidCode)
	}
	if !now.Before(cd.expiresAt) {
		return oauthRefusal(http.StatusBadRequest, "invalid_grant", "The authorization code has expired")
	}
	c.entry.PKCE = pkce(cd, c.form.Get("code_verifier"))
	if s.knobs.EnforcePKCE && c.entry.PKCE != "" && c.entry.PKCE != pkceMatch {
		return oauthRefusal(http.StatusBadRequest, "invalid_grant", descInvalidCode)
	}
	if cd.user.Deactivated {
		return oauthRefusal(http.StatusBadRequest, "account_deactivated", "User's account has been deactivated")
	}
	cd.spent = true
	s.counters.CodesExchanged++
	return s.pairAnswer(c, s.newPair(newGrant(cd.user, cd.scopes, now), nil, now), now)
}

// What became of a code verifier, for the journal.
const (
	pkceMatch    = "match"
	pkceMismatch = "mismatch"
	pkceMissing  = "missing"
)

// pkce compares a code verifier with the challenge; empty if there was none.
func pkce(cd *code, verifier string) string {
	switch {
	case cd.challenge == "":
		return ""
	case verifier == "":
		return pkceMissing
	}
	got := verifier
	if cd.challengeMethod == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		got = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if subtle.ConstantTimeCompare([]byte(got), []byte(cd.challenge)) == 1 {
		return pkceMatch
	}
	return pkceMismatch
}

func (s *Server) refresh(c *call, now time.Time) answer {
	value := c.form.Get("refresh_token")
	if value == "" {
		return oauthRefusal(http.StatusBadRequest, "invalid_request", "No refresh token parameter found")
	}
	if rt := s.refreshTokens[value]; rt != nil {
		c.entry.User = rt.pair.grant.user.Login
	}
	p, refused := s.renew(value, now)
	if refused != nil {
		return *refused
	}
	return s.pairAnswer(c, p, now)
}

func (s *Server) pairAnswer(c *call, p *pair, now time.Time) answer {
	body := tokenBody{
		AccessToken: p.access.value, ExpiresIn: s.expiresIn(p.access, now), RestrictedTo: []restriction{},
		RefreshToken: p.refresh.value, TokenType: "bearer",
	}
	if s.knobs.OmitRefreshToken {
		body.RefreshToken = ""
	}
	c.entry.User = p.grant.user.Login
	c.note("issued_access_token", p.access.value)
	c.note("issued_refresh_token", p.refresh.value)
	return jsonAnswer(http.StatusOK, body)
}

// expiresIn is the remaining time of a token. Box was seen to answer a
// repeated renewal with the same token and another expires_in, so it differs
// each time even if no second has passed.
func (s *Server) expiresIn(t *accessToken, now time.Time) json.RawMessage {
	switch raw := s.knobs.ExpiresIn; raw {
	case "":
	case AbsentExpiresIn:
		return nil
	default:
		return json.RawMessage(raw)
	}
	left := int64(math.Ceil(t.expiresAt.Sub(now).Seconds()))
	if t.announced > 1 && left >= t.announced {
		left = t.announced - 1
	}
	t.announced = left
	return json.RawMessage(strconv.FormatInt(left, 10))
}
