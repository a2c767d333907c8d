//go:build unix

package launch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/proto/connector"
)

// shortDir returns a folder whose path is short enough for sockets.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// fake returns the path of a plugin that behaves as mode says.
func fake(t testing.TB, mode string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), fakePrefix+mode)
	if err := os.Link(self, path); err != nil {
		copyFile(t, self, path)
	}
	return path
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o700)
	if err == nil {
		_, err = io.Copy(out, in)
		err = errors.Join(err, out.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// launcher returns one that is closed, and found to have left nothing, at the
// test's end.
func launcher(t testing.TB, options launch.Options) *launch.Launcher {
	t.Helper()
	if options.RuntimeDir == "" {
		options.RuntimeDir = shortDir(t)
	}
	l, err := launch.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
		left, err := os.ReadDir(options.RuntimeDir)
		if err != nil || len(left) > 0 {
			t.Errorf("left in the runtime folder: %v, %v", left, err)
		}
	})
	return l
}

// load loads a fake that any digest will do for.
func load(t testing.TB, l *launch.Launcher, mode string) *launch.Plugin {
	t.Helper()
	p, err := l.Load(t.Context(), fake(t, mode), launch.AnyDigest())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// must runs a command that has to work.
func must(t testing.TB, p *launch.Plugin, command string) string {
	t.Helper()
	out, err := do(t.Context(), p, command)
	if err != nil {
		t.Fatalf("%q: %v", command, err)
	}
	return out
}

// wantCode fails the test unless err is a diagnostic with the code, whose
// texts are fit to be shown.
func wantCode(t testing.TB, err error, code connector.Code) *connector.Diagnostic {
	t.Helper()
	d, ok := errors.AsType[*connector.Diagnostic](err)
	if !ok || d.Code != code {
		t.Fatalf("got %v, want a diagnostic with %s", err, code)
	}
	if d.Summary == "" || strings.ContainsFunc(d.Error(), func(r rune) bool { return r < ' ' }) || len(d.Error()) > 1000 {
		t.Errorf("unfit to be shown: %q", d.Error())
	}
	return d
}

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, limit time.Duration, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// alive reports whether a process exists and isn't a zombie.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	return !hasProc() || (state(pid) != "Z" && state(pid) != "")
}

// state returns the letter of a process's state, or "" if there is none.
func state(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}

func hasProc() bool {
	_, err := os.Stat("/proc/self/stat")
	return err == nil
}

func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
