package pgtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser   = "postgres"
	maintenance = "postgres" // the database that is there from the start
	template    = "prepared"
)

// DSN returns the connection string of a database, as superuser.
func (s *Server) DSN(database string) string {
	return fmt.Sprintf("host=%s user=%s dbname=%s", s.folder, superuser, database)
}

// Prepare fills the database that Database copies. It is called once, before
// Database.
func (s *Server) Prepare(ctx context.Context, fill func(ctx context.Context, dsn string) error) error {
	if err := s.Exec(ctx, "CREATE DATABASE "+template); err != nil {
		return err
	}
	if err := fill(ctx, s.DSN(template)); err != nil {
		return err
	}
	name := template
	s.template.Store(&name)
	return nil
}

// Database makes a database for one test and returns its connection string. It
// is a copy of the prepared one, or empty, and is dropped when the test ends.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("test_%d", s.count.Add(1))
	create := "CREATE DATABASE " + name
	if from := s.template.Load(); from != nil {
		create += " TEMPLATE " + *from
	}
	if err := s.Exec(tb.Context(), create); err != nil {
		tb.Fatalf("making a database: %v", err)
	}
	tb.Cleanup(func() {
		// What is left goes with the server.
		_ = s.Exec(context.WithoutCancel(tb.Context()), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	})
	return s.DSN(name)
}

// Exec runs a statement as superuser in the maintenance database.
func (s *Server) Exec(ctx context.Context, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN(maintenance))
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // the statement's outcome is known
	}()
	_, err = conn.Exec(ctx, sql)
	return err
}
