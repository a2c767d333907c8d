package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

// BaseBackup runs a second server on a copy of this one's files until the test
// ends. It has the same system identifier and databases, and follows nobody.
func (s *Server) BaseBackup(tb testing.TB) *Server {
	tb.Helper()
	copied, err := launchNew(tb.Context(), s.settings, func(to *Server) error { return s.backUp(tb.Context(), to) })
	if err != nil {
		tb.Fatalf("starting a base backup: %v", err)
	}
	tb.Cleanup(func() {
		if err := copied.Close(); err != nil {
			tb.Errorf("ending the base backup: %v", err)
		}
	})
	return copied
}

// backUp copies the server's files.
func (s *Server) backUp(ctx context.Context, to *Server, args ...string) error {
	backup := s.account.command(ctx, filepath.Join(s.programs, "pg_basebackup"), append([]string{
		"--pgdata=" + to.Data(), "--host=" + s.folder, "--username=" + superuser, "--checkpoint=fast", "--no-sync",
	}, args...)...)
	backup.Dir = to.folder
	if out, err := backup.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	return nil
}

// Restore makes a database of a dump of another server's, or of this one's,
// as pg_dump and psql do it, and returns its connection string. It is dropped
// when the test ends.
func (s *Server) Restore(tb testing.TB, from string) string {
	tb.Helper()
	name := fmt.Sprintf("restored_%d", s.count.Add(1))
	if err := s.Exec(tb.Context(), "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		tb.Fatalf("making a database: %v", err)
	}
	tb.Cleanup(func() {
		// What is left goes with the server.
		_ = s.Exec(context.WithoutCancel(tb.Context()), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	})
	if err := s.restore(tb.Context(), from, s.DSN(name)); err != nil {
		tb.Fatalf("restoring a dump: %v", err)
	}
	return s.DSN(name)
}

func (s *Server) restore(ctx context.Context, from, to string) error {
	dump := command(ctx, filepath.Join(s.programs, "pg_dump"), "--dbname="+from)
	load := command(ctx, filepath.Join(s.programs, "psql"), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--output=/dev/null", to)
	text, err := dump.StdoutPipe()
	if err != nil {
		return err
	}
	load.Stdin = text
	if err := dump.Start(); err != nil {
		return err
	}
	out, err := load.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("psql: %w\n%s", err, out)
	}
	if err := errors.Join(err, named("pg_dump", dump)); err != nil {
		return err
	}
	return nil
}

func named(program string, cmd *exec.Cmd) error {
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	return nil
}
