package pgstore_test

import (
	"context"
	"testing"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/host/store/pgstore/pgtest"
	"github.com/boxconnection/connector/proto/connector"
)

func identity(t testing.TB, s *pgstore.Store) store.Identity {
	t.Helper()
	i, err := s.Identity(t.Context())
	if err != nil {
		t.Fatalf("Identity: %v", err)
	}
	return i
}

// A failover is no copy: the standby that takes over has the primary's place.
func TestPlaceAfterFailover(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t)
	dsn := primary.Database(t)
	first := openStore(t, dsn)
	create(t, first)
	before := identity(t, first)
	standby := primary.Standby(t)
	// What the standby can only read, it can still tell.
	name := query[string](t, dsn, "SELECT current_database()")
	if i := identity(t, openStore(t, standby.DSN(name))); i.Moved() {
		t.Errorf("on the standby: %+v", i)
	}
	if err := primary.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := identity(t, openStore(t, standby.DSN(name)))
	if after.Moved() || after.Recorded.String() != before.Recorded.String() {
		t.Errorf("before %+v, after %+v", before, after)
	}
	// The one thing that tells such a server from one that was copied.
	if !identity(t, openStore(t, standby.DSN(name), pgstore.WithSite("elsewhere"))).Moved() {
		t.Error("another site isn't told")
	}
}

// A user who may not see the server's control data still notices a copy of
// the database.
func TestPlaceWithoutControlData(t *testing.T) {
	t.Parallel()
	t.Cleanup(func() {
		if err := server.Exec(context.Background(), "DROP ROLE unprivileged"); err != nil { // after its database
			t.Error(err)
		}
	})
	place := newDatabase(t)
	execute(t, place, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
	execute(t, place, "CREATE ROLE unprivileged LOGIN")
	execute(t, place, "GRANT ALL ON SCHEMA connector TO unprivileged")
	execute(t, place, "GRANT ALL ON ALL TABLES IN SCHEMA connector TO unprivileged")
	s, err := pgstore.Open(t.Context(), place+" user=unprivileged")
	if err != nil {
		t.Fatal(err)
	}
	i := identity(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if i.Moved() || i.Recorded.Marks["system"] != "" || i.Recorded.Marks["database"] == "" {
		t.Errorf("without the right: %+v", i)
	}
	if i := identity(t, openStore(t, place)); i.Moved() || i.Actual.Marks["system"] == "" {
		t.Errorf("a mark that is known by now makes a copy of it: %+v", i)
	}
	_, err = pgstore.Open(t.Context(), place, pgstore.WithSite(" x"))
	wantCode(t, "a site with a blank", err, connector.UsageWrong)
}

// A record of the place that was spoilt by hand is never taken for none.
func TestDamagedPlace(t *testing.T) {
	t.Parallel()
	for _, spoil := range []string{
		"DELETE FROM connector.identity", "UPDATE connector.identity SET place = '{}'", "UPDATE connector.identity SET place = '[1]'",
	} {
		place := newDatabase(t)
		s := openStore(t, place)
		identity(t, s)
		execute(t, place, spoil)
		_, err := s.Identity(t.Context())
		wantCode(t, spoil, err, connector.StoreDamaged)
	}
}
