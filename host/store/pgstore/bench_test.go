package pgstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/host/store/pgstore/pgtest"
	"github.com/boxconnection/connector/proto/benchtest"
)

// BenchmarkUpdate compares a durable update through the store with the least
// that makes the same bytes durable in PostgreSQL: one UPDATE of one row that
// is found by its key, committed, through a pool of the same kind.
func BenchmarkUpdate(b *testing.B) {
	const calls, size = 20, 4 << 10
	dsn := pgtest.Start(b, pgtest.WithFsync()).Database(b)
	s := openStore(b, dsn)
	r := create(b, s)
	r.Sealed[store.FieldCredential] = make([]byte, size)
	args, err := pgstore.UpdateArguments(r)
	if err != nil {
		b.Fatal(err)
	}
	content := make([]byte, size+len(args["document"].([]byte)))
	execute(b, dsn, "CREATE TABLE bare (id text PRIMARY KEY, content bytea NOT NULL)")
	execute(b, dsn, "ALTER TABLE bare ALTER COLUMN content SET STORAGE EXTERNAL")
	execute(b, dsn, "INSERT INTO bare VALUES ('c1', '')")
	pool, err := pgxpool.New(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	timed := func(update func() error) func() time.Duration {
		return func() time.Duration {
			began := time.Now()
			for range calls {
				if err := update(); err != nil {
					b.Fatal(err)
				}
			}
			return time.Since(began)
		}
	}
	benchtest.Compare(b, benchtest.Bound{Ratio: 1.5}, calls,
		timed(func() error {
			_, err := pool.Exec(b.Context(), "UPDATE bare SET content = $2 WHERE id = $1", "c1", content)
			return err
		}),
		timed(func() error { return s.Update(b.Context(), r) }))
}

// BenchmarkDue compares the look for what is due among a million connections
// with the same among a thousand.
func BenchmarkDue(b *testing.B) {
	few, many := filled(b, 1_000), filled(b, 1_000_000)
	const calls = 20
	look := func(s store.Store) time.Duration {
		began := time.Now()
		for range calls {
			keys, err := s.Due(b.Context(), 256)
			if err != nil || len(keys) != 256 {
				b.Fatalf("%d due, %v", len(keys), err)
			}
		}
		return time.Since(began)
	}
	benchtest.Compare(b, benchtest.Bound{Ratio: 2}, calls,
		func() time.Duration { return look(few) }, func() time.Duration { return look(many) })
}

// filled is a store with n connections, 300 of which are due.
func filled(b *testing.B, n int) store.Store {
	b.Helper()
	dsn := newDatabase(b)
	s := openStore(b, dsn)
	execute(b, dsn, fmt.Sprintf(`INSERT INTO connector.connections
		(owner, connection, environment, state, name, base, revision, generation, created_at, updated_at, due_at, document, sealed_fields, sealed_values)
		SELECT 'o', i::text, 'e', 'saved', i::text, '', 1, 1, now(), now(), now() + (i - 300) * interval '1 minute', '{}', '{}', '{}'
		FROM generate_series(1, %d) AS i`, n))
	execute(b, dsn, "VACUUM ANALYZE connector.connections")
	return s
}
