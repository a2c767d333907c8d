//go:build unix

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// short is a life of access tokens that a test can wait for.
const short = "--access-lifetime=2s"

// holdRenewal holds the service's answer to the next renewal, after or before
// it takes effect.
func holdRenewal(t *testing.T, w *world, when string) (id string) {
	t.Helper()
	id, err := w.box.fault(fmt.Sprintf(`{"match":{"grant_type":"refresh_token"},"then":{"when":%q,"hold":true}}`, when))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// renewing is a world in which connectorctl waits for the answer to a renewal.
func renewing(t *testing.T, when string, boxArgs ...string) (w *world, p *process, fault string) {
	t.Helper()
	w = worldOf(t)
	if _, err := w.boxsim("box", append(boxArgs, short)...); err != nil {
		t.Fatal(err)
	}
	if err := w.connect("sales"); err != nil {
		t.Fatal(err)
	}
	if err := w.untilExpired("sales"); err != nil {
		t.Fatal(err)
	}
	fault = holdRenewal(t, w, when)
	p, err := w.start(command{program: "connectorctl", args: []string{"--json", "access", "sales"}, stdin: os.DevNull})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.box.await("grant_type=refresh_token&stage=held", 1); err != nil {
		t.Fatal(err)
	}
	return w, p, fault
}

// release lets the service answer what it holds.
func release(t *testing.T, w *world, fault string) {
	t.Helper()
	if _, err := w.box.control("POST", "/faults/"+fault+"/release", ""); err != nil {
		t.Fatal(err)
	}
}

// generation asks for access and returns its generation.
func generation(t *testing.T, w *world) uint64 {
	t.Helper()
	var a struct {
		Generation uint64 `json:"generation"`
	}
	if err := w.must(t, 0, "--json", "access", "sales").decode(&a); err != nil {
		t.Fatal(err)
	}
	return a.Generation
}

// plugins lists the plugin processes of a world. They run from its folder for
// temporary files.
func plugins(w *world) []string { return processesOf(w.temp) }

// connectorctl is killed in the middle of a renewal. One second later no plugin
// of it is left; the next command needs nobody's help, and where the service
// lets a refresh token be replayed, nothing is lost.
func TestKilledRenewalIsRecovered(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"before_commit", "after_commit"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			w, p, _ := renewing(t, when)
			if len(plugins(w)) == 0 {
				t.Fatal("no plugin runs: the test sees nothing")
			}
			p.kill()
			if err := eventually("the plugin has ended", time.Second, func() bool { return len(plugins(w)) == 0 }); err != nil {
				t.Error(err, plugins(w))
			}
			if _, err := w.box.control("DELETE", "/faults", ""); err != nil {
				t.Fatal(err)
			}
			if g := generation(t, w); g != 2 {
				t.Errorf("generation %d, want 2", g)
			}
			w.must(t, 0, "connection", "test", "sales")
		})
	}
}

// The same with a service that lets a refresh token be used once: the answer
// that nobody got is lost, and the message says exactly that, and what to do.
func TestKilledRenewalIsNamed(t *testing.T) {
	t.Parallel()
	w, p, _ := renewing(t, "after_commit", "--rotation=strict_single_use")
	p.kill()
	if _, err := w.box.control("DELETE", "/faults", ""); err != nil {
		t.Fatal(err)
	}
	r := w.must(t, 11, "access", "sales")
	for _, want := range []string{"RENEWAL_CUT_OFF", "cut off", "connectorctl connection sign-in sales"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("the message doesn't say %q:\n%s", want, r.stderr)
		}
	}
	if err := w.signIn("sales", ""); err != nil {
		t.Fatal(err)
	}
	w.must(t, 0, "access", "sales")
}

// Ctrl-C, or a service manager's signal, in the middle of a renewal: what the
// service has answered is stored before the command ends.
func TestInterruptedRenewalIsStored(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]os.Signal{"SIGINT": os.Interrupt, "SIGTERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, p, fault := renewing(t, "after_commit", "--rotation=strict_single_use")
			if err := p.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			release(t, w, fault)
			r, err := p.wait()
			if err != nil {
				t.Fatal(err)
			}
			if r.code != 130 {
				t.Errorf("exit code %d, want 130\n%s", r.code, r)
			}
			if left := plugins(w); len(left) > 0 {
				t.Errorf("plugins are left: %v", left)
			}
			if g := generation(t, w); g < 2 {
				t.Errorf("generation %d: the renewal wasn't stored", g)
			}
		})
	}
}

// A second Ctrl-C doesn't wait for the service.
func TestSecondInterruptEndsAtOnce(t *testing.T) {
	t.Parallel()
	w, p, _ := renewing(t, "before_commit")
	// The first one is acted on when the program says so; the second one then
	// has its usual effect.
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := eventually("connectorctl has ended", 10*time.Second, func() bool {
		_ = p.cmd.Process.Signal(os.Interrupt) // it may have ended
		select {
		case <-p.gone:
			return true
		default:
			return false
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := eventually("the plugin has ended", time.Second, func() bool { return len(plugins(w)) == 0 }); err != nil {
		t.Error(err)
	}
	if _, err := w.box.control("DELETE", "/faults", ""); err != nil {
		t.Fatal(err)
	}
	w.must(t, 0, "access", "sales")
}

// The plugin dies in the middle of the renewal. The caller gets access all the
// same from a new process, or is told which plugin ended; the credential is
// good either way.
func TestPluginKilledInRenewal(t *testing.T) {
	t.Parallel()
	w, p, _ := renewing(t, "after_commit")
	for _, line := range plugins(w) {
		pid, _, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.box.control("DELETE", "/faults", ""); err != nil {
		t.Fatal(err)
	}
	r, err := p.wait()
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case r.code == 0:
	case r.code == 14 && strings.Contains(r.stderr, "PLUGIN_EXITED"):
	default:
		t.Errorf("exit code %d\n%s", r.code, r)
	}
	if g := generation(t, w); g < 2 {
		t.Errorf("generation %d, want a renewed one", g)
	}
}

// Several commands on one store that are killed at any time leave a store that
// the next command reads, and no lock that it waits for.
func TestKilledAtAnyTime(t *testing.T) {
	t.Parallel()
	w := worldOf(t)
	if _, err := w.boxsim("box", short); err != nil {
		t.Fatal(err)
	}
	if err := w.connect("sales"); err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		p, err := w.start(command{program: "connectorctl", args: []string{"access", "sales", "--min", "1900ms"}, stdin: os.DevNull})
		if err != nil {
			t.Fatal(err)
		}
		pause(t.Context(), time.Duration(i*13)*time.Millisecond) // somewhere in its course
		p.kill()
	}
	began := time.Now()
	w.must(t, 0, "access", "sales")
	w.must(t, 0, "connection", "test", "sales")
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the next commands took %s: they waited for somebody dead", took)
	}
	// What the killed ones left for temporary files is gone too. One that was
	// killed in the instant before it locked its folder leaves that for an
	// hour: nobody can tell it from one that is about to.
	left, err := filepath.Glob(filepath.Join(w.temp, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range left {
		if _, err := os.Stat(filepath.Join(folder, "lock")); err == nil {
			t.Errorf("temporary files are left: %s", folder)
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	}
}
