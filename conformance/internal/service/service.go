// Package service is a small OAuth 2.0 service under control: a peer (PEER.md)
// for connectors whose service is nothing in particular. Renewal tokens rotate
// and can be replayed until the new pair is used.
package service

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/boxconnection/connector/conformance/internal/peer"
)

const (
	codeLifetime = time.Minute
	lifetime     = time.Hour
	maxBody      = 1 << 20
	exchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// scopes are what a grant has unless fewer are asked for.
var scopes = []string{"read", "write"}

// Service is the service. It is safe for concurrent use.
type Service struct {
	ClientID, ClientSecret, ControlToken string

	mux *http.ServeMux

	mu       sync.Mutex
	offset   time.Duration
	life     time.Duration
	untold   bool
	codes    map[string]*code
	tokens   map[string]*token
	journal  []*peer.Request
	last     int64
	faults   []*fault
	released chan struct{} // closed and replaced when faults are removed
}

// code is an authorization code.
type code struct {
	person, redirect, challenge string
	scopes                      []string
	ends                        time.Time
	used                        bool
}

// pair is an access token and its renewal, of which at most one waits for its
// first use.
type pair struct {
	person string
	scopes []string
	parent *pair // whose renewal gives this pair again until it is used
	child  *pair
	access string
	renew  string
}

// token is what a token is good for.
type token struct {
	pair    *pair
	renewal bool
	scopes  []string
	ends    time.Time
	dead    bool
}

// New returns a service with credentials of its own.
func New() *Service {
	s := &Service{
		ClientID: random(), ClientSecret: random(), ControlToken: random(), mux: http.NewServeMux(), released: make(chan struct{}),
	}
	s.reset()
	s.mux.HandleFunc("/authorize", s.page)
	s.mux.HandleFunc("/token", s.endpoint(peer.Token, s.token))
	s.mux.HandleFunc("/revoke", s.endpoint(peer.Revoke, s.revoke))
	s.mux.HandleFunc("/api/", s.endpoint(peer.API, s.api))
	s.mux.HandleFunc("/", s.endpoint(peer.Other, func(*http.Request, url.Values, *peer.Request) (int, any) { return http.StatusNotFound, nil }))
	s.mux.HandleFunc("/control/", s.control)
	return s
}

// ServeHTTP serves the service, and below /control/ the protocol.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Vars are what the peer's line holds, for a service at a base URL.
func (s *Service) Vars(base string) map[string]string {
	return map[string]string{
		"base_url": base, "control_url": base + "/control", "control_token": s.ControlToken,
		"client_id": s.ClientID, "client_secret": s.ClientSecret,
	}
}

func (s *Service) reset() {
	s.life, s.untold, s.offset = lifetime, false, 0
	s.codes, s.tokens, s.journal = map[string]*code{}, map[string]*token{}, nil
	s.clearFaults()
}

func (s *Service) clearFaults() {
	s.faults = nil
	close(s.released)
	s.released = make(chan struct{})
}

func (s *Service) now() time.Time { return time.Now().Add(s.offset) }

// endpoint notes a request, meets it with faults, and answers in JSON. The
// handler is called with the lock held.
func (s *Service) endpoint(kind peer.Kind, handle func(*http.Request, url.Values, *peer.Request) (int, any)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, maxBody))
		form, _ := url.ParseQuery(string(body))
		entry := &peer.Request{Kind: kind, Grant: form.Get("grant_type"), RedirectURI: form.Get("redirect_uri"), Presented: presented(r, form), Issued: []string{}}
		s.mu.Lock()
		s.last++
		entry.Seq = s.last
		s.journal = append(s.journal, entry)
		f := s.meet(entry)
		released := s.released
		s.mu.Unlock()
		done := func(status int, gone bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			entry.Status, entry.Gone, entry.Done = status, gone, true
		}
		if f != nil && !f.pause(r, released) {
			done(0, true)
			return
		}
		if f != nil && f.Drop == "before" {
			done(0, false)
			drop(w)
			return
		}
		if f != nil && f.Status != 0 {
			for name, value := range f.Headers {
				w.Header().Set(name, value)
			}
			done(f.Status, false)
			w.WriteHeader(f.Status)
			_, _ = io.WriteString(w, f.Body)
			return
		}
		s.mu.Lock()
		status, answer := handle(r, form, entry)
		entry.Succeeded = status < http.StatusBadRequest && (f == nil || f.Drop == "")
		if f != nil && f.Meaning != "" {
			status, answer = f.spoil(status, answer)
		}
		s.mu.Unlock()
		done(status, false)
		if f != nil && f.Drop == "after" {
			drop(w)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if status == http.StatusUnauthorized && kind == peer.API {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		}
		w.WriteHeader(status)
		if answer != nil && r.Method != http.MethodHead {
			_ = json.NewEncoder(w).Encode(answer)
		}
	}
}

func drop(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

func presented(r *http.Request, form url.Values) []string {
	out := []string{}
	for _, name := range []string{"code", "refresh_token", "subject_token", "token"} {
		if value := form.Get(name); value != "" {
			out = append(out, peer.Fingerprint(value))
		}
	}
	if value := bearer(r); value != "" {
		out = append(out, peer.Fingerprint(value))
	}
	return out
}

func bearer(r *http.Request) string {
	value, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return value
}

type refusal struct {
	Error string `json:"error"`
}

func refuse(name string) (int, any) { return http.StatusBadRequest, refusal{name} }

func (s *Service) token(_ *http.Request, form url.Values, entry *peer.Request) (int, any) {
	if form.Get("client_id") != s.ClientID || form.Get("client_secret") != s.ClientSecret {
		return refuse("invalid_client")
	}
	switch form.Get("grant_type") {
	case peer.CodeGrant:
		c := s.codes[form.Get("code")]
		if c == nil || c.used || s.now().After(c.ends) || c.redirect != form.Get("redirect_uri") || !verified(c.challenge, form.Get("code_verifier")) {
			return refuse("invalid_grant")
		}
		c.used = true
		return http.StatusOK, s.answer(s.issue(&pair{person: c.person, scopes: c.scopes}), entry)
	case peer.RefreshGrant:
		t := s.tokens[form.Get("refresh_token")]
		if t == nil || !t.renewal || t.dead {
			return refuse("invalid_grant")
		}
		s.use(t.pair)
		if t.pair.child == nil {
			t.pair.child = s.issue(&pair{person: t.pair.person, scopes: t.pair.scopes, parent: t.pair})
		}
		return http.StatusOK, s.answer(t.pair.child, entry)
	case exchange:
		return s.narrow(form, entry)
	}
	return refuse("unsupported_grant_type")
}

func verified(challenge, verifier string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return challenge == "" || base64.RawURLEncoding.EncodeToString(sum[:]) == challenge
}

func (s *Service) narrow(form url.Values, entry *peer.Request) (int, any) {
	t := s.tokens[form.Get("subject_token")]
	if t == nil || t.renewal || t.dead || s.now().After(t.ends) {
		return refuse("invalid_grant")
	}
	s.use(t.pair)
	asked := strings.Fields(form.Get("scope"))
	for _, scope := range asked {
		if !slices.Contains(t.scopes, scope) {
			return refuse("invalid_scope")
		}
	}
	value := random()
	s.tokens[value] = &token{pair: t.pair, scopes: asked, ends: t.ends}
	entry.Issued = append(entry.Issued, peer.Fingerprint(value))
	return http.StatusOK, map[string]any{"access_token": value, "token_type": "Bearer", "expires_in": int64(time.Until(t.ends) / time.Second), "scope": strings.Join(asked, " ")}
}

// issue makes the tokens of a pair.
func (s *Service) issue(p *pair) *pair {
	p.access, p.renew = random(), random()
	s.tokens[p.access] = &token{pair: p, scopes: p.scopes, ends: s.now().Add(s.life)}
	s.tokens[p.renew] = &token{pair: p, renewal: true}
	return p
}

func (s *Service) answer(p *pair, entry *peer.Request) map[string]any {
	entry.Issued = append(entry.Issued, peer.Fingerprint(p.access), peer.Fingerprint(p.renew))
	out := map[string]any{
		"access_token": p.access, "refresh_token": p.renew, "token_type": "Bearer",
		"expires_in": int64(s.tokens[p.access].ends.Sub(s.now()) / time.Second),
	}
	if !s.untold {
		out["scope"] = strings.Join(p.scopes, " ")
	}
	return out
}

// use is the first use of a pair: the one before it is dead.
func (s *Service) use(p *pair) {
	if p.parent != nil {
		s.kill(p.parent)
		p.parent = nil
	}
}

func (s *Service) kill(p *pair) {
	for _, t := range s.tokens {
		t.dead = t.dead || t.pair == p
	}
}

func (s *Service) revoke(_ *http.Request, form url.Values, _ *peer.Request) (int, any) {
	if form.Get("client_id") != s.ClientID || form.Get("client_secret") != s.ClientSecret {
		return refuse("invalid_client")
	}
	if t := s.tokens[form.Get("token")]; t != nil && !t.dead {
		for p := t.pair; p != nil; p = p.parent {
			s.kill(p)
			if p.child != nil {
				s.kill(p.child)
			}
		}
	}
	return http.StatusOK, nil
}

func (s *Service) api(r *http.Request, _ url.Values, _ *peer.Request) (int, any) {
	if r.URL.Path == "/api/ping" {
		return http.StatusOK, map[string]string{"pong": "yes"}
	}
	t := s.tokens[bearer(r)]
	if t == nil || t.renewal || t.dead || s.now().After(t.ends) {
		return http.StatusUnauthorized, nil
	}
	s.use(t.pair)
	account := map[string]string{"id": "u-" + t.pair.person, "login": t.pair.person}
	if t.pair.person != "alone" {
		account["enterprise_id"], account["enterprise_name"] = "e-1", "Example"
	}
	return http.StatusOK, account
}

// page is where a browser goes; the suite's person uses the protocol instead.
func (s *Service) page(w http.ResponseWriter, _ *http.Request) {
	_, _ = fmt.Fprintln(w, "A person would be asked here.")
}

func random() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
