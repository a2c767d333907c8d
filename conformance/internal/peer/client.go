// Package peer is the suite's side of the control protocol (PEER.md) of the
// service that stands behind a connector under test.
package peer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 16 << 20
	// callLimit bounds one control call.
	callLimit = 10 * time.Second
	// pollEvery is how often a condition is looked at.
	pollEvery = 10 * time.Millisecond
)

// Kind says what a request to the service was for.
type Kind string

// The kinds.
const (
	Authorize Kind = "authorize"
	Token     Kind = "token"
	Revoke    Kind = "revoke"
	API       Kind = "api"
	Other     Kind = "other"
	Any       Kind = "any" // in faults only
)

// Grants of token requests, by their names in RFC 6749.
const (
	CodeGrant    = "authorization_code"
	RefreshGrant = "refresh_token"
)

// Request is what the service remembers of a request.
type Request struct {
	Seq       int64  `json:"seq"`
	Kind      Kind   `json:"kind"`
	Grant     string `json:"grant"`
	Status    int    `json:"status"`
	Succeeded bool   `json:"succeeded"`
	Done      bool   `json:"done"`
	Gone      bool   `json:"gone"`
	// Presented and Issued are fingerprints of tokens.
	Presented   []string `json:"presented"`
	Issued      []string `json:"issued"`
	RedirectURI string   `json:"redirect_uri"`
}

// Fault makes requests fail.
type Fault struct {
	On    Kind   `json:"on"`
	Grant string `json:"grant,omitempty"`
	// Times is how many requests it meets; -1 means all.
	Times int `json:"times"`

	Status  int               `json:"status,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	Drop    string            `json:"drop,omitempty"` // "before" or "after" the request took effect
	Hold    bool              `json:"hold,omitempty"`
	DelayMS int               `json:"delay_ms,omitempty"`
	Meaning string            `json:"meaning,omitempty"`
}

// Meanings of faults that a service words in its own way.
const (
	ClientRejected = "client_rejected"
	UnusableAccess = "unusable_access"
	NarrowWider    = "narrow_wider"
	ScopesUntold   = "scopes_untold"
	NotRenewable   = "not_renewable"
)

// Alive counts the tokens that work.
type Alive struct {
	Access  int `json:"access"`
	Renewal int `json:"renewal"`
}

// Client calls the control protocol.
type Client struct {
	// URL is the base, Token the bearer token of the control protocol.
	URL, Token string
	// HTTP is the client to use.
	HTTP *http.Client
}

// Consent lets a person decide and returns the callback URL.
func (c *Client) Consent(ctx context.Context, authorizationURL, decision, person string) (string, error) {
	var out struct {
		Callback string `json:"callback"`
	}
	err := c.do(ctx, http.MethodPost, "/consent", map[string]string{
		"url": authorizationURL, "decision": decision, "person": person,
	}, &out)
	if err == nil && out.Callback == "" {
		err = errors.New("peer: no callback")
	}
	return out.Callback, err
}

// Requests lists what came after a number.
func (c *Client) Requests(ctx context.Context, since int64) ([]Request, int64, error) {
	var out struct {
		Requests []Request `json:"requests"`
		Last     int64     `json:"last"`
	}
	q := url.Values{"since": {strconv.FormatInt(since, 10)}}
	err := c.do(ctx, http.MethodGet, "/requests?"+q.Encode(), nil, &out)
	return out.Requests, out.Last, err
}

// Await polls until the list satisfies a condition or the context ends.
func (c *Client) Await(ctx context.Context, since int64, ok func([]Request) bool) ([]Request, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		list, _, err := c.Requests(ctx, since)
		if err != nil || ok(list) {
			return list, err
		}
		select {
		case <-ctx.Done():
			return list, ctx.Err()
		case <-tick.C:
		}
	}
}

// Fault adds a fault.
func (c *Client) Fault(ctx context.Context, f Fault) error {
	if f.Times == 0 {
		f.Times = 1
	}
	return c.do(ctx, http.MethodPost, "/faults", f, nil)
}

// ClearFaults removes all faults and lets go what they hold.
func (c *Client) ClearFaults(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "/faults", nil, nil)
}

// Lifetime sets how long access tokens that are issued from now on last.
func (c *Client) Lifetime(ctx context.Context, d time.Duration) error {
	return c.do(ctx, http.MethodPost, "/lifetime", map[string]int64{"seconds": int64(d / time.Second)}, nil)
}

// Expire ends all access tokens, Kill all grants.
func (c *Client) Expire(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/expire", struct{}{}, nil)
}

// Kill ends all access tokens and all renewals.
func (c *Client) Kill(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/kill", struct{}{}, nil)
}

// Rotate lets the service replace every renewal token by another one that
// nobody was told.
func (c *Client) Rotate(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/rotate", struct{}{}, nil)
}

// Advance moves the service's clock.
func (c *Client) Advance(ctx context.Context, d time.Duration) error {
	return c.do(ctx, http.MethodPost, "/clock", map[string]int64{"advance_seconds": int64(d / time.Second)}, nil)
}

// Alive counts the tokens that work.
func (c *Client) Alive(ctx context.Context) (a Alive, err error) {
	err = c.do(ctx, http.MethodGet, "/alive", nil, &a)
	return a, err
}

// Reset makes the service as it was when it started.
func (c *Client) Reset(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/reset", struct{}{}, nil)
}

// Fingerprint is how a token is shown in a list of requests.
func Fingerprint(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:8])
}

func (c *Client) do(ctx context.Context, method, path string, in, out any) (err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("peer: %s %s answered %d: %.200s", method, path, resp.StatusCode, data)
	}
	if out == nil || len(data) == 0 {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("peer: %s %s: %w", method, path, err)
	}
	return nil
}
