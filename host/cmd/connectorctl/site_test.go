//go:build unix

package main_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// beat is the heartbeat of workers in tests that wait for one to be missed
// thrice. It leaves a busy machine time for it.
const beat = "500ms"

// site is two machines on one database with one key: an engine's, and another
// one for workers. The connection "sales" is signed in to.
type site struct {
	engine, remote *world
	store          []string
	dsn            string
}

func siteOn(t *testing.T, dsn string, boxArgs ...string) *site {
	t.Helper()
	s := &site{engine: worldOf(t), remote: worldOf(t), store: []string{"--store", dsn}, dsn: dsn}
	if _, err := s.engine.boxsim("box", boxArgs...); err != nil {
		t.Fatal(err)
	}
	if err := s.engine.create("sales", s.store...); err != nil {
		t.Fatal(err)
	}
	if err := s.engine.signIn("sales", "", s.store...); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(s.engine.home(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(s.remote.home(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.remote.home(), "keys.json"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// must runs connectorctl on the engine's machine.
func (s *site) must(t *testing.T, code int, args ...string) result {
	t.Helper()
	return s.engine.must(t, code, append(append([]string{}, s.store...), args...)...)
}

// start starts connectorctl on the engine's machine.
func (s *site) start(t *testing.T, args ...string) *process {
	t.Helper()
	return startCtl(t, s.engine, append(append([]string{}, s.store...), args...))
}

// worker starts a worker on the other machine and waits until it serves. It is
// stopped when the test ends, and must end well then.
func (s *site) worker(t *testing.T, runtime string, args ...string) *process {
	t.Helper()
	p := startCtl(t, s.remote, append(append([]string{}, s.store...), append([]string{"worker", "--runtime", runtime}, args...)...))
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		r, err := p.wait()
		if err != nil || r.code != 0 && r.code != -1 {
			t.Errorf("the worker ended with %d, %v\n%s", r.code, err, r)
		}
		if r.code == -1 { // what a killed one left, the next command clears away
			s.remote.must(t, 0, "plugin", "describe", "box-connection")
		}
	})
	printed(t, p, `^Serving the runtime `)
	return p
}

// runtimes lists an account's runtimes by name, with their states.
func (s *site) runtimes(t *testing.T, args ...string) map[string]string {
	t.Helper()
	var list []struct{ Name, State string }
	if err := s.must(t, 0, append(args, "--json", "runtime", "list")...).decode(&list); err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, r := range list {
		states[r.Name] = r.State
	}
	return states
}

// hold makes the service hold what matches, and returns what lets it go.
func (s *site) hold(t *testing.T, path string) (release func()) {
	t.Helper()
	if _, err := s.engine.box.fault(fmt.Sprintf(`{"match":{"path":%q},"times":-1,"then":{"hold":true}}`, path)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if _, err := s.engine.box.control("DELETE", "/faults", ""); err != nil {
			t.Fatal(err)
		}
	}
}

// held starts a test on a runtime and waits until it hangs in the check that
// uses the token.
func (s *site) held(t *testing.T, runtime string) *process {
	t.Helper()
	test := s.start(t, "connection", "test", "sales", "--on", runtime)
	printed(t, test, `^passed +Clocks agree`)
	if err := s.engine.box.await("stage=held&path=/2.0/users/me", 1); err != nil {
		t.Fatal(err)
	}
	return test
}

// query reads one value beside the programs, or runs a statement.
func (s *site) query(t *testing.T, into any, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if into == nil {
		_, err = conn.Exec(t.Context(), sql, args...)
	} else {
		err = conn.QueryRow(t.Context(), sql, args...).Scan(into)
	}
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func startCtl(t *testing.T, w *world, args []string) *process {
	t.Helper()
	p, err := w.start(command{program: "connectorctl", args: args, stdin: os.DevNull})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// printed waits for a line.
func printed(t *testing.T, p *process, pattern string) {
	t.Helper()
	if _, err := p.line(pattern); err != nil {
		t.Fatal(err)
	}
}

// ends waits for a process's end and wants the exit code.
func ends(t *testing.T, p *process, code int) result {
	t.Helper()
	r, err := p.wait()
	if err == nil && r.code != code {
		err = fmt.Errorf("exit code %d, want %d\n%s", r.code, code, r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// signalled sends a signal to a process.
func signalled(t *testing.T, p *process, sig os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// has wants texts in what was printed.
func has(t *testing.T, r result, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.String(), text) {
			t.Errorf("%q isn't in:\n%s", text, r)
		}
	}
}
