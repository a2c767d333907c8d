package authserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/ory/fosite"
)

// ErrReused says that a refresh token was sent more than once.
var ErrReused = errors.New("a refresh token was sent more than once")

// ErrNothingSpent says that no refresh token has been spent yet.
var ErrNothingSpent = errors.New("no refresh token has been spent yet")

// Counts say what the server was asked.
type Counts struct {
	TokenRequests int
	Renewals      int // refresh tokens that were accepted
	Reuses        int // refresh tokens that came after they were spent
	Revocations   int
}

// record is what the server remembers of its clients. Refresh tokens are kept
// as fingerprints, but for the one that was spent last, which Reuse sends.
type record struct {
	counts Counts
	sent   map[string]int // fingerprint of a refresh token: how often it came
	spent  string
}

func newRecord() record { return record{sent: map[string]int{}} }

func (r *record) request(grantType, refreshToken string) {
	r.counts.TokenRequests++
	if grantType == "refresh_token" {
		sum := sha256.Sum256([]byte(refreshToken))
		r.sent[hex.EncodeToString(sum[:8])]++
	}
}

func (r *record) refused(err error) {
	if errors.Is(err, fosite.ErrInactiveToken) {
		r.counts.Reuses++
	}
}

func (r *record) accepted(refreshToken string) {
	if refreshToken != "" {
		r.counts.Renewals++
		r.spent = refreshToken
	}
}

// Counts returns what was counted so far.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.counts
}

// Check fails with ErrReused if a refresh token came twice, be it that the
// server noticed or not.
func (s *Server) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for fingerprint, times := range s.record.sent {
		if times > 1 {
			return fmt.Errorf("%w: %s came %d times", ErrReused, fingerprint, times)
		}
	}
	if n := s.record.counts.Reuses; n > 0 {
		return fmt.Errorf("%w: the server noticed it %d times", ErrReused, n)
	}
	return nil
}

// Reuse sends the refresh token that was spent last again, as a second holder
// of the same token would, and returns the error's name in the answer. It
// fails with ErrNothingSpent if there is none.
func (s *Server) Reuse(ctx context.Context) (string, error) {
	s.mu.Lock()
	spent := s.record.spent
	s.mu.Unlock()
	if spent == "" {
		return "", ErrNothingSpent
	}
	form := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {spent},
		"client_id": {s.ClientID}, "client_secret": {s.ClientSecret},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.http.URL+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.http.Client().Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Error string `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer); err != nil {
		return "", fmt.Errorf("status %d: %w", resp.StatusCode, err)
	}
	return answer.Error, nil
}
