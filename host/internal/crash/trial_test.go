//go:build unix

package crash_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

var (
	kills = flag.Int("trial.kills", 100, "kills of the trial; half as many of the one of a strict service")
	seed  = flag.Uint64("trial.seed", 0, "seed of the trial; 0 takes one of the time")
)

func TestMain(m *testing.M) {
	if text := os.Getenv(workerVariable); text != "" {
		os.Exit(work(text))
	}
	flag.Parse()
	os.Exit(m.Run())
}

// The windows in which a worker is killed: the instants that it tells, and
// those that only the service or chance can hit.
const (
	inRequest = "request" // the service has the request, and hasn't acted
	inReply   = "reply"   // the service has acted, and its answer is on the way
	inWrite   = "write"   // some microseconds after the write began
	inUse     = "use"     // some microseconds after the access was handed out

	// leastOf: a window gets at least one in so many kills.
	leastOf = 20
)

var windows = []string{atLease, inRequest, inReply, atAnswer, inWrite, atWritten, atHandedOut, inUse, atUsed}

// lossy are the windows in which a strictly single-use service leaves nothing
// to go on with.
var lossy = []string{inRequest, inReply, atAnswer, inWrite}

// TestTrialReplay: Box's way. The answer to a renewal can be asked for again
// until it was used, so that no kill loses the connection.
func TestTrialReplay(t *testing.T) {
	t.Parallel()
	newTrial(t, boxsim.ReplayUntilUsed).run(*kills)
}

// TestTrialStrict: a service whose refresh tokens are strictly single-use. Each
// loss is one whose answer was cut off, and is told as that.
func TestTrialStrict(t *testing.T) {
	t.Parallel()
	newTrial(t, boxsim.StrictSingleUse).run(*kills / 2)
}

// trial is one run.
type trial struct {
	t       *testing.T
	order   order
	box     *boxsim.Instance
	control boxsim.Control
	strict  bool
	random  *rand.Rand
	seed    uint64

	// since are the windows of the kills since a worker last got through.
	since  []string
	counts map[string]int
	killed map[string]int // by what was killed
	losses int
}

func newTrial(t *testing.T, rotation boxsim.Rotation) *trial {
	t.Helper()
	knobs := boxsim.DefaultKnobs()
	knobs.Rotation = rotation
	box, err := boxsim.Listen(t.Context(), "localhost:0", boxsim.Options{Knobs: &knobs}, boxsim.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	folder := t.TempDir()
	run, err := os.MkdirTemp("", "crash") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	if err := os.Symlink(run, filepath.Join(folder, "run")); err != nil {
		t.Fatal(err)
	}
	plugin := filepath.Join(folder, "box-connection")
	if text, err := exec.Command("go", "build", "-o", plugin, "../../../plugin/cmd/box-connection").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	info := box.Info()
	return &trial{
		t: t, box: box, control: box.Control(), strict: rotation == boxsim.StrictSingleUse,
		seed: s, random: rand.New(rand.NewPCG(s, 1)), counts: map[string]int{}, killed: map[string]int{},
		order: order{Folder: folder, Plugin: plugin, Settings: map[string]string{
			"authorize_url": info.AuthorizeURL, "token_url": info.TokenURL, "revoke_url": info.RevokeURL, "api_url": info.APIURL,
			"client_id": info.ClientID, "client_secret": info.ClientSecret,
		}},
	}
}

// run kills n times, and on until each window has had its least, and tells what
// came of it. A round whose worker finds the connection lost before its window
// kills nobody.
func (r *trial) run(n int) {
	r.signIn()
	for i := 0; !r.enough(n); i++ {
		if i > 4*n {
			r.t.Fatalf("seed %d: too few kills: %s", r.seed, sorted(r.counts))
		}
		window := windows[i%len(windows)]
		if r.random.IntN(3) == 0 {
			window = windows[r.random.IntN(len(windows))]
		}
		r.round(window)
	}
	r.through(r.start())
	s, err := r.control.State(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Logf("seed %d: %d kills by window %v, of %v; connections lost %d; refresh tokens sent after their successor was used %d",
		r.seed, r.total(), sorted(r.counts), sorted(r.killed), r.losses, s.Counters.ReusedAfterSuccessorUsed)
	if !r.strict && r.losses != 0 || s.Counters.ReusedAfterSuccessorUsed != 0 {
		r.t.Error("a connection was lost, or a spent token sent")
	}
}

// total is the number of kills.
func (r *trial) total() (n int) {
	for _, of := range r.counts {
		n += of
	}
	return n
}

// enough reports whether there were n kills, and in each window its least.
func (r *trial) enough(n int) bool {
	for _, w := range windows {
		if r.counts[w] < n/leastOf {
			return false
		}
	}
	return r.total() >= n
}

// round starts a worker and kills it, its connector, or both, in a window.
func (r *trial) round(window string) {
	w := r.start(window)
	release, pause := func() {}, window
	switch window {
	case inRequest, inReply:
		release = r.hold(w, window)
	case inWrite:
		pause = atAnswer
	case inUse:
		pause = atHandedOut
	}
	if window != atLease && window != inRequest && window != inReply {
		w.goOn()
		if !w.reaches(pause) { // the connection was lost before
			r.through(w)
			return
		}
	}
	switch window {
	case inWrite:
		spin(time.Duration(r.random.IntN(3000)) * time.Microsecond)
	case inUse:
		spin(time.Duration(r.random.IntN(1500)) * time.Microsecond)
	}
	target := []string{"host", "host", "both", "connector"}[r.random.IntN(4)]
	r.counts[window]++
	r.killed[target]++
	r.since = append(r.since, window)
	if target != "host" {
		_ = syscall.Kill(w.plugin, syscall.SIGKILL)
	}
	if target != "connector" {
		_ = w.cmd.Process.Kill()
	}
	release()
	if target == "connector" {
		w.goOn()
		r.through(w)
		return
	}
	w.end()
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

// through wants a worker to get through. Under strict rotation it may find the
// connection lost, if a kill since cut an answer off.
func (r *trial) through(w *worker) {
	code, told := w.end()
	if code == 0 {
		r.since = nil
		return
	}
	cutOff := slices.ContainsFunc(r.since, func(w string) bool { return slices.Contains(lossy, w) })
	if !r.strict || !cutOff || !strings.Contains(told, "error RENEWAL_CUT_OFF ") || !strings.Contains(told, "ended before its answer was stored") {
		r.losses++
		r.t.Fatalf("seed %d, after kills in %v: %s", r.seed, r.since, told)
	}
	r.losses++
	r.signIn()
}

func (r *trial) signIn() {
	o := r.order
	o.SignIn = true
	if code, told := r.launch(o).end(); code != 0 {
		r.t.Fatalf("signing in: %s", told)
	}
	r.since = nil
}

// start starts a worker whose access has expired, up to its lease, where it
// waits; it will wait in the window, too. One that finds the connection lost to
// a strict service is followed by a sign-in and another.
func (r *trial) start(window ...string) *worker {
	for {
		r.order.Offset += 2 * time.Hour
		o := r.order
		o.Pauses = append([]string{atLease}, window...)
		w := r.launch(o)
		if w.reaches(atLease) {
			return w
		}
		r.through(w)
	}
}

func sorted(counts map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, counts[k]))
	}
	return strings.Join(parts, ", ")
}

// spin waits for less than a scheduler's sleep can.
func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}
