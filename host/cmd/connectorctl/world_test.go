package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// tempPrefix begins the names of the folders for temporary files.
const tempPrefix = "t"

// worldKey is where a script keeps its world.
type worldKey struct{}

// world is a user's place: a home, an environment, and the processes that were
// started in it, all of which end with it.
type world struct {
	dir  string
	temp string
	env  []string
	http *http.Client
	user func(*exec.Cmd) // makes a process another user's

	mu        sync.Mutex
	processes map[string]*process
	pages     map[string]chan string
	leave     map[string]context.CancelFunc
	box       *emulator            // the one that is meant
	boxes     map[string]*emulator // by name
	proxy     *proxy
	closers   []func()
}

// newWorld makes a world whose files lie in dir.
func newWorld(dir string) (*world, error) {
	temp, err := os.MkdirTemp(scratch, tempPrefix)
	if err != nil {
		return nil, err
	}
	w := &world{
		dir: dir, temp: temp, processes: map[string]*process{}, pages: map[string]chan string{}, leave: map[string]context.CancelFunc{}, boxes: map[string]*emulator{},
		http: &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	w.env = []string{
		"PATH=" + bin, "HOME=" + dir, "XDG_DATA_HOME=" + filepath.Join(dir, "data"),
		"TMPDIR=" + temp, "XDG_RUNTIME_DIR=" + temp, "LANG=C.UTF-8",
	}
	return w, nil
}

// worldOf makes the world of a Go test.
func worldOf(t *testing.T) *world {
	t.Helper()
	w, err := newWorld(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

// home is where connectorctl keeps its files.
func (w *world) home() string { return filepath.Join(w.dir, "data", "connectorctl") }

// onClose runs f when the world ends, the last one first.
func (w *world) onClose(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closers = append(w.closers, f)
}

func (w *world) close() {
	w.mu.Lock()
	closers := w.closers
	w.closers = nil
	w.mu.Unlock()
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
	w.http.CloseIdleConnections()
}

// command says how to start a process.
type command struct {
	program string   // a binary's name in bin, or a path
	args    []string // its arguments
	env     []string // beside the world's
	dir     string   // the working folder, the world's if empty
	stdin   string   // the file of its standard input, a pipe if empty
}

// start starts a process. It is killed with the world.
func (w *world) start(c command) (*process, error) {
	if !strings.ContainsRune(c.program, filepath.Separator) {
		c.program = filepath.Join(bin, c.program)
	}
	if c.dir == "" {
		c.dir = w.dir
	}
	c.env = append(append([]string{}, w.env...), c.env...)
	p, err := startProcess(c, w.user)
	if err != nil {
		return nil, err
	}
	w.onClose(p.kill)
	return p, nil
}

// ctl runs connectorctl to its end.
func (w *world) ctl(args ...string) (result, error) {
	p, err := w.start(command{program: "connectorctl", args: args, stdin: os.DevNull})
	if err != nil {
		return result{}, err
	}
	return p.wait()
}

// must runs connectorctl and wants the exit code.
func (w *world) must(t *testing.T, code int, args ...string) result {
	t.Helper()
	r, err := w.ctl(args...)
	if err == nil && r.code != code {
		err = fmt.Errorf("exit code %d, want %d\n%s%s", r.code, code, r.stdout, r.stderr)
	}
	if err != nil {
		t.Fatalf("connectorctl %s: %v", strings.Join(args, " "), err)
	}
	return r
}

// create saves a connection to the emulator.
func (w *world) create(name string, args ...string) error {
	r, err := w.ctl(append([]string{"connection", "create", name, "--settings", w.box.settingsFile, "--secret", "client_secret=@" + w.box.secretFile}, args...)...)
	return r.succeeded(err)
}

// signIn signs a connection in as login, by the browser's way.
func (w *world) signIn(name, login string, args ...string) error {
	p, err := w.start(command{program: "connectorctl", args: append([]string{"--json", "connection", "sign-in", name, "--port", "0", "--no-browser"}, args...)})
	if err != nil {
		return err
	}
	url, err := p.signInURL()
	if err != nil {
		return err
	}
	_, verr := w.visit(context.Background(), url, visitor{login: login})
	r, err := p.wait()
	return errors.Join(r.succeeded(err), verr)
}

// connect creates a connection and signs in.
func (w *world) connect(name string, args ...string) error {
	if err := w.create(name, args...); err != nil {
		return err
	}
	return w.signIn(name, "")
}

// untilExpired waits until a connection's access has ended, as the host sees
// it.
func (w *world) untilExpired(name string) error {
	life, err := w.life(name)
	if err != nil {
		return err
	}
	return until(life.AccessExpiresAt)
}

// untilSettled waits until a quarter of the access's life has passed, so that
// it may be renewed.
func (w *world) untilSettled(name string) error {
	life, err := w.life(name)
	if err != nil {
		return err
	}
	return until(life.RenewedAt.Add(life.AccessExpiresAt.Sub(life.RenewedAt) / 4))
}

// life is what connectorctl shows of a connection's access.
type life struct {
	RenewedAt       time.Time `json:"renewed_at"`
	AccessExpiresAt time.Time `json:"access_expires_at"`
}

func (w *world) life(name string) (life, error) {
	var l life
	r, err := w.ctl("--json", "connection", "show", name)
	if err := r.succeeded(err); err != nil {
		return l, err
	}
	return l, r.decode(&l)
}

// until waits for an instant that only the clock brings.
func until(at time.Time) error {
	left := time.Until(at)
	if at.IsZero() || left > patience/2 {
		return fmt.Errorf("%s is too late to wait for", at)
	}
	pause(context.Background(), left+10*time.Millisecond)
	return nil
}

// pause waits.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// eventually waits for a condition that nothing announces.
func eventually(what string, within time.Duration, holds func() bool) error {
	for deadline := time.Now().Add(within); !holds(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("within %s it never held: %s", within, what)
		}
		pause(context.Background(), 10*time.Millisecond)
	}
	return nil
}

// processesOf lists the processes whose program lies below a folder, or that
// were started with such a one.
func processesOf(folder string) []string {
	var found []string
	entries, _ := os.ReadDir("/proc") // empty where there is none
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		exe, err := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if err != nil || !strings.HasPrefix(exe, folder+"/") {
			continue
		}
		found = append(found, fmt.Sprintf("%d %s", pid, exe))
	}
	return found
}

// jsonLines is an error unless text is one JSON value a line, and at least one.
func jsonLines(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("there is no line")
	}
	for line := range strings.Lines(text) {
		if !json.Valid([]byte(line)) {
			return fmt.Errorf("this line isn't JSON: %s", line)
		}
	}
	return nil
}
