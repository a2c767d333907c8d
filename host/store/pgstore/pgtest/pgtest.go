// Package pgtest runs a PostgreSQL server for tests: in a temporary folder, on
// a unix socket only, as user postgres where the test runs as root. A missing
// server program fails the tests; it never skips them.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// startWithin bounds a start. It takes a second or two; recovery after a
	// crash on a busy machine takes longer.
	startWithin = time.Minute
	// stopWithin bounds a stop; what isn't gone by then is killed.
	stopWithin = 20 * time.Second
)

// Server is a PostgreSQL server of the test's own. Stop, Crash and Start must
// not be called at the same time as each other; the rest may be called by
// anybody at any time.
type Server struct {
	programs string // the folder of initdb and postgres
	folder   string // everything the server has
	account  *account
	settings []string
	template atomic.Pointer[string]
	count    atomic.Int64

	watchdog io.Closer
	watched  *exec.Cmd

	mu     sync.Mutex
	server *exec.Cmd
	exited chan struct{}
	end    *os.File // can be read to its end when no process is left
}

// Option changes how a server runs.
type Option func(*options)

type options struct {
	settings []string
}

// WithFsync makes commits as durable as on a real server, for measurements.
// Without it a crash of the server loses nothing, but one of the machine may.
func WithFsync() Option { return WithSetting("fsync", "on") }

// WithSetting sets a parameter of postgresql.conf.
func WithSetting(name, value string) Option {
	return func(o *options) { o.settings = append(o.settings, "-c", name+"="+value) }
}

// Start runs a server until the test ends.
func Start(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	s, err := Run(tb.Context(), opts...)
	if err != nil {
		tb.Fatalf("starting PostgreSQL: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("ending PostgreSQL: %v", err)
		}
	})
	return s
}

// Run runs a server until Close, for a TestMain. If the test's process dies
// without Close, the server is stopped and its folder removed all the same.
func Run(ctx context.Context, opts ...Option) (*Server, error) {
	o := options{settings: []string{
		"-c", "fsync=off", "-c", "max_connections=200", "-c", "listen_addresses=",
		"-c", "shared_buffers=64MB", "-c", "log_min_messages=warning", "-c", "dynamic_shared_memory_type=mmap",
	}}
	for _, opt := range opts {
		opt(&o)
	}
	return launchNew(ctx, o.settings, func(s *Server) error {
		initdb := s.account.command(ctx, filepath.Join(s.programs, "initdb"), "--pgdata="+s.Data(), "--username="+superuser,
			"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
		initdb.Dir = s.folder
		if out, err := initdb.CombinedOutput(); err != nil {
			return fmt.Errorf("initdb: %w\n%s", err, out)
		}
		return nil
	})
}

// launchNew starts a server on the data that fill makes.
func launchNew(ctx context.Context, settings []string, fill func(*Server) error) (_ *Server, err error) {
	s := &Server{settings: settings}
	if s.programs, err = findPrograms(); err != nil {
		return nil, err
	}
	if s.account, err = serverAccount(); err != nil {
		return nil, err
	}
	if s.folder, err = serverFolder(s.account); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	if err := s.account.own(s.folder); err != nil {
		return nil, err
	}
	if err := s.watch(); err != nil {
		return nil, err
	}
	if err := fill(s); err != nil {
		return nil, err
	}
	return s, s.Start(ctx)
}

// Data is the server's data folder, with pg_hba.conf and postgresql.conf.
func (s *Server) Data() string { return filepath.Join(s.folder, "data") }

// Log returns what the server logged.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.logPath())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Close ends the server and removes all that it had.
func (s *Server) Close() error {
	err := s.Stop(Immediate)
	if s.watchdog != nil {
		err = errors.Join(err, s.watchdog.Close())
		_ = s.watched.Wait() // it found nothing to do
		s.watchdog = nil
	}
	return errors.Join(err, os.RemoveAll(s.folder))
}

// watch starts a shell that outlives this process, if only to stop the server
// and remove its folder. It learns of the end by the end of its input.
func (s *Server) watch() error {
	const script = `read -r _
	pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" && sleep 1
	rm -rf "$1"`
	cmd := exec.CommandContext(context.Background(), "sh", "-c", script, "sh", s.folder) //nolint:gosec // a folder that we made
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	s.watchdog, s.watched = in, cmd
	return nil
}

func (s *Server) logPath() string { return filepath.Join(s.folder, "log") }

// serverFolder makes a folder whose sockets have paths that fit, and that the
// account gets to.
func serverFolder(a *account) (string, error) {
	const room = 80 // of the 104 bytes that a socket's path may have on macOS
	folder, err := os.MkdirTemp("", "pg")
	if err == nil && (len(folder) > room || !a.reaches(filepath.Dir(folder))) {
		_ = os.Remove(folder)
		folder, err = os.MkdirTemp("/tmp", "pg")
	}
	return folder, err
}

// findPrograms returns the folder of the newest installed server.
func findPrograms() (string, error) {
	newest, best := "", 0
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is right
	for _, path := range found {
		folder := filepath.Dir(path)
		if version, err := strconv.Atoi(filepath.Base(filepath.Dir(folder))); err == nil && version > best {
			newest, best = folder, version
		}
	}
	if newest != "" {
		return newest, nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("these tests need a PostgreSQL server, and there is neither /usr/lib/postgresql/*/bin/initdb nor initdb in the PATH; " +
			"install it, on Debian with: apt-get install postgresql")
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	return filepath.Dir(path), nil
}
