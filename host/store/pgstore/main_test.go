package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/host/store/pgstore/pgtest"
	"github.com/boxconnection/connector/host/store/storetest"
	"github.com/boxconnection/connector/proto/connector"
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
	storetest.Run(t, storetest.Harness{New: newDatabase, Open: open, Damage: damage, Copy: copyDatabase})
}

// copies numbers the databases that tests copy.
var copies atomic.Int64

// copyDatabase copies a database within its server.
func copyDatabase(t testing.TB, place string) string {
	t.Helper()
	name := fmt.Sprintf("copy_%d", copies.Add(1))
	if err := server.Exec(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+query[string](t, place, "SELECT current_database()")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return server.DSN(name)
}

func TestRuntimes(t *testing.T) {
	t.Parallel()
	storetest.RunRuntimes(t, storetest.Harness{New: newDatabase, Open: open})
}

// damage spoils a record as somebody does who edits the table by hand.
func damage(t testing.TB, place string, key store.Key) {
	t.Helper()
	execute(t, place, `UPDATE connector.connections SET document = '{"connector": 5}', revision = revision + 1
		WHERE owner = $1 AND connection = $2 AND environment = $3`, key.Owner, key.Connection, key.Environment)
}

// connect opens a connection beside the store.
func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// execute runs a statement beside the store.
func execute(t testing.TB, dsn, sql string, args ...any) {
	t.Helper()
	conn := connect(t, dsn)
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// query returns the one value that a statement gives.
func query[T any](t testing.TB, dsn, sql string, args ...any) T {
	t.Helper()
	conn := connect(t, dsn)
	defer func() { _ = conn.Close(context.Background()) }()
	var value T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func openStore(t testing.TB, dsn string, opts ...pgstore.Option) *pgstore.Store {
	t.Helper()
	s, err := pgstore.Open(t.Context(), dsn, opts...)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

var testKey = store.Key{Owner: "local", Connection: "c1", Environment: "default"}

func record() *store.Record {
	return &store.Record{
		Key: testKey, State: store.StateSaved, Name: "sales", Connector: "box", Generation: 1,
		Sealed: map[store.Field][]byte{store.FieldCredential: []byte("sealed credential")},
	}
}

func create(t testing.TB, s *pgstore.Store) *store.Record {
	t.Helper()
	r := record()
	if err := s.Create(t.Context(), r); err != nil {
		t.Fatalf("Create: %v", err)
	}
	return r
}

func get(t testing.TB, s *pgstore.Store) *store.Record {
	t.Helper()
	r, err := s.Get(t.Context(), testKey)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return r
}

func acquire(t testing.TB, s *pgstore.Store) *store.Record {
	t.Helper()
	r, held, err := s.Acquire(t.Context(), testKey, store.LeaseRequest{Holder: "test", Intent: "renew", For: time.Hour})
	if err != nil || held != nil {
		t.Fatalf("Acquire: held %v, error %v", held, err)
	}
	return r
}

func renew(r *store.Record) error {
	r.Generation++
	r.Sealed[store.FieldCredential] = []byte("renewed")
	return nil
}

// wantCode fails the test unless err is a diagnostic with the code that says
// what to do.
func wantCode(t testing.TB, what string, err error, code connector.Code) *connector.Diagnostic {
	t.Helper()
	d, ok := errors.AsType[*connector.Diagnostic](err)
	if !ok || d.Code != code {
		t.Fatalf("%s: got error %v, want a diagnostic %s", what, err, code)
	}
	if d.Summary == "" || d.Suggestion == "" {
		t.Errorf("%s: the diagnostic doesn't say what to do: %v", what, d)
	}
	return d
}

// eventually asks until the answer is true, and fails the test if that takes
// too long.
func eventually(t testing.TB, what string, ask func() bool) {
	t.Helper()
	const patience = 30 * time.Second
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}
