//go:build unix

package launch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
)

// A plugin gets its variables from a list: no secrets, no proxies; a private
// working folder; and no terminal.
func TestSurroundings(t *testing.T) {
	for name, value := range map[string]string{"SECRET_OF_HOST": "s3cret", "HTTPS_PROXY": "http://p:1", "LD_PRELOAD_X": "x"} {
		t.Setenv(name, value)
	}
	l := launcher(t, launch.Options{})
	p := load(t, l, "good")
	env := must(t, p, "env")
	for _, no := range []string{"SECRET_OF_HOST", "s3cret", "PROXY", "LD_PRELOAD"} {
		if strings.Contains(env, no) {
			t.Errorf("the environment has %s:\n%s", no, env)
		}
	}
	for _, yes := range []string{handshake.DeathFD + "=", "PATH=", "TMPDIR=", handshake.CookieKey + "="} {
		if !strings.Contains(env, yes) {
			t.Errorf("the environment lacks %s", yes)
		}
	}
	if pwd := must(t, p, "pwd"); !strings.Contains(env, "TMPDIR="+pwd) {
		t.Errorf("works in %s", pwd)
	} else if info, err := os.Stat(pwd); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", info, err)
	}
	if got := must(t, p, "stdin"); got != "0 <nil>" {
		t.Errorf("standard input: %s", got)
	}
}

// What a handler returns passes through as it is.
func TestHandlersErrorsPassThrough(t *testing.T) {
	t.Parallel()
	p := load(t, launcher(t, launch.Options{}), "good")
	_, err := do(t.Context(), p, "fail")
	if st := status.Convert(err); st.Code() != codes.Unavailable || st.Message() != "the handler says so" {
		t.Errorf("got %v", err)
	}
	if inc, err := p.Incarnation(t.Context()); err != nil || inc.ID() != 1 {
		t.Errorf("the plugin was restarted: %v", err)
	}
}

// A process that dies in the middle of a call: that call and the others that
// run are told so, with the exit status; nothing is repeated; the next call
// has a new process.
func TestPluginDiesDuringACall(t *testing.T) {
	t.Parallel()
	l := launcher(t, launch.Options{})
	for name, c := range map[string]struct {
		kill func(*launch.Plugin) error
		says string
	}{
		"exit":  {func(p *launch.Plugin) error { _, err := do(t.Context(), p, "exit 7"); return err }, "exit status 7"},
		"panic": {func(p *launch.Plugin) error { _, err := do(t.Context(), p, "panic"); return err }, "exit status 2"},
		"signal": {func(p *launch.Plugin) error {
			inc, err := p.Incarnation(t.Context())
			if err == nil {
				err = syscall.Kill(inc.PID(), syscall.SIGKILL)
			}
			if err != nil {
				return err
			}
			<-inc.Done()
			return inc.Err()
		}, "killed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := load(t, l, "good")
			must(t, p, "echo x")
			bystander := watch(t, p) // another call that runs
			if err := bystander.SendMsg(wrapperspb.Bytes([]byte("sleep 60000"))); err != nil {
				t.Fatal(err)
			}
			d := wantCode(t, c.kill(p), connector.PluginExited)
			if !strings.Contains(d.Summary, c.says) || !strings.Contains(d.Summary, p.Name()) {
				t.Errorf("%q doesn't say %q", d.Summary, c.says)
			}
			wantCode(t, bystander.RecvMsg(new(wrapperspb.BytesValue)), connector.PluginExited)
			must(t, p, "echo again")
			if inc, err := p.Incarnation(t.Context()); err != nil || inc.ID() != 2 {
				t.Errorf("%v, %v", inc, err)
			}
		})
	}
}

// A process that stops answering is told from a slow one, killed, and
// replaced by the next call.
func TestPluginHangs(t *testing.T) {
	t.Parallel()
	p := load(t, launcher(t, launch.Options{PingTimeout: 300 * time.Millisecond}), "good")
	inc, err := p.Incarnation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	freeze(t, inc)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	begin := time.Now()
	_, err = do(ctx, p, "echo x")
	wantCode(t, err, connector.PluginUnresponsive)
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	<-inc.Done()
	if alive(inc.PID()) {
		t.Error("the hung process lives")
	}
	must(t, p, "echo again")
}

func TestPingFindsAHungProcess(t *testing.T) {
	t.Parallel()
	p := load(t, launcher(t, launch.Options{PingTimeout: 200 * time.Millisecond}), "good")
	if err := p.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	inc, err := p.Incarnation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	freeze(t, inc)
	wantCode(t, inc.Ping(t.Context()), connector.PluginUnresponsive)
	must(t, p, "echo again")
}

// A stream without a deadline doesn't wait for ever for a hung process.
func TestStreamOfAHungProcess(t *testing.T) {
	t.Parallel()
	p := load(t, launcher(t, launch.Options{PingTimeout: 200 * time.Millisecond, HealthInterval: 100 * time.Millisecond}), "good")
	s := watch(t, p)
	inc, err := p.Incarnation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	freeze(t, inc)
	wantCode(t, s.RecvMsg(new(wrapperspb.BytesValue)), connector.PluginUnresponsive)
}

func TestStream(t *testing.T) {
	t.Parallel()
	p := load(t, launcher(t, launch.Options{}), "good")
	s := watch(t, p)
	for _, word := range []string{"one", "two"} {
		var out wrapperspb.BytesValue
		if err := s.SendMsg(wrapperspb.Bytes([]byte("echo " + word))); err != nil {
			t.Fatal(err)
		}
		if err := s.RecvMsg(&out); err != nil || string(out.GetValue()) != word {
			t.Fatalf("%q, %v", out.GetValue(), err)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := s.RecvMsg(new(wrapperspb.BytesValue)); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	s = watch(t, p)
	if err := s.SendMsg(wrapperspb.Bytes([]byte("exit 4"))); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.RecvMsg(new(wrapperspb.BytesValue)), connector.PluginExited)
}

// A slow answer is the caller's time-out, not the plugin's end.
func TestSlowCall(t *testing.T) {
	t.Parallel()
	p := load(t, launcher(t, launch.Options{CallTimeout: 300 * time.Millisecond}), "good")
	must(t, p, "echo x")
	_, err := do(t.Context(), p, "sleep 60000") // the default deadline
	if _, isStatus := status.FromError(err); !errors.Is(err, connector.TimedOut) && !isStatus {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err = do(ctx, p, "sleep 60000")
	wantCode(t, err, connector.Canceled)
	if inc, err := p.Incarnation(t.Context()); err != nil || inc.ID() != 1 {
		t.Errorf("the plugin was restarted: %v", err)
	}
}

// Messages beyond the limit are refused on either side, and the plugin lives
// on; a claimed length costs the host nothing.
func TestMessageLimits(t *testing.T) {
	t.Parallel()
	l := launcher(t, launch.Options{})
	p := load(t, l, "good")
	_, err := do(t.Context(), p, "big 67108864")
	wantCode(t, err, connector.LimitExceeded)
	_, err = do(t.Context(), p, "size "+strings.Repeat("x", 5<<20))
	wantCode(t, err, connector.LimitExceeded)
	if got := must(t, p, "size "+strings.Repeat("x", 4<<20-100)); atoi(t, got) != 4<<20-100 {
		t.Errorf("got %s", got)
	}
	raw := load(t, l, "raw")
	for command, code := range map[string]connector.Code{
		"claims": connector.LimitExceeded, "garbage": connector.PluginContractBroken,
		"headers": connector.PluginContractBroken, "trailers": connector.PluginContractBroken,
	} {
		_, err := do(t.Context(), raw, command)
		if d, ok := errors.AsType[*connector.Diagnostic](err); !ok || d.Code != code {
			t.Errorf("%s: %v, want %s", command, err, code)
		}
	}
	for _, command := range []string{"html", "cut"} {
		if _, err := do(t.Context(), raw, command); err == nil {
			t.Errorf("%s: passed for an answer", command)
		}
	}
}

// What a plugin prints reaches the log, bounded, cleaned and scrubbed; none of
// it can stop the host or block the plugin.
func TestOutput(t *testing.T) {
	t.Parallel()
	log := &buffer{}
	l := launcher(t, launch.Options{
		Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug - 4})),
		Scrub:  func(s string) string { return strings.ReplaceAll(s, "hunter2", "[gone]") },
	})
	p := load(t, l, "good")
	for _, hostile := range []string{
		`{"@message":123}`, `{"@level":[],"@message":{"a":1},"@timestamp":false}`, `{"@message":null}`, `{"@level":"info"`,
		`{"@level":"info","@message":"deep","x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
		"\xff\xfe\x00\x1b[2J", strings.Repeat("z", 1<<20), "", "\r", "[WARN]", "panic: not really", "fatal error: neither",
		`{"@level":"warn","@message":"from hclog hunter2","key":"value hunter2"}`, `{"level":"ERROR","msg":"from slog"}`,
	} {
		must(t, p, "stderr "+hostile+"\n")
	}
	eventually(t, "the lines are logged", 5*time.Second, func() bool { return strings.Contains(log.String(), "from slog") })
	text := log.String()
	for _, want := range []string{
		`"level":"WARN","msg":"from hclog [gone]"`, `"fields":{"key":"value [gone]"}`, `"level":"ERROR","msg":"from slog"`, `"plugin":"fake-good"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > 20<<10 || strings.Contains(line, "hunter2") {
			t.Errorf("a line of %d bytes, or with a secret", len(line))
		}
	}
	for _, command := range []string{"flood 1000000", "print 20000", "unread 1000000"} {
		must(t, p, command)
		must(t, p, "echo still here")
	}
	eventually(t, "lost lines are counted", 5*time.Second, func() bool { return strings.Contains(log.String(), `"dropped":`) })
	if n := strings.Count(log.String(), "\n"); n > 20_000 {
		t.Errorf("%d lines were logged", n)
	}
}

// Close lets running calls finish, refuses new ones, and can be repeated.
func TestCloseDrains(t *testing.T) {
	t.Parallel()
	p := load(t, launcher(t, launch.Options{}), "good")
	must(t, p, "echo x")
	s := watch(t, p)
	closed := make(chan error, 1)
	go func() { closed <- p.Close(context.Background()) }()
	eventually(t, "new calls are refused", 5*time.Second, func() bool {
		_, err := do(t.Context(), p, "echo y")
		return errors.Is(err, connector.Canceled)
	})
	if err := s.SendMsg(wrapperspb.Bytes([]byte("echo drained"))); err != nil {
		t.Fatal(err)
	}
	var out wrapperspb.BytesValue
	if err := s.RecvMsg(&out); err != nil || string(out.GetValue()) != "drained" {
		t.Errorf("a running call: %q, %v", out.GetValue(), err)
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	_ = s.RecvMsg(&out)
	if err := errors.Join(<-closed, p.Close(t.Context())); err != nil {
		t.Error(err)
	}
	wantCode(t, p.Ping(t.Context()), connector.Canceled)
}

// A call that doesn't end, a stopped process, a grandchild that keeps the
// outputs open: Close is bounded, and nothing in the group survives.
func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	l := launcher(t, launch.Options{KillTimeout: 500 * time.Millisecond})
	for name, c := range map[string]struct {
		prepare string
		limit   time.Duration
	}{
		"stopped": {"stop", 3 * time.Second}, "running call": {"", 3 * time.Second},
		"grandchild": {"spawn", 3 * time.Second}, "grandchild in a session": {"spawn session", 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := load(t, l, "good")
			inc, err := p.Incarnation(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			grandchild := 0
			switch c.prepare {
			case "stop":
				freeze(t, inc)
			case "":
				s := watch(t, p)
				err = s.SendMsg(wrapperspb.Bytes([]byte("sleep 60000")))
			default:
				grandchild = atoi(t, must(t, p, c.prepare))
			}
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			begin := time.Now()
			if err := p.Close(ctx); err != nil {
				t.Error(err)
			}
			if took := time.Since(begin); took > c.limit {
				t.Errorf("Close took %v", took)
			}
			if alive(inc.PID()) {
				t.Error("the process lives")
			}
			switch {
			case strings.HasSuffix(c.prepare, "session"):
				_ = syscall.Kill(grandchild, syscall.SIGKILL) // it left the group, and may live
			case grandchild != 0:
				eventually(t, "the grandchild is gone", time.Second, func() bool { return !alive(grandchild) })
			}
		})
	}
}

// Closing during a start ends the start.
func TestCloseDuringStart(t *testing.T) {
	t.Parallel()
	l := launcher(t, launch.Options{})
	p := load(t, l, "silent")
	started := make(chan error, 1)
	go func() { started <- p.Ping(context.Background()) }()
	eventually(t, "the process is being started", 5*time.Second, func() bool {
		return len(childrenNamed(t, "fake-silent")) > 0 || !hasProc()
	})
	begin := time.Now()
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	wantCode(t, <-started, connector.Canceled)
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
}

// Callers of a plugin that isn't running share one start, and one that gives
// up doesn't spoil it.
func TestCallersShareAStart(t *testing.T) {
	t.Parallel()
	p := load(t, launcher(t, launch.Options{}), "good")
	hasty, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := do(hasty, p, "pid"); !errors.Is(err, connector.Canceled) {
		t.Errorf("the hasty caller: %v", err)
	}
	pids := make([]string, 10)
	var all sync.WaitGroup
	for i := range pids {
		all.Go(func() { pids[i], _ = do(t.Context(), p, "pid") })
	}
	all.Wait()
	for _, pid := range pids {
		if pid == "" || pid != pids[0] {
			t.Fatalf("processes: %q", pids)
		}
	}
}

// freeze stops a process and waits until it has stopped.
func freeze(t *testing.T, inc *launch.Incarnation) {
	t.Helper()
	if err := syscall.Kill(inc.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process has stopped", 5*time.Second, func() bool {
		return !hasProc() || state(inc.PID()) == "T"
	})
}

func watch(t *testing.T, cc grpc.ClientConnInterface) grpc.ClientStream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	desc := &grpc.StreamDesc{StreamName: "Watch", ServerStreams: true, ClientStreams: true}
	s, err := cc.NewStream(ctx, desc, "/launchtest.Fake/Watch")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// childrenNamed returns the processes whose program has the name.
func childrenNamed(t *testing.T, name string) []string {
	t.Helper()
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var named []string
	for _, path := range found {
		if raw, err := os.ReadFile(path); err == nil && filepath.Base(strings.TrimRight(string(raw), "\x00")) == name {
			named = append(named, path)
		}
	}
	return named
}

// buffer collects a log.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
