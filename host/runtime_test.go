//go:build unix

package host_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/proto/connector"
)

// runtimeTests need a store that keeps runtimes.
var runtimeTests = map[string]func(*testing.T){
	"draft on a runtime":      testDraftOnRuntime,
	"one node takes a run":    testOneNodeTakesARun,
	"asker leaves":            testAskerLeaves,
	"runtime's own failure":   testRuntimesOwnFailure,
	"another owner's runtime": testAnotherOwnersRuntime,
	"dead at once":            testNodeThatLeftIsDead,
}

// couriers are a dispatcher whose jobs are run at once, by every node.
type couriers struct {
	mu    sync.Mutex
	nodes []*host.Node
	work  sync.WaitGroup
	errs  chan error
	lost  atomic.Bool // jobs get lost
}

func (c *couriers) Dispatch(ctx context.Context, _, _, run string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if !c.lost.Load() {
			c.work.Go(func() { c.errs <- n.RunTest(context.WithoutCancel(ctx), run) })
		}
	}
	return nil
}

// site is an engine's host and those of nodes, on one store.
type site struct {
	*rig
	couriers *couriers
	place    *place
}

// newSite makes a host with a connection, which is tested by nodes that join.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{place: newPlace(t), couriers: &couriers{errs: make(chan error, 100)}}
	s.rig = newPlainRig(t, s.place, newService(), host.WithDispatcher(s.couriers))
	t.Cleanup(s.couriers.work.Wait)
	return s
}

// newPlainRig is newRig with the store as it is.
func newPlainRig(t *testing.T, p *place, svc *service, opts ...host.Option) *rig {
	t.Helper()
	st, err := p.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h, err := host.Open(st, p.keys, p.audit, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(h.Close(ctx), st.Close()); err != nil {
			t.Error(err)
		}
	})
	r := &rig{Host: h, t: t, place: p, svc: svc, tenant: h.Tenant("local", "", "tester")}
	if r.box, err = h.Load(t.Context(), svc.serve(t)); err != nil {
		t.Fatal(err)
	}
	return r
}

// join makes another host a node of a runtime. It has to load the connector
// when it first needs it.
func (s *site) join(t *testing.T, owner, runtime string, o host.NodeOptions) (*host.Host, *host.Node) {
	t.Helper()
	plugin := s.svc.serve(t)
	var h *host.Host
	r := newPlainRig(t, s.place, s.svc, host.WithLoader(func(ctx context.Context, _ host.Info) (*host.Connector, error) { return h.Load(ctx, plugin) }))
	h = r.Host
	n, err := h.Join(t.Context(), owner, runtime, o)
	if err != nil {
		t.Fatal(err)
	}
	s.couriers.mu.Lock()
	s.couriers.nodes = append(s.couriers.nodes, n)
	s.couriers.mu.Unlock()
	return h, n
}

// testOn runs a test on a runtime.
func testOn(t *testing.T, c *host.Connection, runtime string) (checks []connector.Check, failure error) {
	t.Helper()
	for check, err := range c.TestOn(t.Context(), runtime, host.TestOptions{}) {
		if err != nil {
			return checks, err
		}
		checks = append(checks, check)
	}
	return checks, nil
}

// A draft's settings are tested on a runtime before they are saved, with the
// credential of the connection that it edits.
func testDraftOnRuntime(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.join(t, "local", "edge", host.NodeOptions{})
	c := s.ready("sales")
	draft, err := c.Edit(t.Context(), host.Edit{Settings: descriptor.Settings{"client_secret": "wrong"}})
	if err != nil {
		t.Fatal(err)
	}
	s.svc.fails("OpenSession", connector.Errorf(connector.ClientRejected, connector.OriginService, "Wrong secret.").With(connector.FixSettings))
	checks, err := testOn(t, draft, "edge")
	if err != nil || checks[0].ID != host.CheckSignIn || checks[0].Status != connector.CheckFailed || checks[0].Diagnostic.Code != connector.ClientRejected {
		t.Fatalf("%+v, %v", checks, err)
	}
	if checks, err = testOn(t, draft, "edge"); err != nil || !host.Passed(checks) {
		t.Fatalf("%+v, %v", checks, err)
	}
	for _, check := range checks {
		if check.Runtime != "edge" {
			t.Errorf("check %s names the runtime %q", check.ID, check.Runtime)
		}
	}
	if s.info(draft).TestedAt.IsZero() {
		t.Error("the draft doesn't know that it was tested")
	}
	fresh, err := s.tenant.Draft(t.Context(), s.box, settings("s3cret"), host.DraftOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if checks, err = testOn(t, fresh, "edge"); err != nil || checks[0].Status != connector.CheckSkipped {
		t.Fatalf("a draft without a sign-in: %+v, %v", checks, err)
	}
}

// A job may reach several nodes: one of them runs the test.
func testOneNodeTakesARun(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 3 {
		s.join(t, "local", "edge", host.NodeOptions{})
	}
	c := s.ready("sales")
	var tests atomic.Int32
	s.svc.checks = func(*connector.Access) []connector.Check {
		tests.Add(1)
		return []connector.Check{{ID: "reachable", Status: connector.CheckPassed}, {ID: "token", Status: connector.CheckPassed}}
	}
	checks, err := testOn(t, c, "edge")
	if err != nil || !host.Passed(checks) || len(checks) != 3 {
		t.Fatalf("%+v, %v", checks, err)
	}
	for range 3 {
		if err := <-s.couriers.errs; err != nil {
			t.Error(err)
		}
	}
	if n := tests.Load(); n != 1 {
		t.Errorf("the connector tested %d times", n)
	}
	list, err := s.tenant.Runtimes(t.Context())
	if err != nil || len(list) != 1 || list[0].Nodes != 3 || list[0].State != host.RuntimeAlive {
		t.Errorf("%+v, %v", list, err)
	}
}

// Whoever asked for the test stops listening: it ends on the node as well.
func testAskerLeaves(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.join(t, "local", "edge", host.NodeOptions{})
	c := s.ready("sales")
	entered, leave := make(chan struct{}), make(chan struct{})
	s.svc.checks = func(*connector.Access) []connector.Check {
		close(entered)
		<-leave
		return nil
	}
	defer close(leave)
	for check, err := range c.TestOn(t.Context(), "edge", host.TestOptions{}) {
		if err != nil || check.ID != host.CheckSignIn {
			t.Fatalf("%+v, %v", check, err)
		}
		<-entered
		break
	}
	select {
	case err := <-s.couriers.errs:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the node goes on with a test that nobody waits for")
	}
}

// What ends the test on the node ends it for whoever waits, with the place.
func testRuntimesOwnFailure(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.ready("sales")
	h := newPlainRig(t, s.place, s.svc).Host
	n, err := h.Join(t.Context(), "local", "bare", host.NodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.couriers.nodes = append(s.couriers.nodes, n)
	s.svc.fails("TestConnection", connector.Errorf(connector.Internal, connector.OriginConnector, "It broke."))
	checks, err := testOn(t, c, "bare")
	if d := wantCode(t, err, connector.Internal); d.Detail != `on runtime "bare"` {
		t.Errorf("%v", d)
	}
	if len(checks) != 3 || checks[2].Status != connector.CheckNotRun || checks[2].Runtime != "bare" {
		t.Errorf("%+v", checks)
	}
	if err := c.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = testOn(t, c, "bare")
	wantCode(t, err, connector.ConnectionNotFound)
	none := newPlainRig(t, s.place, s.svc)
	_, err = testOn(t, none.ready("other"), "bare")
	wantCode(t, err, connector.UsageWrong)
}

// A runtime isn't there for other owners, and its node refuses their tests even
// if they reach it.
func testAnotherOwnersRuntime(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, theirs := s.join(t, "acme", "edge", host.NodeOptions{})
	c := s.ready("sales")
	_, err := testOn(t, c, "edge")
	wantCode(t, err, connector.RuntimeNotFound)

	s.join(t, "local", "edge", host.NodeOptions{})
	if checks, err := testOn(t, c, "edge"); err != nil || !host.Passed(checks) {
		t.Fatalf("%+v, %v", checks, err)
	}
	refused := 0
	for range 2 { // both nodes were told of the test
		if err := <-s.couriers.errs; errors.Is(err, connector.RuntimeForbidden) {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	if refused != 1 {
		t.Errorf("%d nodes refused", refused)
	}
	if outcomes := s.place.audit.outcomes(audit.ActionTest); !slices.Contains(outcomes, string(connector.RuntimeForbidden)) || !slices.Contains(outcomes, string(connector.RuntimeNotFound)) {
		t.Errorf("the audit has %v", outcomes)
	}
	if theirs.Owner() != "acme" || theirs.Runtime() != "edge" {
		t.Error("a node doesn't know whose it is")
	}
}

// A node that ends in good order is dead at once, one that doesn't after three
// heartbeats; both are told while a test waits for them.
func testNodeThatLeftIsDead(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.couriers.lost.Store(true)
	c := s.ready("sales")
	for runtime, o := range map[string]host.NodeOptions{"leaves": {Every: time.Hour}, "dies": {Every: 100 * time.Millisecond}} {
		t.Run(runtime, func(t *testing.T) {
			_, n := s.join(t, "local", runtime, o)
			beats, stop := context.WithCancel(t.Context())
			var beating sync.WaitGroup
			if runtime == "leaves" {
				beating.Go(func() { n.Beat(beats, nil) })
				time.AfterFunc(200*time.Millisecond, stop) // in the middle of the wait
			}
			_, err := testOn(t, c, runtime)
			wantCode(t, err, connector.RuntimeDead)
			stop()
			beating.Wait()
			state := map[string]host.RuntimeState{}
			list, err := s.tenant.Runtimes(t.Context())
			for _, r := range list {
				state[r.Name] = r.State
			}
			if want := map[string]host.RuntimeState{"leaves": host.RuntimeStopped, "dies": host.RuntimeDead}; err != nil || state[runtime] != want[runtime] {
				t.Errorf("%v, %v", state, err)
			}
			if err := s.tenant.RemoveRuntime(t.Context(), runtime); err != nil {
				t.Error(err)
			}
			wantCode(t, s.tenant.RemoveRuntime(t.Context(), runtime), connector.RuntimeNotFound)
		})
	}
}

// A folder keeps no runtimes.
func TestFolderKeepsNoRuntimes(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPlace(t), newService())
	c := r.ready("sales")
	_, err := testOn(t, c, "edge")
	wantCode(t, err, connector.UsageWrong)
	_, err = r.tenant.Runtimes(t.Context())
	wantCode(t, err, connector.UsageWrong)
	_, err = r.Join(t.Context(), "local", "edge", host.NodeOptions{})
	wantCode(t, err, connector.UsageWrong)
}
