package boxsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Limits of faults.
const (
	maxFaults      = 100
	maxFaultTimes  = 1_000_000
	maxFaultBody   = 1 << 20
	maxFaultHeader = 32
	// maxDelay bounds delays, slow bodies and holds, so that a test that
	// forgets one can't hang for ever.
	maxDelay = 2 * time.Minute
)

// When says on which side of a request's effect a fault acts.
type When string

// The sides.
const (
	// BeforeCommit acts instead of the request's effect. It is the default.
	BeforeCommit When = "before_commit"
	// AfterCommit lets the request take effect and then spoils the answer.
	AfterCommit When = "after_commit"
)

// Fault makes requests fail.
type Fault struct {
	// ID is given by the emulator.
	ID    string `json:"id,omitempty"`
	Match Match  `json:"match"`
	// Skip lets this many matching requests pass first.
	Skip int `json:"skip,omitempty"`
	// Times is how many requests the fault meets; 0 means once, -1 all until
	// it is removed.
	Times int    `json:"times,omitempty"`
	Then  Action `json:"then"`
	// Met counts the requests that it has met.
	Met int `json:"met"`
}

// Match chooses requests. An empty field matches all.
type Match struct {
	Method string `json:"method,omitempty"`
	// Path is exact, or a prefix that ends in "*".
	Path      string `json:"path,omitempty"`
	GrantType string `json:"grant_type,omitempty"`
}

// Action is what a fault does: it holds and delays the request, and then
// drops the connection, or answers with a row of the catalogue or a status
// and body of its own, or lets the answer pass with other headers or slowly.
type Action struct {
	When When `json:"when,omitempty"`
	// Hold stops the request until the fault is released or removed, or two
	// minutes have passed.
	Hold  bool     `json:"hold,omitempty"`
	Delay Duration `json:"delay,omitempty"`
	// Drop breaks the connection without an answer.
	Drop bool `json:"drop,omitempty"`
	// Row names a row of the catalogue.
	Row string `json:"row,omitempty"`
	// Status and Body answer with something of one's own.
	Status int    `json:"status,omitempty"`
	Body   string `json:"body,omitempty"`
	// Headers are added to whatever is answered, or replace what it has.
	Headers map[string]string `json:"headers,omitempty"`
	// SlowBody stretches the sending of the body.
	SlowBody Duration `json:"slow_body,omitempty"`
	// Truncate breaks the connection in the middle of the body.
	Truncate bool `json:"truncate,omitempty"`
	// ExpireToken lets the access token expire that the request presents.
	ExpireToken bool `json:"expire_token,omitempty"`
	// AfterBytes lets the fault act once so many bytes have passed: of the
	// content of an upload, or else of the answer's body. After_commit means
	// the answer's body always. It can't replace an answer that is on its way.
	AfterBytes int64 `json:"after_bytes,omitempty"`
}

func (f Fault) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if f.Times < -1 || f.Times > maxFaultTimes || f.Skip < 0 || f.Skip > maxFaultTimes {
		bad("times must be -1 to %d, skip 0 to %[1]d", maxFaultTimes)
	}
	a := f.Then
	if !slices.Contains([]When{"", BeforeCommit, AfterCommit}, a.When) {
		bad("when: %q is neither %s nor %s", a.When, BeforeCommit, AfterCommit)
	}
	for _, d := range []Duration{a.Delay, a.SlowBody} {
		if d < 0 || time.Duration(d) > maxDelay {
			bad("delay and slow_body must be 0 to %s", maxDelay)
		}
	}
	if a.Row != "" && rowByName(a.Row).Name == "" {
		bad("row: the catalogue has no row %q", a.Row)
	}
	if a.Row != "" && (a.Status != 0 || a.Body != "") {
		bad("row excludes status and body")
	}
	if a.Drop && (a.Row != "" || a.Status != 0 || a.Truncate || a.SlowBody != 0) {
		bad("drop excludes an answer")
	}
	if a.Status != 0 && (a.Status < 200 || a.Status > 599) {
		bad("status must be 200 to 599")
	}
	if a.Status == 0 && a.Body != "" {
		bad("body needs a status")
	}
	if len(a.Body) > maxFaultBody || len(a.Headers) > maxFaultHeader {
		bad("body must be at most %d bytes, headers at most %d", maxFaultBody, maxFaultHeader)
	}
	if a.AfterBytes < 0 {
		bad("after_bytes must not be negative")
	}
	if a.AfterBytes > 0 && a.When == AfterCommit && (a.Row != "" || a.Status != 0) {
		bad("after_bytes of an answer excludes another answer")
	}
	if raw, err := json.Marshal(Action{When: a.When, AfterBytes: a.AfterBytes}); err == nil {
		if have, err := json.Marshal(a); err == nil && string(raw) == string(have) {
			bad("then: says nothing to do")
		}
	}
	return errors.Join(errs...)
}

// fault is a Fault at work. Its gate is closed once it is released.
type fault struct {
	Fault
	seen int
	gate chan struct{}
	open bool
}

func (f *fault) release() {
	if !f.open {
		f.open = true
		close(f.gate)
	}
}

func (f *fault) spent() bool {
	return f.Times >= 0 && f.Met >= max(f.Times, 1)
}

// faults is the list of faults, in the order in which they were added. The
// first one that matches a request meets it.
type faults struct {
	mu   sync.Mutex
	list []*fault
	next int
}

func (fs *faults) add(f Fault) (Fault, error) {
	if err := f.validate(); err != nil {
		return Fault{}, err
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(fs.list) >= maxFaults {
		// Spent faults are kept for their count, and so that they can be released.
		i := slices.IndexFunc(fs.list, func(f *fault) bool { return f.spent() && (!f.Then.Hold || f.open) })
		if i < 0 {
			return Fault{}, fmt.Errorf("there are %d faults already", maxFaults)
		}
		fs.list = slices.Delete(fs.list, i, i+1)
	}
	fs.next++
	f.ID, f.Met = fmt.Sprintf("f%d", fs.next), 0
	fs.list = append(fs.list, &fault{Fault: f, gate: make(chan struct{})})
	return f, nil
}

func (fs *faults) all() []Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	out := make([]Fault, 0, len(fs.list))
	for _, f := range fs.list {
		out = append(out, f.Fault)
	}
	return out
}

// meet finds the fault that meets a request, and counts it.
func (fs *faults) meet(r *Request) *fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.list {
		m := f.Match
		if f.spent() || (m.Method != "" && m.Method != r.Method) || (m.Path != "" && !pathMatches(m.Path, r.Path)) ||
			(m.GrantType != "" && m.GrantType != r.GrantType) {
			continue
		}
		if f.seen++; f.seen <= f.Skip {
			continue
		}
		f.Met++
		return f
	}
	return nil
}

// release lets held requests go. With remove the fault is also taken off the
// list. An empty ID means all faults.
func (fs *faults) release(id string, remove bool) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	found := id == ""
	fs.list = slices.DeleteFunc(fs.list, func(f *fault) bool {
		if id != "" && f.ID != id {
			return false
		}
		found = true
		f.release()
		return remove
	})
	return found
}

// pause waits for a hold's release and then for the delay. It returns false if
// the client went away first.
func (f *fault) pause(ctx context.Context) bool {
	if f.Then.Hold {
		select {
		case <-f.gate:
		case <-time.After(maxDelay):
		case <-ctx.Done():
			return false
		}
	}
	return rest(ctx, time.Duration(f.Then.Delay))
}

// rest waits, unless the client goes away.
func rest(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// replacement returns the answer that the fault gives in place of the real
// one, or nil.
func (f *fault) replacement() *answer {
	switch then := f.Then; {
	case then.Row != "":
		a := rowByName(then.Row).answer()
		return &a
	case then.Status != 0:
		return &answer{status: then.Status, body: []byte(then.Body), contentType: guessType(then.Body)}
	default:
		return nil
	}
}

func guessType(body string) string {
	switch {
	case body == "":
		return ""
	case json.Valid([]byte(body)):
		return typeJSON
	default:
		return http.DetectContentType([]byte(body))
	}
}
