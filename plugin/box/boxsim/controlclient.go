package boxsim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// maxControlAnswer bounds what the client reads: a full journal.
const maxControlAnswer = 256 << 20

// ErrWaitPassed says that [Control.Wait] ended before enough requests were
// seen.
var ErrWaitPassed = errors.New("fewer requests than were waited for")

// ControlError is a refusal by the control API.
type ControlError struct {
	Status  int
	Message string
}

// Error says what the emulator said.
func (e *ControlError) Error() string {
	return fmt.Sprintf("emulator: %s (status %d)", e.Message, e.Status)
}

// Control is a client of the control API. Its methods return a *[ControlError]
// for what the emulator refuses. It is safe for concurrent use.
type Control struct {
	// BaseURL is the control URL, for example http://localhost:8090/_sim.
	BaseURL string
	// Token is the control token.
	Token string
	// Client is the HTTP client; http.DefaultClient if nil.
	Client *http.Client
}

// Info returns the emulator's addresses and credentials.
func (c Control) Info(ctx context.Context) (Info, error) {
	return fetch[Info](ctx, c, http.MethodGet, "/info", nil)
}

// State returns what is alive and what was counted.
func (c Control) State(ctx context.Context) (State, error) {
	return fetch[State](ctx, c, http.MethodGet, "/state", nil)
}

// Requests lists the requests that were seen.
func (c Control) Requests(ctx context.Context, q RequestQuery) ([]Request, error) {
	list, err := fetch[requestList](ctx, c, http.MethodGet, "/requests?"+q.query().Encode(), nil)
	return list.Requests, err
}

// Wait returns the matching requests as soon as there are n of them. After the
// time has passed, at most a minute, it returns those that there are with
// [ErrWaitPassed].
func (c Control) Wait(ctx context.Context, q RequestQuery, n int, limit time.Duration) ([]Request, error) {
	p := q.query()
	p.Set("wait", limit.String())
	p.Set("count", strconv.Itoa(n))
	list, err := fetch[requestList](ctx, c, http.MethodGet, "/requests?"+p.Encode(), nil)
	if err == nil && !list.Complete {
		err = fmt.Errorf("%w: %d of %d within %s", ErrWaitPassed, len(list.Requests), n, limit)
	}
	return list.Requests, err
}

// Last returns the number of the latest request, to begin a list after it.
func (c Control) Last(ctx context.Context) (int64, error) {
	s, err := c.State(ctx)
	return s.LastRequest, err
}

// ResetRequests empties the list. Numbers go on from where they were.
func (c Control) ResetRequests(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "/requests", nil, nil)
}

// AddFault adds a fault and returns it with its ID.
func (c Control) AddFault(ctx context.Context, f Fault) (Fault, error) {
	return fetch[Fault](ctx, c, http.MethodPost, "/faults", f)
}

// Faults lists the faults, spent ones too.
func (c Control) Faults(ctx context.Context) ([]Fault, error) {
	return fetch[[]Fault](ctx, c, http.MethodGet, "/faults", nil)
}

// ClearFaults removes all faults, and releases what they hold.
func (c Control) ClearFaults(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "/faults", nil, nil)
}

// RemoveFault removes a fault, and releases what it holds.
func (c Control) RemoveFault(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/faults/"+url.PathEscape(id), nil, nil)
}

// Release lets the requests go that a fault holds, and holds no more.
func (c Control) Release(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, "/faults/"+url.PathEscape(id)+"/release", nil, nil)
}

// Knobs returns the knobs.
func (c Control) Knobs(ctx context.Context) (Knobs, error) {
	return fetch[Knobs](ctx, c, http.MethodGet, "/knobs", nil)
}

// SetKnobs reads the knobs, lets change alter them, and writes them back.
// Two callers at the same time may overwrite each other's changes.
func (c Control) SetKnobs(ctx context.Context, change func(*Knobs)) error {
	k, err := c.Knobs(ctx)
	if err != nil {
		return err
	}
	change(&k)
	return c.do(ctx, http.MethodPatch, "/knobs", k, nil)
}

// Clock returns the emulator's time.
func (c Control) Clock(ctx context.Context) (Clock, error) {
	return fetch[Clock](ctx, c, http.MethodGet, "/clock", nil)
}

// Advance moves the emulator's clock, backwards if d is negative.
func (c Control) Advance(ctx context.Context, d time.Duration) error {
	return c.do(ctx, http.MethodPost, "/clock", map[string]Duration{"advance": Duration(d)}, nil)
}

// ExpireToken lets an access or refresh token expire, and returns how many
// that were, 0 or 1. The token is named by its value or its fingerprint.
func (c Control) ExpireToken(ctx context.Context, token string) (int, error) {
	return c.end(ctx, endExpire, tokenChoice{Token: token})
}

// RevokeToken kills a single access or refresh token.
func (c Control) RevokeToken(ctx context.Context, token string) (int, error) {
	return c.end(ctx, endRevoke, tokenChoice{Token: token})
}

// ExpireUser lets all tokens of a user, named by login or ID, expire.
func (c Control) ExpireUser(ctx context.Context, user string) (int, error) {
	return c.end(ctx, endExpire, tokenChoice{User: user})
}

// RevokeUser kills all tokens of a user.
func (c Control) RevokeUser(ctx context.Context, user string) (int, error) {
	return c.end(ctx, endRevoke, tokenChoice{User: user})
}

// Deactivate switches a user off, who is named by login or ID.
func (c Control) Deactivate(ctx context.Context, user string) error {
	return c.do(ctx, http.MethodPost, "/users/"+url.PathEscape(user)+"/deactivate", nil, nil)
}

// Activate switches a user on again.
func (c Control) Activate(ctx context.Context, user string) error {
	return c.do(ctx, http.MethodPost, "/users/"+url.PathEscape(user)+"/activate", nil, nil)
}

func (c Control) end(ctx context.Context, how end, in tokenChoice) (int, error) {
	out, err := fetch[map[string]int](ctx, c, http.MethodPost, "/tokens/"+string(how), in)
	return out["ended"], err
}

func fetch[T any](ctx context.Context, c Control, method, path string, in any) (T, error) {
	var out T
	err := c.do(ctx, method, path, in, &out)
	return out, err
}

func (c Control) do(ctx context.Context, method, path string, in, out any) (err error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.BaseURL+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	hc := c.Client
	if hc == nil {
		hc = http.DefaultClient
	}
	res, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	d := json.NewDecoder(io.LimitReader(res.Body, maxControlAnswer))
	if res.StatusCode >= http.StatusBadRequest {
		var refusal struct {
			Error string `json:"error"`
		}
		if err := d.Decode(&refusal); err != nil {
			refusal.Error = res.Status
		}
		return &ControlError{Status: res.StatusCode, Message: refusal.Error}
	}
	if out == nil {
		_, err := io.Copy(io.Discard, io.LimitReader(res.Body, maxControlAnswer))
		return err
	}
	return d.Decode(out)
}
