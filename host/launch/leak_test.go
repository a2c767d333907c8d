//go:build unix

package launch_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/launch"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// soakVariable asks for 1,000 cycles in place of 50.
const soakVariable = "LAUNCH_SOAK"

// Starting and killing again and again leaves nothing: no process, zombie,
// descriptor, goroutine, socket or folder.
func TestCyclesLeaveNothing(t *testing.T) {
	dir, l := soakLauncher(t)
	p := load(t, l, "good")
	leavesNothing(t, dir, func(n int) {
		inc, err := p.Incarnation(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		must(t, p, "echo x")
		if n%2 == 0 {
			_, err = do(t.Context(), p, "panic")
		} else {
			err = syscall.Kill(inc.PID(), syscall.SIGKILL)
		}
		_ = err // how it ends is other tests' matter
		<-inc.Done()
		if n%10 == 0 {
			other := load(t, l, "good")
			must(t, other, "spawn")
			if err := other.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The same of the connector that ships: started, used, and killed or closed.
func TestConnectorCyclesLeaveNothing(t *testing.T) {
	dir, l := soakLauncher(t)
	path := filepath.Join(t.TempDir(), "box-connection")
	if text, err := exec.Command("go", "build", "-o", path, "../../plugin/cmd/box-connection").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	loaded := func() *launch.Plugin {
		p, err := l.Load(t.Context(), path, launch.AnyDigest())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := loaded()
	leavesNothing(t, dir, func(n int) {
		inc, err := p.Incarnation(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := connectorv1.NewConnectorServiceClient(inc).Describe(t.Context(), &connectorv1.DescribeRequest{}); err != nil {
			t.Fatal(err)
		}
		if n%10 == 0 {
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			p = loaded()
			return
		}
		if err := syscall.Kill(inc.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-inc.Done()
	})
}

func soakLauncher(t *testing.T) (dir string, l *launch.Launcher) {
	t.Helper()
	dir = shortDir(t)
	return dir, launcher(t, launch.Options{
		RuntimeDir: dir, CrashLimit: 1 << 20, Backoff: time.Nanosecond, KillTimeout: time.Second,
	})
}

// leavesNothing runs the cycles and compares what this process holds.
func leavesNothing(t *testing.T, dir string, cycle func(n int)) {
	t.Helper()
	cycles := 50
	if os.Getenv(soakVariable) != "" {
		cycles = 1000
	}
	for n := range 3 {
		cycle(n)
	}
	before := settle(dir, usage{})
	for n := range cycles {
		cycle(n)
	}
	after := settle(dir, before)
	t.Logf("%d cycles; before %+v, after %+v", cycles, before, after)
	if after.over(before) {
		t.Errorf("something was left behind")
	}
}

// usage is what a process holds.
type usage struct{ children, descriptors, goroutines, entries int }

func (u usage) over(limit usage) bool {
	return u.children > limit.children || u.descriptors > limit.descriptors ||
		u.goroutines > limit.goroutines || u.entries > limit.entries
}

// settle measures until the usage isn't over the limit, or for a few seconds.
func settle(dir string, limit usage) usage {
	var u usage
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		u = measure(dir)
		if !u.over(limit) || time.Now().After(deadline) {
			return u
		}
	}
}

func measure(dir string) usage {
	u := usage{goroutines: runtime.NumGoroutine()}
	if fds, err := os.ReadDir("/dev/fd"); err == nil {
		u.descriptors = len(fds)
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(raw), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			u.children++
		}
	}
	_ = filepath.WalkDir(dir, func(string, os.DirEntry, error) error { u.entries++; return nil })
	return u
}

// A launcher that is closed in the middle of everything returns, and twice.
func TestLauncherCloses(t *testing.T) {
	t.Parallel()
	l, err := launch.New(launch.Options{RuntimeDir: shortDir(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"good", "good", "panics", "silent", "crashes"} {
		p := load(t, l, mode)
		go func() { _, _ = do(context.Background(), p, "echo x") }()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 2 {
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	if _, err := l.Load(ctx, fake(t, "good"), launch.AnyDigest()); err == nil {
		t.Error("a closed launcher loads")
	}
}
