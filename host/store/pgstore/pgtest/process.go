package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Mode is how a server is stopped, by the signal that does it.
type Mode syscall.Signal

// The modes.
const (
	Fast      Mode = Mode(syscall.SIGINT)  // ends sessions, rolls back, shuts down in order
	Immediate Mode = Mode(syscall.SIGQUIT) // ends everything at once; the next start recovers
)

// Start runs the server again after Stop or Crash, and returns once it
// answers.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return errors.New("the server runs")
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		if err := s.launch(); err != nil {
			return err
		}
		err := s.answers(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			s.server = nil
			_ = s.end.Close() // only read from
		default:
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the server doesn't answer: %w\n%s", err, s.Log())
		}
	}
}

// launch starts the server's process.
func (s *Server) launch() error {
	log, err := os.OpenFile(s.logPath(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the child has its own
	args := append([]string{"-D", s.Data(), "-c", "unix_socket_directories=" + s.folder}, s.settings...)
	// The server outlives the context that it was started with.
	cmd := s.account.command(context.Background(), filepath.Join(s.programs, "postgres"), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.folder, log, log
	detach(cmd)
	end, held, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.ExtraFiles = []*os.File{held} // every process of the server has it
	err = cmd.Start()
	_ = held.Close() // the child has its own
	if err != nil {
		_ = end.Close()
		return err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // how it ended is in the log
	}()
	s.server, s.exited, s.end = cmd, exited, end
	return nil
}

// answers waits until the server takes a connection or ends.
func (s *Server) answers(ctx context.Context) error {
	for {
		conn, err := pgx.Connect(ctx, s.DSN(maintenance))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return err
		case <-s.exited:
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop stops the server and waits until it is gone. A server that is stopped
// already is no error.
func (s *Server) Stop(mode Mode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return nil
	}
	if err := s.server.Process.Signal(syscall.Signal(mode)); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	timer := time.NewTimer(stopWithin)
	defer timer.Stop()
	select {
	case <-s.exited:
		s.server = nil
		return s.end.Close()
	case <-timer.C:
	}
	return errors.Join(fmt.Errorf("the server didn't stop within %v\n%s", stopWithin, s.Log()), s.kill())
}

// Crash kills the server without warning, as the machine's out-of-memory
// killer does, and returns once the last of its processes has noticed.
func (s *Server) Crash() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return nil
	}
	return s.kill()
}

// Restart stops the server in the given mode and starts it again.
func (s *Server) Restart(ctx context.Context, mode Mode) error {
	if err := s.Stop(mode); err != nil {
		return err
	}
	return s.Start(ctx)
}

func (s *Server) kill() error {
	err := s.server.Process.Kill()
	<-s.exited
	s.server = nil
	return errors.Join(err, s.awaitEnd())
}

// awaitEnd waits until the last process of the server is gone. Those of a
// killed server notice only after a moment, and until then they serve.
func (s *Server) awaitEnd() error {
	defer func() { _ = s.end.Close() }() // only read from
	if err := s.end.SetReadDeadline(time.Now().Add(stopWithin)); err != nil {
		return err
	}
	if _, err := s.end.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("processes of the killed server didn't end: %w", err)
	}
	return nil
}

func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // the server's own programs
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	return cmd
}
