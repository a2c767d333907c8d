package check

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/boxconnection/connector/conformance/internal/peer"
	"github.com/boxconnection/connector/conformance/internal/profile"
)

// maxMessages bounds what one check tells.
const maxMessages = 20

// T is what a check runs with. Its methods that end the check must be called
// by the check's own goroutine; Errorf may be called by any.
type T struct {
	*Suite
	check  *Check
	ctx    context.Context
	folder string

	mu       sync.Mutex
	verdict  Verdict // empty: pass so far
	messages []string
	closers  []func()
	starts   int
	service  *peer.Instance
	profile  *profile.Profile // expanded
}

// Context ends with the check.
func (t *T) Context() context.Context { return t.ctx }

// Errorf says how the connector breaks the clause; the check goes on.
func (t *T) Errorf(format string, args ...any) {
	verdict := Fail
	if t.check.Level == Should {
		verdict = Warn
	}
	t.report(verdict, fmt.Sprintf(format, args...))
}

// Fatalf is Errorf, and ends the check.
func (t *T) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

// Blockf says that something the check needs didn't work, which is for other
// checks to judge, and ends the check.
func (t *T) Blockf(format string, args ...any) {
	t.report(NotRun, fmt.Sprintf(format, args...))
	runtime.Goexit()
}

// Brokenf says that the suite itself failed, and ends the check.
func (t *T) Brokenf(format string, args ...any) {
	t.report(Error, fmt.Sprintf(format, args...))
	runtime.Goexit()
}

// NotApplicablef gives the evidence that the clause doesn't apply, and ends
// the check.
func (t *T) NotApplicablef(format string, args ...any) {
	t.report(NotApplicable, fmt.Sprintf(format, args...))
	runtime.Goexit()
}

// report keeps the gravest verdict.
func (t *T) report(v Verdict, message string) {
	order := []Verdict{"", NotApplicable, NotRun, Warn, Fail, Error}
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.Index(order, v) > slices.Index(order, t.verdict) {
		t.verdict = v
	}
	if len(t.messages) < maxMessages && !slices.Contains(t.messages, message) {
		t.messages = append(t.messages, strings.ToValidUTF8(message, "\uFFFD"))
	}
}

// Cleanup runs f when the check has ended, the latest first.
func (t *T) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closers = append(t.closers, f)
}

func (t *T) close() {
	for {
		t.mu.Lock()
		if len(t.closers) == 0 {
			t.mu.Unlock()
			return
		}
		f := t.closers[len(t.closers)-1]
		t.closers = t.closers[:len(t.closers)-1]
		t.mu.Unlock()
		f()
	}
}

// Folder makes an empty private folder below that of the check.
func (t *T) Folder() string {
	t.mu.Lock()
	t.starts++
	path := filepath.Join(t.folder, fmt.Sprintf("p%d", t.starts))
	t.mu.Unlock()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Brokenf("folder: %v", err)
	}
	return path
}

// Service starts the service behind the connector, once for each check.
func (t *T) Service() *peer.Instance {
	if t.service != nil {
		return t.service
	}
	start := t.Suite.Peer
	if start == nil {
		t.Blockf("the profile names no peer")
	}
	instance, err := start(t.ctx, t.folder)
	if err != nil {
		t.Brokenf("%v", err)
	}
	t.Cleanup(instance.Stop)
	t.service = instance
	return instance
}

// Profile is the profile with the values of this check's service.
func (t *T) Profile() *profile.Profile {
	if t.profile != nil {
		return t.profile
	}
	raw := t.Suite.Profile
	if raw == nil {
		t.Blockf("there is no profile")
	}
	vars := map[string]string{}
	if t.Suite.Peer != nil {
		vars = t.Service().Vars
	}
	expanded, err := raw.Expand(vars)
	if err != nil {
		t.Brokenf("%v", err)
	}
	t.profile = expanded
	return expanded
}

// Do runs a control call of the service that must work.
func (t *T) Do(err error) {
	if err != nil {
		if t.ctx.Err() != nil {
			t.Blockf("the check's time was over: %v", err)
		}
		t.Brokenf("%v", err)
	}
}

// Mark is the number of the service's latest request.
func (t *T) Mark() int64 {
	_, last, err := t.Service().Requests(t.ctx, 1<<62)
	t.Do(err)
	return last
}

// Since lists the service's requests after a mark.
func (t *T) Since(mark int64) []peer.Request {
	list, _, err := t.Service().Requests(t.ctx, mark)
	t.Do(err)
	return list
}

// NoTraffic fails if the service saw a request since a mark.
func (t *T) NoTraffic(mark int64, what string) {
	if t.Suite.Peer == nil {
		return
	}
	for _, r := range t.Since(mark) {
		t.Errorf("%s made traffic: a request of kind %s", what, r.Kind)
	}
}

// Eventually polls a condition until it holds or the limit has passed.
func (t *T) Eventually(limit time.Duration, ok func() bool) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			return ok()
		case <-t.ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

const pollEvery = 10 * time.Millisecond
