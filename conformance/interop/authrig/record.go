package authrig

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
	"sync"
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

// Record is what a server remembers of its clients. Refresh tokens are kept as
// fingerprints, but for the one that was spent last, which Reuse sends. It is
// safe for concurrent use, and its zero value is empty.
type Record struct {
	mu     sync.Mutex
	counts Counts
	sent   map[string]int // fingerprint of a refresh token: how often it came
	spent  string
}

// Request notes a token request.
func (r *Record) Request(grantType, refreshToken string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.TokenRequests++
	if grantType != "refresh_token" {
		return
	}
	if r.sent == nil {
		r.sent = map[string]int{}
	}
	sum := sha256.Sum256([]byte(refreshToken))
	r.sent[hex.EncodeToString(sum[:8])]++
}

// Reused notes that a refresh token came after it was spent.
func (r *Record) Reused() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.Reuses++
}

// Accepted notes that a token request was answered; refreshToken is empty for a
// code.
func (r *Record) Accepted(refreshToken string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if refreshToken != "" {
		r.counts.Renewals++
		r.spent = refreshToken
	}
}

// Revoked notes a revocation.
func (r *Record) Revoked() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.Revocations++
}

// Counts returns what was counted so far.
func (r *Record) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// Check fails with ErrReused if a refresh token came twice, be it that the
// server noticed or not.
func (r *Record) Check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for fingerprint, times := range r.sent {
		if times > 1 {
			return fmt.Errorf("%w: %s came %d times", ErrReused, fingerprint, times)
		}
	}
	if n := r.counts.Reuses; n > 0 {
		return fmt.Errorf("%w: the server noticed it %d times", ErrReused, n)
	}
	return nil
}

// Reuse sends the refresh token that was spent last to a server's token
// endpoint again, as a second holder of the same token would, and returns the
// error's name in the answer. It fails with ErrNothingSpent if there is none.
func (r *Record) Reuse(ctx context.Context, server Server) (string, error) {
	r.mu.Lock()
	spent := r.spent
	r.mu.Unlock()
	if spent == "" {
		return "", ErrNothingSpent
	}
	settings := server.Settings()
	form := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {spent},
		"client_id": {settings["client_id"]}, "client_secret": {server.Secret()},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, settings["token_url"], strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
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
