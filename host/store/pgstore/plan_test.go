package pgstore_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/pgstore"
)

// rowsVariable asks for another number of connections, a million for instance.
const rowsVariable = "PGSTORE_ROWS"

// node is what matters of a plan.
type node struct {
	Kind  string `json:"Node Type"`
	Index string `json:"Index Name"`
	Plans []node `json:"Plans"`
}

// What is due, a name and the drafts of a connection are found by an index and
// in its order, whether the database plans for the values or once for all.
func TestIndexesAreUsed(t *testing.T) {
	t.Parallel()
	rows := 20_000
	if text, ok := os.LookupEnv(rowsVariable); ok {
		var err error
		if rows, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", rowsVariable, err)
		}
	}
	dsn := newDatabase(t)
	s := openStore(t, dsn)
	execute(t, dsn, fmt.Sprintf(`INSERT INTO connector.connections
		(owner, connection, environment, state, name, base, revision, generation, created_at, updated_at, due_at, document, sealed_fields, sealed_values)
		SELECT 'o', i::text, 'e', CASE WHEN i %% 10 = 0 THEN 'draft' ELSE 'saved' END, i::text, CASE WHEN i %% 10 = 0 THEN (i + 1)::text ELSE '' END,
			1, 1, now(), now(), CASE WHEN i %% 3 > 0 THEN now() + (i - 60) * interval '1 hour' END, '{}', '{}', '{}'
		FROM generate_series(1, %d) AS i`, rows))
	execute(t, dsn, "ANALYZE connector.connections")

	byName, nameArgs := pgstore.ListQuery(store.Query{Owner: "o", Environment: "e", Name: "17", State: store.StateSaved})
	byBase, baseArgs := pgstore.ListQuery(store.Query{Owner: "o", Base: "21"})
	for index, c := range map[string]struct {
		sql    string
		args   []any
		sorted bool // by the index, with no sort of its own
	}{
		"connections_due":  {pgstore.SelectDue, []any{256}, true},
		"connections_name": {byName, []any{nameArgs}, false},
		"connections_base": {byBase, []any{baseArgs}, false},
	} {
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			plan := explain(t, dsn, mode, c.sql, c.args...)
			kinds, indexes := flatten(plan)
			if !strings.Contains(indexes, index) || strings.Contains(kinds, "Seq Scan") || c.sorted && strings.Contains(kinds, "Sort") {
				t.Errorf("%s: with %s the database would use %q and the indexes %q", index, mode, kinds, indexes)
			}
		}
	}
	keys, err := s.Due(t.Context(), 10_000)
	if err != nil || len(keys) != 40 || keys[0].Connection != "1" {
		t.Fatalf("%d due (%v), want 40, the first one's first", len(keys), err)
	}
}

// explain returns the plan of a statement that was prepared once.
func explain(t *testing.T, dsn, mode, sql string, args ...any) node {
	t.Helper()
	conn := connect(t, dsn)
	if _, err := conn.Exec(t.Context(), "SELECT set_config('search_path', 'connector', false), set_config('plan_cache_mode', $1, false)", mode); err != nil {
		t.Fatal(err)
	}
	var text []byte
	if err := conn.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON) "+sql, args...).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal(text, &plans); err != nil || len(plans) != 1 {
		t.Fatalf("the plan can't be read: %v\n%s", err, text)
	}
	return plans[0].Plan
}

func flatten(n node) (kinds, indexes string) {
	kinds, indexes = n.Kind, n.Index
	for _, child := range n.Plans {
		k, i := flatten(child)
		kinds, indexes = kinds+" "+k, indexes+" "+i
	}
	return kinds, indexes
}

// Ciphertext of some length is kept beside the rows, so that whoever looks for
// what is due or takes a lease reads and copies none of it.
func TestCiphertextIsApart(t *testing.T) {
	t.Parallel()
	const records, size = 50, 1000
	dsn := newDatabase(t)
	s := openStore(t, dsn)
	for i := range records {
		r := record()
		r.Key.Connection, r.Name = strconv.Itoa(i), ""
		for _, field := range []store.Field{store.FieldSettings, store.FieldCredential, store.FieldPrevious} {
			r.Sealed[field] = make([]byte, size)
		}
		if err := s.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	const beside = "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'connector.connections'::regclass"
	rows := query[int](t, dsn, "SELECT pg_relation_size('connector.connections')")
	apart := query[int](t, dsn, beside)
	if apart < records*3*size || rows > records*600 {
		t.Errorf("%d records have %d bytes in the rows and %d beside them", records, rows, apart)
	}
	r, held, err := s.Acquire(t.Context(), store.Key{Owner: testKey.Owner, Connection: "1", Environment: testKey.Environment}, store.LeaseRequest{})
	if err != nil || held != nil {
		t.Fatalf("Acquire: held %v, error %v", held, err)
	}
	if err := s.Release(t.Context(), r.Key, r.Lease); err != nil {
		t.Fatal(err)
	}
	if after := query[int](t, dsn, beside); after != apart {
		t.Errorf("a lease made the ciphertext grow from %d to %d bytes", apart, after)
	}
}
