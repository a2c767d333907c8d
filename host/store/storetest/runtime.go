package storetest

import (
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// RunRuntimes runs the tests of a store that keeps runtimes, beside those of
// [Run], as subtests of t.
func RunRuntimes(t *testing.T, h Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, store.Runtimes, store.Runtimes){
		"heartbeats":     testHeartbeats,
		"leave":          testLeave,
		"dead forgotten": testDeadNodesAreForgotten,
		"owners":         testRuntimesOfOwners,
		"run":            testRun,
		"taken once":     testRunIsTakenOnce,
		"not theirs":     testRunOfOthers,
		"first end":      testFirstEndCounts,
		"expiry":         testRunExpires,
		"alive":          testRunKnowsWhoLives,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, h)
			test(t, runtimes(t, p), runtimes(t, p))
		})
	}
}

func runtimes(t *testing.T, p *place) store.Runtimes {
	t.Helper()
	rt, ok := p.open(t).(store.Runtimes)
	if !ok {
		t.Fatal("the store keeps no runtimes")
	}
	return rt
}

func node(id string) store.Node {
	return store.Node{Owner: "local", Runtime: "edge", ID: id, Kind: store.RuntimeLocal, Every: time.Hour}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// the returns the only runtime of the test's owner.
func the(t *testing.T, s store.Runtimes) store.Runtime {
	t.Helper()
	list, err := s.Runtimes(t.Context(), "local")
	must(t, err)
	if len(list) != 1 {
		t.Fatalf("%d runtimes: %+v", len(list), list)
	}
	return list[0]
}

func newRun(t *testing.T, s store.Runtimes) *store.Run {
	t.Helper()
	r := &store.Run{ID: "r1", Key: key("c1"), Runtime: "edge", Actor: "ann", RequiredScopes: []string{"a", "b"}}
	must(t, s.CreateRun(t.Context(), r, time.Hour))
	return r
}

func run(t *testing.T, s store.Runtimes, skip int) *store.Run {
	t.Helper()
	r, err := s.Run(t.Context(), "r1", skip)
	must(t, err)
	return r
}

// A node is dead after three missed heartbeats and alive again with the next.
func testHeartbeats(t *testing.T, a, b store.Runtimes) {
	n := node("n1")
	n.Every = 200 * time.Millisecond
	began := time.Now()
	must(t, a.Beat(t.Context(), n))
	first := the(t, b)
	if first.Nodes != 1 && time.Since(began) < 3*n.Every || first.Kind != store.RuntimeLocal || first.Name != "edge" || first.Since.IsZero() {
		t.Fatalf("%+v", first)
	}
	eventually(t, "the node is dead", func() bool { return the(t, b).Nodes == 0 })
	if took := time.Since(began); took < 3*n.Every {
		t.Errorf("dead after %s", took)
	}
	n.Every = time.Hour
	must(t, a.Beat(t.Context(), n))
	if r := the(t, b); r.Nodes != 1 || !r.BeatAt.After(first.BeatAt) || !r.Since.Equal(first.Since) || r.Stopped {
		t.Errorf("%+v after %+v", r, first)
	}
}

// A node that leaves is dead at once; the runtime lives as long as another one.
func testLeave(t *testing.T, a, b store.Runtimes) {
	must(t, a.Leave(t.Context(), node("n0")))
	must(t, a.Beat(t.Context(), node("n1")))
	must(t, b.Beat(t.Context(), node("n2")))
	must(t, a.Leave(t.Context(), node("n1")))
	if r := the(t, b); r.Nodes != 1 {
		t.Fatalf("%+v", r)
	}
	must(t, b.Leave(t.Context(), node("n2")))
	if r := the(t, a); r.Nodes != 0 || !r.Stopped {
		t.Fatalf("%+v", r)
	}
	must(t, a.Beat(t.Context(), node("n2")))
	if r := the(t, a); r.Nodes != 1 || r.Stopped {
		t.Fatalf("%+v", r)
	}
}

// A new node clears away those of its runtime that are dead, and no others.
func testDeadNodesAreForgotten(t *testing.T, a, b store.Runtimes) {
	for _, id := range []string{"dead", "alive"} {
		must(t, a.Beat(t.Context(), node(id)))
	}
	old := the(t, a)
	must(t, a.Leave(t.Context(), node("dead")))
	other := node("dead")
	other.Runtime = "depot"
	must(t, a.Beat(t.Context(), other))
	must(t, a.Leave(t.Context(), other))
	must(t, b.Beat(t.Context(), node("new")))
	list, err := b.Runtimes(t.Context(), "local")
	must(t, err)
	if len(list) != 2 || list[0].Name != "depot" || list[1].Nodes != 2 || list[1].Since.Before(old.Since) {
		t.Errorf("%+v", list)
	}
}

// Each owner has runtimes of its own, whatever they are called.
func testRuntimesOfOwners(t *testing.T, a, b store.Runtimes) {
	theirs := node("n1")
	theirs.Owner = "acme"
	must(t, a.Beat(t.Context(), node("n1")))
	must(t, a.Beat(t.Context(), theirs))
	must(t, a.RemoveRuntime(t.Context(), "acme", "edge"))
	if r := the(t, b); r.Owner != "local" || r.Nodes != 1 {
		t.Errorf("%+v", r)
	}
	wantCode(t, "removing it again", b.RemoveRuntime(t.Context(), "acme", "edge"), connector.RuntimeNotFound)
	wantCode(t, "a node without a name", a.Beat(t.Context(), store.Node{Owner: "local", ID: "n", Every: time.Hour}), connector.UsageWrong)
	wantCode(t, "a node without a heartbeat", a.Beat(t.Context(), store.Node{Owner: "local", Runtime: "r", ID: "n"}), connector.UsageWrong)
}

// A run keeps what was asked, and each check as it ends.
func testRun(t *testing.T, a, b store.Runtimes) {
	asked := newRun(t, a)
	r := run(t, b, 0)
	if r.State != store.RunWaiting || r.Key != asked.Key || r.Runtime != "edge" || r.Actor != "ann" || !slices.Equal(r.RequiredScopes, []string{"a", "b"}) ||
		r.ExpiresAt.Sub(r.CreatedAt) != time.Hour || !r.CreatedAt.Equal(asked.CreatedAt) || len(r.Checks) != 0 {
		t.Fatalf("%+v", r)
	}
	must(t, b.TakeRun(t.Context(), "r1", node("n1")))
	told := []connector.Check{
		{ID: "one", Status: connector.CheckPassed, Message: "it's \"\x00\" fine", Duration: time.Second, DependsOn: []string{"zero"}},
		{ID: "two", Status: connector.CheckFailed, Diagnostic: connector.Errorf(connector.RateLimited, connector.OriginService, "Wait.").After(time.Minute)},
	}
	for i, c := range told {
		must(t, b.AddCheck(t.Context(), "r1", node("n1"), i, c))
		must(t, b.AddCheck(t.Context(), "r1", node("n1"), i, c)) // its answer was lost
		if r = run(t, a, i); len(r.Checks) != 1 || r.Checks[0].ID != c.ID || r.Checks[0].Message != c.Message || r.State != store.RunRunning || r.Node != "n1" {
			t.Fatalf("%+v", r)
		}
	}
	if d := run(t, a, 0).Checks[1].Diagnostic; d == nil || d.Code != connector.RateLimited || d.RetryAfter != time.Minute {
		t.Errorf("%+v", d)
	}
	wantCode(t, "a check with a gap before it", b.AddCheck(t.Context(), "r1", node("n1"), 3, told[0]), connector.ConnectionChanged)
	must(t, b.EndRun(t.Context(), "r1", nil))
	if r = run(t, a, 2); r.State != store.RunEnded || r.Failure != nil || len(r.Checks) != 0 {
		t.Errorf("%+v", r)
	}
	wantCode(t, "a check after the end", b.AddCheck(t.Context(), "r1", node("n1"), 2, told[0]), connector.ConnectionChanged)
	if _, err := a.Run(t.Context(), "none", 0); err == nil {
		t.Error("there is a run that nobody made")
	}
}

// Of many nodes that try to take a run one succeeds.
func testRunIsTakenOnce(t *testing.T, a, b store.Runtimes) {
	newRun(t, a)
	const nodes = 8
	errs := make([]error, nodes)
	var work sync.WaitGroup
	for i := range nodes {
		work.Go(func() {
			errs[i] = []store.Runtimes{a, b}[i%2].TakeRun(t.Context(), "r1", node("n"+strconv.Itoa(i)))
		})
	}
	work.Wait()
	winner := run(t, a, 0).Node
	for i, err := range errs {
		if winner == "n"+strconv.Itoa(i) {
			must(t, err)
			must(t, a.TakeRun(t.Context(), "r1", node(winner))) // its answer was lost
			continue
		}
		wantCode(t, "taking a run that is taken", err, connector.ConnectionChanged)
		wantCode(t, "a check by another node", a.AddCheck(t.Context(), "r1", node("n"+strconv.Itoa(i)), 0, connector.Check{ID: "c"}), connector.ConnectionChanged)
	}
}

// A node can't take a run of another owner or runtime.
func testRunOfOthers(t *testing.T, a, b store.Runtimes) {
	newRun(t, a)
	theirs, depot := node("n1"), node("n1")
	theirs.Owner, depot.Runtime = "acme", "depot"
	wantCode(t, "another owner's node", b.TakeRun(t.Context(), "r1", theirs), connector.ConnectionChanged)
	wantCode(t, "another runtime's node", b.TakeRun(t.Context(), "r1", depot), connector.ConnectionChanged)
	wantCode(t, "no such run", b.TakeRun(t.Context(), "r2", node("n1")), connector.ConnectionChanged)
	if r := run(t, a, 0); r.State != store.RunWaiting {
		t.Errorf("%+v", r)
	}
}

// The first end of a run counts.
func testFirstEndCounts(t *testing.T, a, b store.Runtimes) {
	newRun(t, a)
	must(t, a.EndRun(t.Context(), "r1", connector.Errorf(connector.RuntimeDead, connector.OriginHost, "Dead.")))
	must(t, b.EndRun(t.Context(), "r1", nil))
	must(t, b.EndRun(t.Context(), "none", nil))
	if r := run(t, b, 0); r.Failure == nil || r.Failure.Code != connector.RuntimeDead {
		t.Errorf("%+v", r)
	}
	wantCode(t, "taking a run that has ended", b.TakeRun(t.Context(), "r1", node("n1")), connector.ConnectionChanged)
}

// A run whose time is over is gone.
func testRunExpires(t *testing.T, a, b store.Runtimes) {
	r := &store.Run{ID: "r1", Key: key("c1"), Runtime: "edge"}
	must(t, a.CreateRun(t.Context(), r, time.Millisecond))
	eventually(t, "the run is gone", func() bool {
		_, err := b.Run(t.Context(), "r1", 0)
		return err != nil
	})
	_, err := b.Run(t.Context(), "r1", 0)
	wantCode(t, "reading a run that expired", err, connector.ConnectionNotFound)
	wantCode(t, "taking it", b.TakeRun(t.Context(), "r1", node("n1")), connector.ConnectionChanged)
}

// A waiting run is alive as long as its runtime is; a running one lives and
// dies with the node that took it.
func testRunKnowsWhoLives(t *testing.T, a, b store.Runtimes) {
	newRun(t, a)
	alive := func(want bool, when string) {
		t.Helper()
		if r := run(t, b, 0); r.Alive != want {
			t.Fatalf("%s: alive is %t", when, r.Alive)
		}
	}
	alive(false, "without nodes")
	theirs := node("n0")
	theirs.Owner = "acme"
	must(t, a.Beat(t.Context(), theirs))
	alive(false, "with another owner's")
	must(t, a.Beat(t.Context(), node("n1")))
	must(t, a.Beat(t.Context(), node("n2")))
	alive(true, "waiting")
	must(t, a.TakeRun(t.Context(), "r1", node("n1")))
	alive(true, "running")
	must(t, a.Leave(t.Context(), node("n1")))
	alive(false, "after its node left")
	must(t, a.Beat(t.Context(), node("n1")))
	alive(true, "with its node back")
}
