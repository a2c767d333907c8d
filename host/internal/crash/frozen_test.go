//go:build unix

package crash_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

const (
	// shortLease is that of holders that freeze.
	shortLease = 5 * time.Second
	// ownTime is what a worker may take beside its wait for another's lease.
	ownTime = 4 * time.Second
)

// frozen is a case of a holder that is stopped in the middle of a renewal, and
// goes on when another process has been served, or its lease has ended.
type frozen struct {
	name      string
	at        string
	connector bool // it is stopped, not the host
	alone     bool // no other process asks meanwhile
	requests  int  // of tokens, all in all
}

// A holder that is frozen delays others no longer than its lease lasts. Frozen
// before its request left, it sends nothing when it wakes; frozen after, it
// writes only if nobody has renewed meanwhile. Whatever was frozen gets through
// in the end, with the same access as the other.
func TestFrozenHolder(t *testing.T) {
	t.Parallel()
	for _, p := range places {
		for _, f := range []frozen{
			{name: "host before the request", at: atLease, requests: 1},
			{name: "connector before the request", at: atLease, connector: true, requests: 1},
			{name: "host in the request", at: inReply, requests: 2},
			{name: "connector in the request", at: inReply, connector: true, requests: 2},
			{name: "host after the answer", at: atAnswer, requests: 2},
			{name: "host after the answer, alone", at: atAnswer, alone: true, requests: 1},
			{name: "connector after the answer", at: atAnswer, connector: true, requests: 1},
		} {
			t.Run(p.name+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				r := newTrial(t, p, boxsim.ReplayUntilUsed)
				r.order.Lease = shortLease
				r.signIn()
				r.freeze(f)
			})
		}
	}
}

func (r *trial) freeze(f frozen) {
	w := r.start(f.at)
	began := time.Now() // of the lease, at the latest
	release := func() {}
	switch f.at {
	case inReply:
		release = r.hold(w, inReply)
	case atAnswer:
		w.goOn()
		if !w.reaches(atAnswer) {
			r.t.Fatal(w.told.String())
		}
	}
	pid := w.cmd.Process.Pid
	if f.connector {
		pid = w.plugin
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		r.t.Fatal(err)
	}
	awaitStopped(r.t, pid)
	r.t.Cleanup(func() { _ = syscall.Kill(w.plugin, syscall.SIGKILL) }) // a stopped one doesn't notice its host's end
	if f.connector {
		w.goOn()
	}
	if f.alone {
		<-time.After(time.Until(began.Add(shortLease + time.Second)))
	} else {
		waited := r.served(r.launch(r.order))
		r.t.Logf("another waited for %v", waited)
		if waited > shortLease+ownTime {
			r.t.Errorf("another process waited for %v, with a lease of %v", waited, shortLease)
		}
	}
	_ = syscall.Kill(pid, syscall.SIGCONT) // the host may have ended its connector
	release()
	r.served(w)
	requests, err := r.control.Requests(r.t.Context(), boxsim.RequestQuery{GrantType: "refresh_token"})
	if err != nil || len(requests) != f.requests {
		r.t.Errorf("%d token requests, want %d (%v): %+v; the holder: %s", len(requests), f.requests, err, requests, w.told.String())
	}
	s, err := r.control.State(r.t.Context())
	if err != nil || s.Counters.ReusedAfterSuccessorUsed != 0 {
		r.t.Errorf("%d refresh tokens were sent after their successor was used (%v)", s.Counters.ReusedAfterSuccessorUsed, err)
	}
	r.through(r.start()) // and the connection lives
}

// served wants a worker to get the access of the one renewal there was, and
// returns how long it waited for it.
func (r *trial) served(w *worker) (waited time.Duration) {
	r.t.Helper()
	code, told := w.end()
	lines := strings.Split(told, "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "served ") })
	if code != 0 || i < 0 {
		r.t.Fatalf("exit code %d: %s", code, told)
	}
	var generation uint64
	var after int64
	if _, err := fmt.Sscanf(lines[i], "served generation %d after %d ms", &generation, &after); err != nil || generation != 2 {
		r.t.Fatalf("%s (%v), want generation 2", lines[i], err)
	}
	return time.Duration(after) * time.Millisecond
}

// awaitStopped waits until a process that was told to stop has done so: the
// signal is delivered to each thread in its own time. Where the system doesn't
// tell, the signal has to do.
func awaitStopped(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			return
		}
		stopped := 0
		for _, path := range threads {
			stat, err := os.ReadFile(path)
			if _, state, ok := strings.Cut(string(stat), ") "); err != nil || (ok && strings.HasPrefix(state, "T")) {
				stopped++
			}
		}
		if stopped == len(threads) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %d doesn't stop", pid)
		}
		time.Sleep(time.Millisecond)
	}
}
