// Package hostsuite judges hosts: it hands them a probe, has them do what an
// engine does, and reads the probe's journal and the host's outputs.
package hostsuite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/boxconnection/connector/conformance/internal/check"
)

// Check is one check of hosts. Its ID is frozen.
type Check struct {
	ID      string
	Level   check.Level
	Clauses []string
	Title   string
	Run     func(*T)
}

// All returns the checks in the order of reports.
func All() []*Check {
	return append(append(append(tourChecks(), startChecks()...), renewalChecks()...), callChecks()...)
}

// Suite is a run.
type Suite struct {
	// Command is the template that starts the host; see HOSTS.md.
	Command []string
	// Probe is the probe's binary.
	Probe string
	// Folder is for what the run needs.
	Folder string
	// Parallel is how many checks run at a time.
	Parallel int
	// Factor stretches the time that things may take.
	Factor float64

	tourOnce sync.Once
	tour     *tour
}

// watchdog bounds a check.
const watchdog = 3 * time.Minute

// Run runs checks and returns their results in the order given.
func (s *Suite) Run(ctx context.Context, chosen []*Check) []check.Result {
	results := make([]check.Result, len(chosen))
	slots := make(chan struct{}, max(1, s.Parallel))
	var all sync.WaitGroup
	for i, c := range chosen {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = s.one(ctx, c)
		})
	}
	all.Wait()
	return results
}

func (s *Suite) one(ctx context.Context, c *Check) check.Result {
	ctx, cancel := context.WithTimeout(ctx, s.stretch(watchdog))
	defer cancel()
	t := &T{Suite: s, ctx: ctx, level: c.Level, verdict: check.Pass, folder: filepath.Join(s.Folder, strings.ReplaceAll(c.ID, ".", "-"))}
	began := time.Now()
	done := make(chan struct{})
	go func() { // a check ends by ending its goroutine
		defer close(done)
		defer t.close()
		defer func() {
			if p := recover(); p != nil {
				t.report(check.Error, fmt.Sprintf("the check panicked: %v", p))
			}
		}()
		c.Run(t)
	}()
	<-done
	if ctx.Err() != nil && t.verdict == check.Pass {
		t.report(check.Timeout, "the check didn't end in time")
	}
	return check.Result{
		ID: c.ID, Area: "host", Level: c.Level, Clauses: c.Clauses, Title: c.Title,
		Verdict: t.verdict, Messages: t.messages, Duration: time.Since(began),
	}
}

func (s *Suite) stretch(d time.Duration) time.Duration {
	if s.Factor > 0 {
		return time.Duration(float64(d) * s.Factor)
	}
	return d
}

// T is what a check runs with.
type T struct {
	*Suite
	ctx    context.Context
	level  check.Level
	folder string

	mu       sync.Mutex
	verdict  check.Verdict
	messages []string
	closers  []func()
}

// Errorf says how the host breaks the clause; the check goes on.
func (t *T) Errorf(format string, args ...any) {
	v := check.Fail
	if t.level == check.Should {
		v = check.Warn
	}
	t.report(v, fmt.Sprintf(format, args...))
}

// Fatalf is Errorf, and ends the check.
func (t *T) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

// Blockf says that something that the check needs didn't work, and ends it.
func (t *T) Blockf(format string, args ...any) {
	t.report(check.NotRun, fmt.Sprintf(format, args...))
	runtime.Goexit()
}

// Do ends the check with a fault of the suite if there is an error.
func (t *T) Do(err error) {
	if err != nil {
		t.report(check.Error, err.Error())
		runtime.Goexit()
	}
}

func (t *T) report(v check.Verdict, message string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	order := map[check.Verdict]int{check.Pass: 0, check.NotRun: 1, check.Timeout: 2, check.Warn: 3, check.Fail: 4, check.Error: 5}
	if order[v] > order[t.verdict] {
		t.verdict = v
	}
	const most = 20
	if len(t.messages) < most {
		t.messages = append(t.messages, strings.ToValidUTF8(message, "\uFFFD"))
	}
}

func (t *T) cleanup(f func()) { t.closers = append(t.closers, f) }

func (t *T) close() {
	for i := len(t.closers) - 1; i >= 0; i-- {
		t.closers[i]()
	}
}

// await polls until a condition holds; it reports whether it came to that.
func (t *T) await(limit time.Duration, ok func() bool) bool {
	deadline := time.NewTimer(t.stretch(limit))
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

const pollEvery = 5 * time.Millisecond

// ErrNoProbe says that the probe's binary isn't there.
var ErrNoProbe = errors.New("the probe isn't there: it must lie beside connector-conformance")

// Ready reports whether a run can begin.
func (s *Suite) Ready() error {
	if info, err := os.Stat(s.Probe); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s", ErrNoProbe, s.Probe)
	}
	return nil
}
