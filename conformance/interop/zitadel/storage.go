package opserver

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/boxconnection/connector/conformance/interop/authrig"
)

const subject = authrig.Subject

var errUnknown = errors.New("there is no such thing")

// family is what one sign-in gave: the refresh token that works, and the access
// token that came with it.
type family struct {
	clientID string
	scopes   []string
	since    time.Time
	refresh  string
	access   string // its ID
	expires  time.Time
	over     bool
}

// storage is what the provider keeps: in memory, each refresh token good for
// one use. One that comes again ends its family.
type storage struct {
	secret     string
	accessLife time.Duration
	key        *rsa.PrivateKey
	record     *authrig.Record

	mu       sync.Mutex
	client   client
	consents bool
	requests map[string]*signIn
	codes    map[string]*signIn
	families []*family
	refresh  map[string]*family // spent tokens too
	access   map[string]*family
}

var _ op.Storage = (*storage)(nil)

// CreateAuthRequest keeps a sign-in.
func (s *storage) CreateAuthRequest(_ context.Context, asked *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &signIn{id: rand.Text(), asked: asked, at: time.Now()}
	s.requests[r.id] = r
	return r, nil
}

// AuthRequestByID finds a sign-in.
func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	return s.find(func() *signIn { return s.requests[id] })
}

// AuthRequestByCode finds the sign-in of a code, which is good once.
func (s *storage) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	return s.find(func() *signIn {
		r := s.codes[code]
		delete(s.codes, code)
		return r
	})
}

func (s *storage) find(get func() *signIn) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := get(); r != nil {
		return r, nil
	}
	return nil, errUnknown
}

// SaveAuthCode keeps a code.
func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = s.requests[id]
	return nil
}

// DeleteAuthRequest ends a sign-in.
func (s *storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.requests, id)
	return nil
}

// CreateAccessToken isn't for this client, which always gets a pair.
func (s *storage) CreateAccessToken(context.Context, op.TokenRequest) (string, time.Time, error) {
	return "", time.Time{}, errUnknown
}

// CreateAccessAndRefreshTokens issues a pair, in place of the one whose refresh
// token is spent with it.
func (s *storage) CreateAccessAndRefreshTokens(_ context.Context, asked op.TokenRequest, spent string) (string, string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &family{clientID: s.client.id, scopes: slices.Clone(asked.GetScopes()), since: time.Now()}
	if spent != "" {
		var err error
		if f, err = s.live(spent); err != nil { // somebody was faster
			return "", "", time.Time{}, oidc.ErrInvalidGrant().WithParent(err)
		}
	} else {
		s.families = append(s.families, f)
	}
	f.refresh, f.access, f.expires = rand.Text(), rand.Text(), time.Now().Add(s.accessLife)
	s.refresh[f.refresh], s.access[f.access] = f, f
	s.record.Accepted(spent)
	return f.access, f.refresh, f.expires, nil
}

// TokenRequestByRefreshToken finds what a refresh token stands for.
func (s *storage) TokenRequestByRefreshToken(_ context.Context, token string) (op.RefreshTokenRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.live(token)
	if err != nil {
		return nil, err
	}
	return &renewal{f, f.scopes}, nil
}

// live returns the family of a refresh token that works. One that was spent ends
// it.
func (s *storage) live(token string) (*family, error) {
	f := s.refresh[token]
	switch {
	case f == nil:
		return nil, errUnknown
	case f.refresh != token:
		s.record.Reused()
		f.over = true
	}
	if f.over {
		return nil, errUnknown
	}
	return f, nil
}

// RevokeToken ends the family of a token.
func (s *storage) RevokeToken(_ context.Context, token, _, _ string) *oidc.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.refresh[token]
	if f == nil {
		f = s.access[token]
	}
	if f != nil {
		f.over = true
		s.record.Revoked()
	}
	return nil
}

// GetRefreshTokenInfo tells a refresh token from others.
func (s *storage) GetRefreshTokenInfo(_ context.Context, _, token string) (userID, tokenID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refresh[token] == nil {
		return "", "", op.ErrInvalidRefreshToken
	}
	return subject, token, nil
}

// accepts reports whether the API takes the access token of this ID.
func (s *storage) accepts(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.access[id]
	return f != nil && !f.over && f.access == id && time.Now().Before(f.expires)
}

// GetClientByClientID returns the one client.
func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id != s.client.id {
		return nil, errUnknown
	}
	c := s.client
	c.redirects = slices.Clone(c.redirects)
	return c, nil
}

// AuthorizeClientIDSecret checks the client's secret.
func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	if id != s.client.id || subtle.ConstantTimeCompare([]byte(secret), []byte(s.secret)) != 1 {
		return errUnknown
	}
	return nil
}

// SigningKey signs the ID tokens, which the connector doesn't read.
func (s *storage) SigningKey(context.Context) (op.SigningKey, error) { return signingKey{s.key}, nil }

// SignatureAlgorithms names the key's.
func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

type signingKey struct{ key *rsa.PrivateKey }

func (signingKey) ID() string                                  { return "key" }
func (signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k signingKey) Key() any                                  { return k.key }

// What follows isn't asked for in these tests.

func (s *storage) KeySet(context.Context) ([]op.Key, error)               { return nil, nil }
func (s *storage) Health(context.Context) error                           { return nil }
func (s *storage) TerminateSession(context.Context, string, string) error { return errUnknown }
func (s *storage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errUnknown
}
func (s *storage) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errUnknown
}
func (s *storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil
}
func (s *storage) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}
func (s *storage) SetUserinfoFromToken(context.Context, *oidc.UserInfo, string, string, string) error {
	return nil
}
func (s *storage) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errUnknown
}
