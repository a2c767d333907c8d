//go:build unix

// Package scale_test has several nodes renew very many connections at once.
package scale_test

import (
	"flag"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/boxconnection/connector/host"
)

var (
	connections = flag.Int("scale.connections", 300, "connections that are due")
	leastRate   = flag.Float64("scale.rate", 0, "renewals a second that all nodes together must reach")
)

const (
	// tokenRate is what the service takes in a second.
	tokenRate = 200
	// nodes work at the same time, each within its share of that. The clock of
	// the last one is ahead.
	nodes = 3
	share = 60
	ahead = time.Hour
)

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(scratch)
		os.Exit(code)
	}))
}

// Three nodes, with folders and connectors of their own and one database
// between them, work through what is due at the same time, at a service that
// takes 200 token requests a second. Each connection is renewed once. The clock
// of one node is an hour ahead: it renews nothing that another node has renewed,
// though to its own eyes that has expired.
func TestNodesRenewEachOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if by := time.Until(w.clock()); by < ahead-time.Minute {
		t.Fatalf("the last node's clock is ahead by %s: nothing would be tried", by)
	}
	w.fill(*connections)

	began := time.Now()
	sums := w.keepAlive()
	took := time.Since(began)
	rate := float64(*connections) / took.Seconds()
	renewed := 0
	for _, sum := range sums {
		renewed += sum.Renewed
		if sum.Failed != 0 || sum.SignInAgain != 0 {
			t.Errorf("a node's summary is %+v", sum)
		}
	}
	sent, most := w.sent()
	s, err := w.control.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d connections, %d renewals in %s: %.0f a second; by node %+v; token requests %d, accepted for one connection at most %d, told to wait %d",
		*connections, renewed, took.Round(10*time.Millisecond), rate, sums, s.Counters.TokenRequests, most, s.Counters.RateLimited)
	if renewed != *connections || sent != *connections || most != 1 {
		t.Errorf("of %d connections %d were renewed; %d refresh tokens were spent, one of them %d times", *connections, renewed, sent, most)
	}
	// A request that was told to wait spent nothing and comes again.
	if s.Counters.TokenRequests != *connections+1+s.Counters.RateLimited || s.Counters.Renewals != *connections || s.Counters.Replays != 0 || s.Counters.ReusedAfterConsumption != 0 {
		t.Errorf("the service counted %+v", s.Counters)
	}
	if rate < *leastRate {
		t.Errorf("%.0f renewals a second, want %.0f", rate, *leastRate)
	}

	for _, n := range w.nodes {
		var sum host.KeptAlive
		n.ctl(&sum, "keepalive")
		if sum != (host.KeptAlive{}) {
			t.Errorf("once more, a node did %+v", sum)
		}
		n.ctl(nil, "access", nameOf(0))
	}
	if again, _ := w.sent(); again != sent {
		t.Errorf("%d renewals more", again-sent)
	}
}

// The check can fail: a credential that is put back after it was spent, as by a
// database that was restored, is renewed a second time, and that is seen.
func TestSecondRenewalIsSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(1)
	before := w.copy(0)
	w.nodes[0].ctl(nil, "keepalive")
	if sent, most := w.sent(); sent != 1 || most != 1 {
		t.Fatalf("%d refresh tokens were spent, one of them %d times", sent, most)
	}
	before.Revision = w.copy(0).Revision
	if err := w.store.Update(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	w.nodes[1].ctl(nil, "keepalive")
	if sent, most := w.sent(); sent != 1 || most != 2 {
		t.Fatalf("%d refresh tokens were spent, one of them %d times; want 1, twice", sent, most)
	}
}
