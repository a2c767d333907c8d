//go:build unix

package launch_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/launch"
)

// hostArgument makes the test binary a host: it runs the plugins whose paths
// follow the runtime folder, prints their process IDs, and waits.
const hostArgument = "-as-host"

func runHost(args []string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1)
	l, err := launch.New(launch.Options{RuntimeDir: args[0]})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, path := range args[1:] {
		p, err := l.Load(context.Background(), path, launch.AnyDigest())
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		pid, err := do(context.Background(), p, "pid")
		fmt.Println(pid, err)
	}
	if <-signals == syscall.SIGUSR1 {
		panic("a fault in the host")
	}
	if err := l.Close(context.Background()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// However a host ends, its plugins end with it, those that don't watch the
// death pipe too; a host that can close leaves no folder, and the next one
// removes what the others left.
func TestPluginsEndWithTheirHost(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	for name, sig := range map[string]syscall.Signal{
		"killed": syscall.SIGKILL, "panic": syscall.SIGUSR1, "interrupted": syscall.SIGINT, "terminated": syscall.SIGTERM,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		host := exec.CommandContext(ctx, self, hostArgument, dir, fake(t, "watching"), fake(t, "watching"))
		if hasProc() { // elsewhere only the death pipe ends them
			host.Args = append(host.Args, fake(t, "good"))
		}
		out, err := host.StdoutPipe()
		if err == nil {
			err = host.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		var pids []int
		lines := bufio.NewScanner(out)
		for len(pids) < len(host.Args)-3 && lines.Scan() {
			text, failed, _ := strings.Cut(lines.Text(), " ")
			if failed != "<nil>" {
				t.Fatalf("%s: the host says %q", name, lines.Text())
			}
			pids = append(pids, atoi(t, text))
		}
		if err := host.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, out)
		_ = host.Wait()
		for n, pid := range pids {
			eventually(t, fmt.Sprintf("%s: plugin %d is gone", name, n), time.Second, func() bool { return !alive(pid) })
		}
		left, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if closed := sig == syscall.SIGINT || sig == syscall.SIGTERM; closed != (len(left) == 0) {
			t.Errorf("%s: left %v", name, left)
		}
		l, err := launch.New(launch.Options{RuntimeDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("%s: after the sweep: %v, %v", name, left, err)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A sweep leaves alone what belongs to a living host or to nobody it knows.
func TestSweepSparesTheLiving(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	if err := os.MkdirAll(dir+"/bc-foreign/data", 0o700); err != nil {
		t.Fatal(err)
	}
	first, err := launch.New(launch.Options{RuntimeDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	p := load(t, first, "good")
	second, err := launch.New(launch.Options{RuntimeDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	must(t, p, "echo x")
	for _, l := range []*launch.Launcher{first, second} {
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(dir + "/bc-foreign/data"); err != nil {
		t.Error(err)
	}
}
