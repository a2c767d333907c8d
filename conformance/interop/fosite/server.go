// Package authserver is an OAuth 2.0 authorization server of the strictest
// kind, with a small API behind it that looks like Box's: it is built on
// github.com/ory/fosite, which takes a refresh token once and ends the whole
// family of tokens when one comes a second time.
//
// The Box connector meets it in this module's tests, through settings alone.
// The server keeps count of the refresh tokens that it was sent.
package authserver

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	"github.com/boxconnection/connector/conformance/interop/authrig"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"
)

const (
	// hashCost is bcrypt's cheapest: the secret lives as long as a test.
	hashCost = 4
	// refreshLife is how long a refresh token lasts unused.
	refreshLife = time.Hour
)

// Scopes are those that the client is registered with. Fosite gives a refresh
// token only with "offline".
var Scopes = []string{"offline", "root_readonly"}

// Server is a running authorization server. It is safe for concurrent use.
type Server struct {
	authrig.Record // of what it was asked

	clientID, clientSecret string

	http *httptest.Server

	// mu makes one request at a time of what fosite's store in memory would do
	// in a transaction: look at a refresh token, and retire it.
	mu       sync.Mutex
	provider fosite.OAuth2Provider
	store    *storage.MemoryStore
	client   *fosite.DefaultClient
	consents bool
}

// Start starts a server whose access tokens last for accessLife, in whole
// seconds. No redirect URI is registered, and nobody consents, until it is
// told so. Close ends it.
func Start(accessLife time.Duration) (*Server, error) {
	config := &fosite.Config{
		AccessTokenLifespan: accessLife, RefreshTokenLifespan: refreshLife, AuthorizeCodeLifespan: time.Minute,
		GlobalSecret: make([]byte, 32), HashCost: hashCost, EnforcePKCE: true,
		ScopeStrategy: fosite.ExactScopeStrategy, DisableRefreshTokenValidation: true,
	}
	_, _ = rand.Read(config.GlobalSecret) // it never fails, as of Go 1.24
	s := &Server{
		clientID: "client-" + rand.Text(), clientSecret: rand.Text(), store: storage.NewMemoryStore(),
	}
	hashed, err := (&fosite.BCrypt{Config: config}).Hash(context.Background(), []byte(s.clientSecret))
	if err != nil {
		return nil, fmt.Errorf("hash the client's secret: %w", err)
	}
	s.client = &fosite.DefaultClient{
		ID: s.clientID, Secret: hashed, Scopes: slices.Clone(Scopes),
		ResponseTypes: []string{"code"}, GrantTypes: []string{"authorization_code", "refresh_token"},
	}
	s.store.Clients[s.clientID] = s.client
	s.provider = compose.Compose(config, s.store, compose.NewOAuth2HMACStrategy(config),
		compose.OAuth2AuthorizeExplicitFactory, compose.OAuth2RefreshTokenGrantFactory, compose.OAuth2PKCEFactory,
		compose.OAuth2TokenIntrospectionFactory, compose.OAuth2TokenRevocationFactory)

	mux := http.NewServeMux()
	for pattern, handle := range map[string]http.HandlerFunc{
		"GET /oauth2/authorize": s.authorize, "POST /oauth2/token": s.token, "POST /oauth2/revoke": s.revoke,
		"GET /2.0/": authrig.API(s.authenticate),
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			handle(w, r)
		})
	}
	s.http = httptest.NewServer(mux)
	return s, nil
}

// Close ends the server when its last answer is out.
func (s *Server) Close() { s.http.Close() }

// Secret is the client's secret.
func (s *Server) Secret() string { return s.clientSecret }

// Settings are the settings of a Box connection to this server, without the
// client's secret.
func (s *Server) Settings() map[string]string {
	return map[string]string{
		"authorize_url": s.http.URL + "/oauth2/authorize", "token_url": s.http.URL + "/oauth2/token",
		"revoke_url": s.http.URL + "/oauth2/revoke", "api_url": s.APIURL(),
		"client_id": s.clientID, "scopes": "offline root_readonly",
	}
}

// APIURL is the base of the API.
func (s *Server) APIURL() string { return s.http.URL + "/2.0" }

// Register registers a redirect URI with the client, to the letter.
func (s *Server) Register(redirectURI string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client.RedirectURIs = append(s.client.RedirectURIs, redirectURI)
}

// Consent says what the person at the browser answers from now on.
func (s *Server) Consent(allow bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.consents = allow
}

// Alive is the number of refresh tokens that still work.
func (s *Server) Alive() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for signature := range s.store.RefreshTokens {
		if _, err := s.store.GetRefreshTokenSession(context.Background(), signature, nil); err == nil {
			n++
		}
	}
	return n
}
