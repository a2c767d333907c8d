package opserver

import (
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// loginPath is where the provider sends the browser to.
const loginPath = "/login"

// client is the one registered client, as the provider asks for it. The
// redirect URIs are those of the moment.
type client struct {
	id        string
	redirects []string
}

var _ op.Client = client{}

func (c client) GetID() string                       { return c.id }
func (c client) RedirectURIs() []string              { return c.redirects }
func (c client) PostLogoutRedirectURIs() []string    { return nil }
func (c client) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (c client) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodPost }
func (c client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (c client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
}
func (c client) LoginURL(request string) string       { return loginPath + "?id=" + request }
func (c client) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeBearer }
func (c client) IDTokenLifetime() time.Duration       { return time.Minute }
func (c client) IsScopeAllowed(scope string) bool     { return scope == apiScope }
func (c client) IDTokenUserinfoClaimsAssertion() bool { return false }
func (c client) ClockSkew() time.Duration             { return 0 }
func (c client) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return slices.Clone[[]string]
}
func (c client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return slices.Clone[[]string]
}

// DevMode lets a redirect URI be http on this machine.
func (c client) DevMode() bool { return true }

// signIn is an authorization request, and what became of it.
type signIn struct {
	id      string
	asked   *oidc.AuthRequest
	consent bool
	at      time.Time
}

var _ op.AuthRequest = (*signIn)(nil)

func (s *signIn) GetID() string                      { return s.id }
func (s *signIn) GetACR() string                     { return "" }
func (s *signIn) GetAMR() []string                   { return nil }
func (s *signIn) GetAudience() []string              { return []string{s.asked.ClientID} }
func (s *signIn) GetAuthTime() time.Time             { return s.at }
func (s *signIn) GetClientID() string                { return s.asked.ClientID }
func (s *signIn) GetNonce() string                   { return s.asked.Nonce }
func (s *signIn) GetRedirectURI() string             { return s.asked.RedirectURI }
func (s *signIn) GetResponseType() oidc.ResponseType { return s.asked.ResponseType }
func (s *signIn) GetResponseMode() oidc.ResponseMode { return s.asked.ResponseMode }
func (s *signIn) GetScopes() []string                { return s.asked.Scopes }
func (s *signIn) GetState() string                   { return s.asked.State }
func (s *signIn) GetSubject() string                 { return subject }
func (s *signIn) Done() bool                         { return s.consent }
func (s *signIn) GetCodeChallenge() *oidc.CodeChallenge {
	if s.asked.CodeChallenge == "" {
		return nil
	}
	return &oidc.CodeChallenge{Challenge: s.asked.CodeChallenge, Method: s.asked.CodeChallengeMethod}
}

// renewal is a refresh token's grant, as the provider asks for it.
type renewal struct {
	family *family
	scopes []string
}

var _ op.RefreshTokenRequest = (*renewal)(nil)

func (r *renewal) GetAMR() []string             { return nil }
func (r *renewal) GetAudience() []string        { return []string{r.family.clientID} }
func (r *renewal) GetAuthTime() time.Time       { return r.family.since }
func (r *renewal) GetClientID() string          { return r.family.clientID }
func (r *renewal) GetScopes() []string          { return r.scopes }
func (r *renewal) GetSubject() string           { return subject }
func (r *renewal) SetCurrentScopes(to []string) { r.scopes = to }
