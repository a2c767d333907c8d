package pgstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/benchtest"
)

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
