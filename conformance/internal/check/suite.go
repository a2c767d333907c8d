package check

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/boxconnection/connector/conformance/internal/peer"
	"github.com/boxconnection/connector/conformance/internal/profile"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// errStartedBySuite says that a Binary isn't connected to by its method.
var errStartedBySuite = errors.New("the suite starts binaries itself")

// Suite is a run of checks on one target.
type Suite struct {
	Target  Target
	Profile *profile.Profile
	// Peer starts the service; nil if the profile has none. SharedPeer says
	// that it is always the same one, so that checks take turns.
	Peer       func(ctx context.Context, folder string) (*peer.Instance, error)
	SharedPeer bool
	// Parallel is how many checks run at a time, Factor stretches or shortens
	// the watchdogs, Shuffle, if not zero, seeds the order.
	Parallel int
	Factor   float64
	Shuffle  uint64
	// Attached says that the target is a plugin of a debugger.
	Attached bool
	// Folder is an existing private folder with a short path.
	Folder string

	description func() (*connectorv1.DescribeResponse, error)
	mu          sync.Mutex
	turn        sync.Mutex
	fixtures    map[string]*fixture
	runs        int
}

// fixture is something that several checks look at, made once.
type fixture struct {
	once  sync.Once
	value any
	t     *T
}

// Scale applies the factor to a duration.
func (s *Suite) Scale(d time.Duration) time.Duration {
	if s.Factor <= 0 {
		return d
	}
	return time.Duration(float64(d) * s.Factor)
}

// Run runs the checks. Results are in the order of the checks.
func (s *Suite) Run(ctx context.Context, checks []*Check) []Result {
	s.fixtures = map[string]*fixture{}
	s.description = sync.OnceValues(func() (*connectorv1.DescribeResponse, error) { return s.describe(ctx) })
	order := make([]int, len(checks))
	for i := range order {
		order[i] = i
	}
	if s.Shuffle != 0 {
		rand.New(rand.NewPCG(s.Shuffle, 0)).Shuffle(len(order), func(i, j int) { //nolint:gosec // an order, no secret
			order[i], order[j] = order[j], order[i]
		})
	}
	results := make([]Result, len(checks))
	next := make(chan int)
	var workers sync.WaitGroup
	for range max(s.Parallel, 1) {
		workers.Go(func() {
			for i := range next {
				results[i] = s.one(ctx, checks[i])
			}
		})
	}
	for _, i := range order {
		next <- i
	}
	close(next)
	workers.Wait()
	return results
}

// describe asks a fresh instance what it is.
func (s *Suite) describe(ctx context.Context) (*connectorv1.DescribeResponse, error) {
	var d *connectorv1.DescribeResponse
	r := s.one(ctx, &Check{ID: "describe", Level: Must, Run: func(t *T) {
		var err error
		if d, err = t.Start().Describe(t.Call(), &connectorv1.DescribeRequest{}); err != nil {
			t.Blockf("Describe failed: %v", Brief(err))
		}
	}})
	if d == nil {
		return nil, errors.New(strings.Join(r.Messages, "; "))
	}
	return d, nil
}

// Described is the connector's description. Checks that call it need
// Description.
func (t *T) Described() *connectorv1.DescribeResponse {
	d, err := t.description()
	if err != nil {
		t.Blockf("%v", err)
	}
	return proto.CloneOf(d)
}

// Declares reports whether a capability is declared.
func (t *T) Declares(c connectorv1.Capability) bool {
	for _, have := range t.Described().GetCapabilities() {
		if have == c {
			return true
		}
	}
	return false
}

// one runs one check to its end or its watchdog's.
func (s *Suite) one(ctx context.Context, c *Check) Result {
	begin := time.Now()
	limit := c.Watchdog
	if limit == 0 {
		limit = DefaultWatchdog
	}
	ctx, cancel := context.WithTimeout(ctx, s.Scale(limit))
	defer cancel()
	t := &T{Suite: s, check: c, ctx: ctx}
	r := Result{ID: c.ID, Area: c.Area(), Level: c.Level, Clauses: c.Clauses, Title: c.Title}
	if err := s.place(t); err != nil {
		r.Verdict, r.Messages = Error, []string{err.Error()}
		return r
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				t.report(Error, fmt.Sprintf("the suite panicked: %v\n%s", v, debug.Stack()))
			}
		}()
		if s.SharedPeer && c.Needs&(Peer|Settings) != 0 {
			s.turn.Lock()
			defer s.turn.Unlock()
		}
		t.prepare()
		c.Run(t)
	}()
	expired := false
	select {
	case <-done:
	case <-ctx.Done():
		expired = true
		// Whatever the check waits for ends with its processes.
		t.close()
		select {
		case <-done:
		case <-time.After(CallLimit):
		}
	}
	t.close()
	_ = os.RemoveAll(t.folder)
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Verdict, r.Messages, r.Duration = t.verdict, t.messages, time.Since(begin)
	if r.Verdict == "" {
		r.Verdict = Pass
	}
	if expired && (r.Verdict == Pass || r.Verdict == NotRun || r.Verdict == Error) {
		r.Verdict = Timeout
		r.Messages = append(r.Messages, fmt.Sprintf("the check didn't end within %s", s.Scale(limit)))
	}
	return r
}

func (s *Suite) place(t *T) error {
	s.mu.Lock()
	s.runs++
	n := s.runs
	s.mu.Unlock()
	t.folder = filepath.Join(s.Folder, fmt.Sprint(n))
	return os.Mkdir(t.folder, 0o700)
}

// prepare ends the check if something that it needs isn't there.
func (t *T) prepare() {
	c := t.check
	if _, binary := t.Target.(*Binary); c.Needs&Process != 0 && !binary {
		t.Blockf("the process wasn't started by the suite")
	}
	if c.Needs&Description != 0 || c.Capability != 0 {
		t.Described()
	}
	if c.Capability != 0 && !t.Declares(c.Capability) {
		t.NotApplicablef("Describe lists %v, without %v", t.Described().GetCapabilities(), c.Capability)
	}
	if c.Needs&(Settings|Peer) != 0 && t.Suite.Profile == nil {
		t.Blockf("there is no profile")
	}
	if c.Needs&Peer != 0 && t.Suite.Peer == nil {
		t.Blockf("the profile names no peer")
	}
}

// Shared makes something once for all checks of the run. What it is made with
// lives until the maker returns; if the maker ends early, so do all checks
// that ask for it, with its messages.
func Shared[V any](t *T, name string, limit time.Duration, make func(*T) V) V {
	t.Suite.mu.Lock()
	f := t.fixtures[name]
	if f == nil {
		f = &fixture{}
		t.fixtures[name] = f
	}
	t.Suite.mu.Unlock()
	f.once.Do(func() {
		c := &Check{ID: "fixture." + name, Level: Must, Watchdog: limit, Run: func(inner *T) { f.value = make(inner) }}
		r := t.one(context.WithoutCancel(t.ctx), c)
		f.t = &T{verdict: r.Verdict, messages: r.Messages}
	})
	if f.t == nil || f.value == nil {
		messages := "it didn't end"
		if f.t != nil {
			messages = strings.Join(f.t.messages, "; ")
		}
		if f.t != nil && f.t.verdict == Error {
			t.Brokenf("%s: %s", name, messages)
		}
		t.Blockf("%s: %s", name, messages)
	}
	return f.value.(V) //nolint:forcetypeassert // made above
}

// Description is what Describe answered in this run, nil if nobody asked or
// it failed.
func (s *Suite) Description() *connectorv1.DescribeResponse {
	if s.description == nil {
		return nil
	}
	d, err := s.description()
	if err != nil {
		return nil
	}
	return d
}
