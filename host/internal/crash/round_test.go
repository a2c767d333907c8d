//go:build unix

package crash_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

// trial is one connection that is tried.
type trial struct {
	t       *testing.T
	order   order
	control boxsim.Control
	strict  bool
	random  *rand.Rand
	node    string // the workers' names begin with it
	workers int
	round   int

	// since are the kills since a worker last got through.
	since  []killing
	counts map[string]int // of kills by window
	killed map[string]int // by what was killed
	beside int            // kills beside another worker
	losses int
	reused int64
}

// killing is a kill that may have cut an answer off.
type killing struct {
	window, node  string
	launched, end time.Time
}

// newTrial makes a connection's place, and its service.
func newTrial(t *testing.T, p place, rotation boxsim.Rotation) *trial {
	t.Helper()
	knobs := boxsim.DefaultKnobs()
	knobs.Rotation = rotation
	box, err := boxsim.Listen(t.Context(), "localhost:0", boxsim.Options{Knobs: &knobs}, boxsim.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	folder, err := os.MkdirTemp("", "crash") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Mkdir(filepath.Join(folder, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	info := box.Info()
	r := &trial{
		t: t, control: box.Control(), strict: rotation == boxsim.StrictSingleUse, node: "worker",
		counts: map[string]int{}, killed: map[string]int{},
		order: order{Folder: folder, Plugin: plugin, Settings: map[string]string{
			"authorize_url": info.AuthorizeURL, "token_url": info.TokenURL, "revoke_url": info.RevokeURL, "api_url": info.APIURL,
			"client_id": info.ClientID, "client_secret": info.ClientSecret,
		}},
	}
	if p.postgres {
		r.order.Database = server.Database(t)
		r.order.Lease = 4 * time.Second
	}
	return r
}

// on is the trial for a test of its own.
func (r *trial) on(t *testing.T) *trial {
	r.t = t
	return r
}

// kill starts a worker and kills it, its connector, or both, in a window.
func (r *trial) kill(s step) {
	w := r.start(s.window)
	workers := []*worker{w}
	if s.beside {
		workers = append(workers, r.launch(r.order))
	}
	release, pause := func() {}, s.window
	switch s.window {
	case inRequest, inReply:
		release = r.hold(w, s.window)
	case inWrite:
		pause = atAnswer
	case inUse:
		pause = atHandedOut
	}
	if !slices.Contains([]string{atLease, inRequest, inReply}, s.window) {
		w.goOn()
		if !w.reaches(pause) {
			r.through(workers...)
			return
		}
	}
	if s.delay > 0 {
		w.goOn()
		spin(s.delay)
	}
	r.counts[s.window]++
	r.killed[s.target]++
	if s.beside {
		r.beside++
	}
	if s.target != "host" {
		_ = syscall.Kill(w.plugin, syscall.SIGKILL)
	}
	if s.target != "connector" {
		_ = w.cmd.Process.Kill()
	}
	r.since = append(r.since, killing{s.window, w.node, w.launched, time.Now()})
	release()
	if s.target == "connector" {
		w.goOn()
	} else {
		w.end()
		workers = workers[1:]
	}
	if len(workers) > 0 {
		r.through(workers...)
	}
}

// hold has the service hold a worker's renewal, before or after it acted, and
// returns when it does.
func (r *trial) hold(w *worker, window string) (release func()) {
	when := boxsim.BeforeCommit
	if window == inReply {
		when = boxsim.AfterCommit
	}
	f, err := r.control.AddFault(r.t.Context(), boxsim.Fault{
		Match: boxsim.Match{GrantType: "refresh_token"}, Then: boxsim.Action{When: when, Hold: true},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	last, err := r.control.Last(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	w.goOn()
	if _, err := r.control.Wait(r.t.Context(), boxsim.RequestQuery{Since: last, GrantType: "refresh_token", Stage: boxsim.Held}, 1, time.Minute); err != nil {
		r.t.Fatal(err)
	}
	return func() {
		if err := r.control.Release(r.t.Context(), f.ID); err != nil {
			r.t.Fatal(err)
		}
	}
}

// through wants workers to get through. Under strict rotation they may find the
// connection lost, if a kill since cut an answer off.
func (r *trial) through(workers ...*worker) {
	lost := false
	for _, w := range workers {
		if code, told := w.end(); code != 0 {
			lost = true
			if why := r.unexplained(told); why != "" {
				r.t.Fatalf("seed %d, %s, after kills %+v: %s", *seed, why, r.since, told)
			}
		}
	}
	if lost {
		r.losses++
		r.signIn()
	}
	r.since = nil
}

var cutOff = regexp.MustCompile(`error RENEWAL_CUT_OFF "the renewal on ([^ /]+)/[^ ]+ at ([^ ]+) ended before its answer was stored`)

// unexplained says what is wrong with a loss: that there is one, or that it
// isn't told as that of a worker that was killed, at a time when it lived.
func (r *trial) unexplained(told string) string {
	if !r.strict || !slices.ContainsFunc(r.since, func(k killing) bool { return slices.Contains(lossy, k.window) }) {
		return "no answer was cut off"
	}
	of := cutOff.FindStringSubmatch(told)
	if of == nil {
		return "it isn't told"
	}
	at, err := time.Parse(time.RFC3339, of[2]) // in whole seconds
	if err != nil {
		return err.Error()
	}
	for _, k := range r.since {
		if k.node == of[1] {
			if at.Before(k.launched.Truncate(time.Second)) || at.After(k.end) {
				return "the time is wrong"
			}
			return ""
		}
	}
	return "the node is wrong"
}

func (r *trial) signIn() {
	r.t.Helper()
	o := r.order
	o.SignIn = true
	if code, told := r.launch(o).end(); code != 0 {
		r.t.Fatalf("signing in: %s", told)
	}
}

// start starts a worker whose access has expired, up to its lease, where it
// waits; it will wait in the window, too. One that finds the connection lost to
// a strict service is followed by a sign-in and another.
func (r *trial) start(window ...string) *worker {
	for {
		r.order.Offset += 2 * time.Hour
		o := r.order
		o.Pauses = append([]string{atLease}, window...)
		switch {
		case slices.Contains(window, inWrite):
			o.Pauses = append(o.Pauses, atAnswer)
		case slices.Contains(window, inUse):
			o.Pauses = append(o.Pauses, atHandedOut)
		}
		w := r.launch(o)
		if w.reaches(atLease) {
			return w
		}
		r.through(w)
	}
}

// name names the next worker's node.
func (r *trial) name() string {
	r.workers++
	return fmt.Sprintf("%s-%d", strings.ReplaceAll(r.node, "/", "-"), r.workers)
}

// spin waits for less than a scheduler's sleep can.
func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}
