//go:build unix

package crash_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

// The windows in which a worker is killed: the instants that it tells, and
// those that only the service or chance can hit.
const (
	inRequest = "request" // the service has the request, and hasn't acted
	inReply   = "reply"   // the service has acted, and its answer is on the way
	inWrite   = "write"   // some microseconds after the write began
	inUse     = "use"     // some microseconds after the access was handed out
)

var windows = []string{atLease, inRequest, inReply, atAnswer, inWrite, atWritten, atHandedOut, inUse, atUsed}

// lossy are the windows in which a strictly single-use service leaves nothing
// to go on with.
var lossy = []string{inRequest, inReply, atAnswer, inWrite}

// place is a kind of store, and how the trial is run there.
type place struct {
	name     string
	postgres bool
	// share of the kills is made here, and one of leastOf in each window.
	share, leastOf int
	// lanes are connections that are tried at the same time. A killed holder's
	// lease on PostgreSQL lasts to its end, which is waited for.
	lanes int
}

var places = []place{
	{name: "file", share: 1, leastOf: 20, lanes: 6},
	{name: "PostgreSQL", postgres: true, share: 2, leastOf: 10, lanes: 8},
}

// TestTrialReplay: Box's way. The answer to a renewal can be asked for again
// until it was used, so that no kill loses the connection.
func TestTrialReplay(t *testing.T) {
	t.Parallel()
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.try(t, boxsim.ReplayUntilUsed, *kills/p.share)
		})
	}
}

// TestTrialStrict: a service whose refresh tokens are strictly single-use. Each
// loss is one whose answer was cut off, and is told as that, with the node and
// the time of a worker that was killed.
func TestTrialStrict(t *testing.T) {
	t.Parallel()
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.leastOf = *kills // the windows of no loss aren't what it is about
			p.try(t, boxsim.StrictSingleUse, *kills/p.share/2)
		})
	}
}

// try kills n times on the lanes, each with a schedule that follows from the
// seed, and tells what came of it.
func (p place) try(t *testing.T, rotation boxsim.Rotation, n int) {
	t.Helper()
	lanes := max(1, min(p.lanes, n/12))
	trials := make([]*trial, lanes)
	t.Run("lanes", func(t *testing.T) {
		for i := range trials {
			r := newTrial(t, p, rotation)
			r.random, r.node = rand.New(rand.NewPCG(*seed, uint64(i))), fmt.Sprintf("lane-%d", i)
			trials[i] = r
			t.Run(r.node, func(t *testing.T) {
				t.Parallel()
				r.on(t).run(up(n, lanes), p.leastOf)
			})
		}
	})
	windows, targets, losses, reused := map[string]int{}, map[string]int{}, 0, int64(0)
	beside := 0
	for _, r := range trials {
		add(windows, r.counts)
		add(targets, r.killed)
		losses, reused, beside = losses+r.losses, reused+r.reused, beside+r.beside
	}
	t.Logf("seed %d, %d lanes: %d kills, %d of them beside another worker, by window %v, of %v; connections lost %d; refresh tokens sent after their successor was used %d",
		*seed, lanes, sum(windows), beside, sorted(windows), sorted(targets), losses, reused)
	if rotation != boxsim.StrictSingleUse && losses != 0 || reused != 0 {
		t.Error("a connection was lost, or a spent token sent")
	}
}

func up(n, by int) int { return (n + by - 1) / by }

func add(to, from map[string]int) {
	for k, n := range from {
		to[k] += n
	}
}

func sum(counts map[string]int) (n int) {
	for _, of := range counts {
		n += of
	}
	return n
}

func sorted(counts map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, counts[k]))
	}
	return strings.Join(parts, ", ")
}

// step is what a round does, drawn before anything happens.
type step struct {
	window string
	target string // what is killed: host, connector or both
	beside bool   // another worker asks at the same time
	delay  time.Duration
}

// next draws a step; of three, two take the windows in turn.
func (r *trial) next() step {
	s := step{
		window: windows[r.round%len(windows)],
		target: []string{"host", "host", "both", "connector"}[r.random.IntN(4)],
		beside: r.random.IntN(4) == 0,
	}
	r.round++
	other, chance := windows[r.random.IntN(len(windows))], r.random.IntN(3) == 0
	if chance {
		s.window = other
	}
	delay := r.random.Float64()
	switch s.window {
	case inWrite:
		s.delay = time.Duration(delay * float64(3*time.Millisecond))
	case inUse:
		s.delay = time.Duration(delay * float64(1500*time.Microsecond))
	}
	return s
}

// run kills n times, and on until each window has had its least. A round whose
// worker doesn't get to its window, since it finds the connection lost or
// another worker was faster, kills nobody.
func (r *trial) run(n, leastOf int) {
	r.signIn()
	for !r.enough(n, leastOf) {
		if r.round > 4*n+50 {
			r.t.Fatalf("seed %d: too few kills: %s", *seed, sorted(r.counts))
		}
		r.kill(r.next())
	}
	r.through(r.start())
	s, err := r.control.State(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	r.reused = int64(s.Counters.ReusedAfterSuccessorUsed)
}

// enough reports whether there were n kills, and in each window its least.
func (r *trial) enough(n, leastOf int) bool {
	for _, w := range windows {
		if n >= leastOf && r.counts[w] < up(n, leastOf) {
			return false
		}
	}
	return sum(r.counts) >= n
}

// schedules are the same for the same seed, whatever happens in between.
func TestScheduleFollowsFromSeed(t *testing.T) {
	t.Parallel()
	draw := func() (steps []step) {
		r := &trial{random: rand.New(rand.NewPCG(7, 1))}
		for range 200 {
			steps = append(steps, r.next())
		}
		return steps
	}
	if !slices.Equal(draw(), draw()) {
		t.Error("two schedules of one seed differ")
	}
}
