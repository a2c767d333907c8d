package storetest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// workerVariable holds a task as JSON and makes the test binary a worker.
const workerVariable = "STORETEST_WORKER"

// workerLife ends a worker that nobody ended.
const workerLife = 2 * time.Minute

// task is what a worker does.
type task struct {
	Place string        `json:"place"`
	Do    string        `json:"do"`
	Key   store.Key     `json:"key"`
	Flow  string        `json:"flow"`
	Count int           `json:"count"`
	For   time.Duration `json:"for"`
	// Spawn leaves a child behind that ends with the worker's input.
	Spawn bool `json:"spawn"`
}

// Worker does the work of another process, if this process was started for it:
// then ok is true, and the caller must exit with code. Call it first in
// TestMain.
func Worker(open OpenFunc) (code int, ok bool) {
	text, ok := os.LookupEnv(workerVariable)
	if !ok {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), workerLife)
	defer cancel()
	if err := work(ctx, text, open); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "worker:", err)
		return 1, true
	}
	return 0, true
}

func work(ctx context.Context, text string, open OpenFunc) (err error) {
	var do task
	if err := json.Unmarshal([]byte(text), &do); err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	if do.Do == "idle" {
		in.Scan()
		return in.Err()
	}
	s, err := open(ctx, do.Place)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	switch do.Do {
	case "hold":
		return hold(ctx, s, do, in)
	case "contend":
		return contend(ctx, s, do)
	case "rewrite":
		return rewrite(ctx, s, do)
	case "take":
		return take(ctx, s, do, in)
	}
	return fmt.Errorf("no such task: %s", do.Do)
}

// say prints a line at once.
func say(words ...any) { _, _ = fmt.Fprintln(os.Stdout, words...) }

// outcome is "ok" or a code.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return string(connector.Diagnose(err, connector.OriginHost).Code)
}

// hold takes the lease and then does what it is told, line by line.
func hold(ctx context.Context, s store.Store, do task, in *bufio.Scanner) error {
	r, held, err := s.Acquire(ctx, do.Key, request(do.For))
	if err != nil || held != nil {
		return fmt.Errorf("acquiring the lease: held %v: %w", held, err)
	}
	if do.Spawn {
		child, err := command(ctx, task{Do: "idle"})
		if err != nil {
			return err
		}
		child.Stdin = os.Stdin
		if err := child.Start(); err != nil {
			return err
		}
	}
	say("holding", r.Lease.ID)
	for in.Scan() {
		switch in.Text() {
		case "commit":
			_, err := s.Commit(ctx, do.Key, r.Lease, renew)
			say(outcome(err))
		case "release":
			say(outcome(s.Release(ctx, do.Key, r.Lease)))
		}
	}
	return in.Err()
}

// contend renews under the lease as often as it is told.
func contend(ctx context.Context, s store.Store, do task) error {
	for done := 0; done < do.Count; {
		r, held, err := s.Acquire(ctx, do.Key, request(time.Hour))
		if err != nil {
			return err
		}
		if held != nil {
			continue
		}
		if _, err := s.Commit(ctx, do.Key, r.Lease, renew); err != nil {
			return err
		}
		done++
	}
	say("ok")
	return nil
}

// rewrite writes one version after the other and says each number once it is
// durable.
func rewrite(ctx context.Context, s store.Store, do task) error {
	say("started")
	for {
		r, held, err := s.Acquire(ctx, do.Key, request(time.Hour))
		if err != nil || held != nil {
			return fmt.Errorf("acquiring the lease: held %v: %w", held, err)
		}
		r, err = s.Commit(ctx, do.Key, r.Lease, func(r *store.Record) error {
			r.Generation++
			r.Sealed[store.FieldCredential] = payload(r.Generation)
			return nil
		})
		if err != nil {
			return err
		}
		say(r.Generation)
		r.Sealed[store.FieldSettings] = payload(r.Revision + 1)
		if err := s.Update(ctx, r); err != nil {
			return err
		}
	}
}

// payload is what belongs to a number: some 12 KiB.
func payload(n uint64) []byte {
	return []byte(strings.Repeat(strconv.FormatUint(n, 10)+" ", 12<<10/(len(strconv.FormatUint(n, 10))+1)))
}

// take waits for a line and then takes a flow.
func take(ctx context.Context, s store.Store, do task, in *bufio.Scanner) error {
	say("ready")
	in.Scan()
	_, err := s.TakeFlow(ctx, do.Flow)
	say(outcome(err))
	return in.Err()
}

// process is a running worker.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// start runs this test binary as a worker, which ends at the latest with the
// test.
func (p *place) start(t testing.TB, do task) *process {
	t.Helper()
	do.Place = p.at
	cmd, err := command(context.WithoutCancel(t.Context()), do)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	w := &process{cmd: cmd}
	if w.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.out = bufio.NewScanner(out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.kill() })
	return w
}

// command is this test binary as a worker.
func command(ctx context.Context, do task) (*exec.Cmd, error) {
	text, err := json.Marshal(do)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self) //nolint:gosec // this binary
	cmd.Env = append(os.Environ(), workerVariable+"="+string(text))
	return cmd, nil
}

// die kills the worker and waits until it is gone, but leaves its input open.
func (w *process) die() {
	_ = w.cmd.Process.Kill()
	_, _ = w.cmd.Process.Wait()
}

// line returns the next line that the worker said, or "" at its end. The
// worker's own life bounds the wait.
func (w *process) line() string {
	w.out.Scan()
	return w.out.Text()
}

func (w *process) tell(t testing.TB, line string) {
	t.Helper()
	if _, err := io.WriteString(w.in, line+"\n"); err != nil {
		t.Fatalf("telling the worker: %v", err)
	}
}

// kill ends the worker at once, waits until it is gone, and returns what it had
// said before. It may be called again.
func (w *process) kill() (rest []string) {
	_ = w.cmd.Process.Kill()
	for w.out.Scan() {
		rest = append(rest, w.out.Text())
	}
	_ = w.cmd.Wait()
	return rest
}

// finish lets the worker end by itself.
func (w *process) finish(t testing.TB) {
	t.Helper()
	_ = w.in.Close()
	if err := w.cmd.Wait(); err != nil {
		t.Errorf("the worker: %v", err)
	}
}
