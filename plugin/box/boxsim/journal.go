package boxsim

import (
	"context"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// Stage is how far a request has come.
type Stage string

// The stages of a request.
const (
	Arrived Stage = "arrived" // read, not answered
	Held    Stage = "held"    // waiting for the release of a hold
	Done    Stage = "done"    // answered or dropped
)

// Request is what the emulator remembers of a request. It holds no token,
// code or secret, only fingerprints.
type Request struct {
	Seq       int64     `json:"seq"`
	Time      time.Time `json:"time"` // by the emulator's clock
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	GrantType string    `json:"grant_type,omitempty"`
	ClientID  string    `json:"client_id,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
	// RedirectURI is that of a token request.
	RedirectURI string `json:"redirect_uri,omitempty"`
	// AuthScheme is the scheme of the Authorization header, if there was one.
	AuthScheme string `json:"auth_scheme,omitempty"`
	// Tokens maps the name of a parameter (access_token for the bearer token,
	// refresh_token, code, token, subject_token), or issued_access_token and
	// issued_refresh_token, to a fingerprint.
	Tokens map[string]string `json:"tokens,omitempty"`
	// PKCE is the challenge method of an authorization request that has a
	// challenge, and for the exchange of its code "match", "mismatch" or
	// "missing", whether the emulator enforces it or not.
	PKCE string `json:"pkce,omitempty"`
	// User is the login that the presented token belongs to, if any.
	User string `json:"user,omitempty"`
	// Scopes and Resource are those of the presented access token, and Narrowed
	// says that it came from a token exchange. Resource is the item that it is
	// restricted to, for example "folder/160000000001"; empty if there is none.
	Scopes   []string `json:"scopes,omitempty"`
	Resource string   `json:"resource,omitempty"`
	Narrowed bool     `json:"narrowed,omitempty"`
	// Range is the Content-Range of an upload's part, or the Range that a
	// client asked for.
	Range string `json:"range,omitempty"`
	// Received counts the bytes of an upload's body, Sent those of the answer's.
	Received int64 `json:"received,omitempty"`
	Sent     int64 `json:"sent,omitempty"`
	Stage    Stage `json:"stage"`
	// Status is that of the answer; 0 while there is none.
	Status int `json:"status"`
	// Dropped says that the emulator broke the connection, ClientGone that the
	// client did while its answer was held or delayed.
	Dropped    bool `json:"dropped"`
	ClientGone bool `json:"client_gone"`
	// Committed says that the request took effect, whatever was answered.
	Committed bool `json:"committed"`
	// Fault is the ID of the fault that met the request.
	Fault string `json:"fault,omitempty"`
}

// RequestQuery chooses among the requests. The zero value is all of them.
type RequestQuery struct {
	Since     int64  // only those with a higher number
	Method    string // empty: any
	Path      string // exact, or a prefix that ends in "*"
	GrantType string
	// Stage asks for requests that have come at least this far.
	Stage Stage
	// Status asks for requests that were answered with it.
	Status int
}

func (q RequestQuery) matches(r *Request) bool {
	return r.Seq > q.Since &&
		(q.Method == "" || q.Method == r.Method) &&
		(q.Path == "" || pathMatches(q.Path, r.Path)) &&
		(q.GrantType == "" || q.GrantType == r.GrantType) &&
		(q.Status == 0 || q.Status == r.Status) &&
		(q.Stage == "" || q.Stage == Arrived || r.Stage == Done || q.Stage == r.Stage)
}

// pathMatches compares a path with a pattern, which may end in "*".
func pathMatches(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return pattern == path
}

// journal is the list of requests, and tells those who wait for one.
type journal struct {
	max     int
	mu      sync.Mutex
	entries []*Request // by number
	last    int64
	changed chan struct{} // closed and replaced at every change
}

func newJournal(limit int) *journal { return &journal{max: limit, changed: make(chan struct{})} }

// open adds a request and numbers it.
func (j *journal) open(r *Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	r.Seq = j.last
	if len(j.entries) >= j.max {
		j.entries = slices.Delete(j.entries, 0, max(1, j.max/10))
	}
	j.entries = append(j.entries, r.clone())
	j.announce()
}

// set replaces what is known about a request, unless it has been forgotten.
func (j *journal) set(r *Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if i := j.index(r.Seq); i < len(j.entries) && j.entries[i].Seq == r.Seq {
		j.entries[i] = r.clone()
		j.announce()
	}
}

func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = nil
	j.announce()
}

// list returns the matching requests, what the last number is, and a channel
// that is closed at the next change.
func (j *journal) list(q RequestQuery) ([]Request, int64, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	found := []Request{}
	for _, r := range j.entries[j.index(q.Since+1):] {
		if q.matches(r) {
			found = append(found, *r.clone())
		}
	}
	return found, j.last, j.changed
}

// wait lists the requests once n match, or when the context ends.
func (j *journal) wait(ctx context.Context, q RequestQuery, n int) ([]Request, int64) {
	for {
		found, last, changed := j.list(q)
		if len(found) >= n {
			return found, last
		}
		select {
		case <-ctx.Done():
			return found, last
		case <-changed:
		}
	}
}

func (j *journal) index(seq int64) int {
	return sort.Search(len(j.entries), func(i int) bool { return j.entries[i].Seq >= seq })
}

func (j *journal) announce() {
	close(j.changed)
	j.changed = make(chan struct{})
}

func (r *Request) clone() *Request {
	c := *r
	c.Tokens = maps.Clone(r.Tokens)
	return &c
}
