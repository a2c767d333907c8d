// Package opserver is an OpenID provider with a small API behind it that looks
// like Box's: it is built on github.com/zitadel/oidc, over a storage of its own
// that takes a refresh token once and ends the whole family of tokens when one
// comes a second time.
//
// The Box connector meets it in this module's tests, through settings alone.
package opserver

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/boxconnection/connector/conformance/interop/authrig"
)

// apiScope is the scope of the API. The provider gives a refresh token only
// with offline_access.
const apiScope = "root_readonly"

// Server is a running provider. It is safe for concurrent use.
type Server struct {
	authrig.Record // of what it was asked

	http     *httptest.Server
	storage  *storage
	provider *op.Provider
}

// Start starts a provider whose access tokens last for accessLife. No redirect
// URI is registered, and everybody consents. Close ends it.
func Start(accessLife time.Duration) (*Server, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	s := &Server{}
	s.storage = &storage{
		secret: rand.Text(), accessLife: accessLife, key: key, record: &s.Record,
		client:   client{id: "client-" + rand.Text()},
		requests: map[string]*signIn{}, codes: map[string]*signIn{},
		refresh: map[string]*family{}, access: map[string]*family{},
	}
	mux := http.NewServeMux()
	s.http = httptest.NewServer(mux)
	config := &op.Config{CodeMethodS256: true, AuthMethodPost: true, GrantTypeRefreshToken: true}
	_, _ = rand.Read(config.CryptoKey[:]) // it never fails, as of Go 1.24
	s.provider, err = op.NewProvider(config, s.storage, op.StaticIssuer(s.http.URL), op.WithAllowInsecure())
	if err != nil {
		s.http.Close()
		return nil, err
	}
	mux.Handle("/", s.provider)
	mux.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, r *http.Request) {
		s.Request(r.PostFormValue("grant_type"), r.PostFormValue("refresh_token"))
		s.provider.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET "+loginPath, s.login)
	mux.HandleFunc("GET /2.0/", authrig.API(s.authenticate))
	return s, nil
}

// Close ends the server when its last answer is out.
func (s *Server) Close() { s.http.Close() }

// login stands for the login page and the person in front of it.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	s.storage.mu.Lock()
	if asked := s.storage.requests[id]; asked != nil {
		asked.consent = true
	}
	s.storage.mu.Unlock()
	http.Redirect(w, r, op.AuthCallbackURL(s.provider)(op.ContextWithIssuer(r.Context(), s.http.URL), id), http.StatusFound)
}

// authenticate lets live access tokens pass.
func (s *Server) authenticate(r *http.Request) (subject string, err error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "", authrig.ErrNoToken
	}
	text, err := s.provider.Crypto().Decrypt(token)
	id, subject, ok := strings.Cut(text, ":")
	if err != nil || !ok || !s.storage.accepts(id) {
		return "", authrig.ErrBadToken
	}
	return subject, nil
}

// Settings are the settings of a Box connection to this server, without the
// client's secret.
func (s *Server) Settings() map[string]string {
	return map[string]string{
		"authorize_url": s.http.URL + "/authorize", "token_url": s.http.URL + "/oauth/token",
		"revoke_url": s.http.URL + "/revoke", "api_url": s.APIURL(),
		"client_id": s.storage.client.id, "scopes": "openid offline_access " + apiScope,
	}
}

// Secret is the client's secret.
func (s *Server) Secret() string { return s.storage.secret }

// APIURL is the base of the API.
func (s *Server) APIURL() string { return s.http.URL + "/2.0" }

// Register registers a redirect URI with the client, to the letter.
func (s *Server) Register(redirectURI string) {
	s.storage.mu.Lock()
	defer s.storage.mu.Unlock()
	s.storage.client.redirects = append(s.storage.client.redirects, redirectURI)
}

// Alive is the number of refresh tokens that still work.
func (s *Server) Alive() int {
	s.storage.mu.Lock()
	defer s.storage.mu.Unlock()
	n := 0
	for _, f := range s.storage.families {
		if !f.over {
			n++
		}
	}
	return n
}
