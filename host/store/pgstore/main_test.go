package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/host/store/pgstore/pgtest"
	"github.com/boxconnection/connector/host/store/storetest"
)

// server serves all tests that don't stop it.
var server *pgtest.Server

func TestMain(m *testing.M) {
	if code, ok := storetest.Worker(open); ok {
		os.Exit(code)
	}
	code, err := run(m)
	if err == nil && code == 0 {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if server, err = pgtest.Run(context.Background()); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	if err := server.Prepare(context.Background(), prepare); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func open(ctx context.Context, place string) (store.Store, error) {
	return pgstore.Open(ctx, place)
}

func prepare(ctx context.Context, dsn string) error {
	s, err := pgstore.Open(ctx, dsn)
	if err != nil {
		return err
	}
	return s.Close()
}

func newDatabase(t testing.TB) string { return server.Database(t) }

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{New: newDatabase, Open: open, Damage: damage})
}

// damage spoils a record as somebody does who edits the table by hand.
func damage(t testing.TB, place string, key store.Key) {
	t.Helper()
	execute(t, place, `UPDATE connector.connections SET document = '{"connector": 5}', revision = revision + 1
		WHERE owner = $1 AND connection = $2 AND environment = $3`, key.Owner, key.Connection, key.Environment)
}

// execute runs a statement beside the store.
func execute(t testing.TB, dsn, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
