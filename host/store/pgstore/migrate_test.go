package pgstore_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/proto/connector"
)

// emptyDatabase is a database that no store was ever in.
func emptyDatabase(t *testing.T) string {
	t.Helper()
	dsn := newDatabase(t)
	execute(t, dsn, "DROP SCHEMA connector CASCADE")
	return dsn
}

// Nodes of a cluster start at once on a new database.
func TestOpenTogether(t *testing.T) {
	t.Parallel()
	const nodes = 8
	dsn := emptyDatabase(t)
	ids := make([]string, nodes)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() {
			<-start
			s, err := pgstore.Open(t.Context(), dsn)
			if err != nil {
				t.Errorf("node %d: %v", i, err)
				return
			}
			ids[i] = s.ID()
			_ = s.Close()
		})
	}
	close(start)
	wg.Wait()
	for i, id := range ids {
		if id == "" || id != ids[0] {
			t.Errorf("node %d sees the store %q, node 0 %q", i, id, ids[0])
		}
	}
	if applied := query[int](t, dsn, "SELECT count(*) - count(DISTINCT version_id) FROM connector.migrations"); applied != 0 {
		t.Errorf("%d migrations were made twice", applied)
	}
	create(t, openStore(t, dsn))
}

func TestOpenNewerVersion(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	execute(t, dsn, "INSERT INTO connector.migrations (version_id, is_applied) VALUES (99999, true)")
	_, err := pgstore.Open(t.Context(), dsn)
	wantCode(t, "Open", err, connector.StoreVersionNewer)
	execute(t, dsn, "DELETE FROM connector.migrations WHERE version_id = 99999")
	openStore(t, dsn)
}

func TestSchemasApart(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	ours := openStore(t, dsn)
	for _, schema := range []string{"other", `Odd "name"; DROP SCHEMA connector`} {
		theirs := openStore(t, dsn, pgstore.WithSchema(schema))
		if theirs.ID() == ours.ID() {
			t.Errorf("%s: two stores have one ID", schema)
		}
		create(t, theirs)
		if has, err := ours.HasData(t.Context()); err != nil || has {
			t.Errorf("%s: what is written there shows here (error %v)", schema, err)
		}
		again := openStore(t, dsn, pgstore.WithSchema(schema))
		if again.ID() != theirs.ID() {
			t.Errorf("%s: another store was opened", schema)
		}
		get(t, again)
	}
}

// An administrator may make the schema beforehand, for a user that can't.
func TestOpenWithoutRightToCreate(t *testing.T) {
	t.Parallel()
	dsn := emptyDatabase(t)
	role := roleOf(t, dsn)
	_, err := pgstore.Open(t.Context(), dsn+" user="+role)
	wantCode(t, "Open", err, connector.StoreUnwritable)
	execute(t, dsn, "CREATE SCHEMA connector AUTHORIZATION "+role)
	create(t, openStore(t, dsn+" user="+role))
}

// A store on a server that can only be read opens and can be read.
func TestOpenReadOnly(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	create(t, openStore(t, dsn))
	execute(t, dsn, fmt.Sprintf("ALTER DATABASE %s SET default_transaction_read_only = on", databaseOf(t, dsn)))
	s := openStore(t, dsn)
	r := get(t, s)
	wantCode(t, "Writable", s.Writable(t.Context()), connector.StoreUnwritable)
	wantCode(t, "Update", s.Update(t.Context(), r), connector.StoreUnwritable)
	_, _, err := s.Acquire(t.Context(), testKey, store.LeaseRequest{})
	wantCode(t, "Acquire", err, connector.StoreUnwritable)

	// The cause is gone, for instance since the standby became the primary.
	execute(t, dsn+" options='-c default_transaction_read_only=off'",
		fmt.Sprintf("ALTER DATABASE %s RESET default_transaction_read_only", databaseOf(t, dsn)))
	if err := s.Update(t.Context(), r); err != nil {
		t.Errorf("Update of the same handle: %v", err)
	}
	if err := s.Writable(t.Context()); err != nil {
		t.Errorf("Writable: %v", err)
	}
}

func databaseOf(t testing.TB, dsn string) string {
	t.Helper()
	return query[string](t, dsn, "SELECT current_database()")
}

// roleOf makes a user with no rights but to connect.
func roleOf(t *testing.T, dsn string) string {
	t.Helper()
	role := "role_of_" + databaseOf(t, dsn)
	execute(t, dsn, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() { _ = server.Exec(context.WithoutCancel(t.Context()), "DROP ROLE "+role) })
	return role
}
