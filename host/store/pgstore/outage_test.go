package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/host/store/pgstore/pgtest"
	"github.com/boxconnection/connector/proto/connector"
)

// The server dies while it makes a change: once before the change is made, and
// once when it is made but not confirmed. The record is then the old or the new
// one, whole, the caller is told to read again, and the same handle serves at
// once.
func TestCutOffCommit(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t)
	dsn := s.Database(t)
	st := openStore(t, dsn)
	create(t, st)

	t.Run("before it is made", func(t *testing.T) {
		r := acquire(t, st)
		lock, err := connect(t, dsn).Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lock.Exec(t.Context(), "SELECT FROM connector.connections FOR UPDATE"); err != nil {
			t.Fatal(err)
		}
		cutOff(t, s, dsn, st, r, "wait_event_type = 'Lock'")
		got := get(t, st)
		if got.Generation != r.Generation || string(got.Sealed[store.FieldCredential]) != "sealed credential" || got.Lease == nil {
			t.Errorf("generation %d with %q, lease %v; want the old record", got.Generation, got.Sealed[store.FieldCredential], got.Lease)
		}
		if _, err := st.Commit(t.Context(), testKey, r.Lease, renew); err != nil {
			t.Errorf("Commit once the server is back: %v", err)
		}
	})
	t.Run("before it is confirmed", func(t *testing.T) {
		r := acquire(t, st)
		waitForNobody(t, s)
		cutOff(t, s, dsn, st, r, "wait_event = 'SyncRep'")
		got := get(t, st)
		if got.Generation != r.Generation+1 || string(got.Sealed[store.FieldCredential]) != "renewed" || got.Lease != nil {
			t.Errorf("generation %d with %q, lease %v; want the new record", got.Generation, got.Sealed[store.FieldCredential], got.Lease)
		}
	})
}

// cutOff kills the server when a commit waits there, and starts it again.
func cutOff(t *testing.T, s *pgtest.Server, dsn string, st *pgstore.Store, r *store.Record, waits string) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := st.Commit(t.Context(), testKey, r.Lease, renew)
		done <- err
	}()
	eventually(t, "the commit's wait", func() bool {
		return query[bool](t, dsn, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'UPDATE connections%' AND "+waits+")")
	})
	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	d := wantCode(t, "the cut-off commit", <-done, connector.StoreUnavailable)
	if d.Disposition != connector.Retry {
		t.Errorf("the disposition is %q", d.Disposition)
	}
	_, err := st.Get(t.Context(), testKey)
	wantCode(t, "Get while the server is down", err, connector.StoreUnavailable)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// waitForNobody makes commits wait for a standby that never comes.
func waitForNobody(t *testing.T, s *pgtest.Server) {
	t.Helper()
	for _, sql := range []string{"ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()"} {
		if err := s.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // what tidies up would wait, too
		ctx := context.WithoutCancel(t.Context())
		_ = s.Exec(ctx, "ALTER SYSTEM RESET synchronous_standby_names")
		_ = s.Exec(ctx, "SELECT pg_reload_conf()")
	})
	eventually(t, "the new setting", func() bool {
		return query[string](t, s.DSN("postgres"), "SHOW synchronous_standby_names") == "nobody"
	})
}

// A change that no standby confirmed may be lost in a failover, so it isn't
// taken for durable, though PostgreSQL calls the statement a success. That
// holds if the database's default is not to wait, too.
func TestUnconfirmedChange(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t)
	dsn := s.Database(t)
	st := openStore(t, dsn)
	r := create(t, st)
	leased := acquire(t, st)
	execute(t, dsn, fmt.Sprintf("ALTER DATABASE %s SET synchronous_commit = off", databaseOf(t, dsn)))
	waitForNobody(t, s)
	for name, handle := range map[string]*pgstore.Store{"a session from before": st, "a new session": openStore(t, dsn)} {
		for what, call := range map[string]func(context.Context) error{
			"Create": func(ctx context.Context) error {
				r := record()
				r.Key.Connection, r.Name = name, name
				return handle.Create(ctx, r)
			},
			"Update": func(ctx context.Context) error { return handle.Update(ctx, get(t, handle)) },
			"Commit": func(ctx context.Context) error {
				_, err := handle.Commit(ctx, testKey, leased.Lease, func(r *store.Record) error { return nil })
				return err
			},
			"Acquire": func(ctx context.Context) error {
				_, _, err := handle.Acquire(ctx, store.Key{Owner: r.Key.Owner, Connection: name, Environment: r.Key.Environment}, store.LeaseRequest{})
				return err
			},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			err := call(ctx)
			cancel()
			if what == "Acquire" && errors.Is(err, connector.ConnectionNotFound) {
				continue // before the creation
			}
			wantCode(t, name+": "+what, err, connector.StoreUnavailable)
		}
	}
	if err := s.Exec(t.Context(), "ALTER SYSTEM RESET synchronous_standby_names"); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(t.Context(), "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a confirmed update", func() bool { return st.Update(t.Context(), get(t, st)) == nil })
}

// The server is restarted under load. Callers get diagnostics that say so, the
// first call after it is back succeeds, and no acknowledged change is lost.
func TestRestartUnderLoad(t *testing.T) {
	t.Parallel()
	const writers = 4
	s := pgtest.Start(t)
	st := openStore(t, s.Database(t))
	create(t, st)
	var made, unknown atomic.Uint64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var work sync.WaitGroup
	for range writers {
		work.Go(func() {
			for ctx.Err() == nil {
				r, err := st.Get(t.Context(), testKey)
				if err == nil {
					r.SettingsRevision++
					if err = st.Update(t.Context(), r); err == nil {
						made.Add(1)
						continue
					}
					if !errors.Is(err, connector.ConnectionChanged) {
						unknown.Add(1)
					}
				}
				if !errors.Is(err, connector.ConnectionChanged) && !errors.Is(err, connector.StoreUnavailable) {
					t.Errorf("a writer got %v", err)
				}
			}
		})
	}
	for _, mode := range []pgtest.Mode{pgtest.Fast, pgtest.Immediate, pgtest.Fast} {
		before := made.Load()
		eventually(t, "some load", func() bool { return made.Load() > before+20 })
		if err := s.Restart(t.Context(), mode); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Get(t.Context(), testKey); err != nil {
			t.Errorf("the first call after the restart: %v", err)
		}
	}
	stop()
	work.Wait()
	got := get(t, st).SettingsRevision
	if low, high := made.Load(), made.Load()+unknown.Load(); got < low || got > high {
		t.Errorf("%d changes are there; %d were acknowledged and %d are unknown", got, low, high-low)
	}
}

// An idle store doesn't notice a restart.
func TestRestartWhileIdle(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t)
	st := openStore(t, s.Database(t))
	create(t, st)
	for _, mode := range []pgtest.Mode{pgtest.Fast, pgtest.Immediate} {
		r := get(t, st)
		if err := s.Restart(t.Context(), mode); err != nil {
			t.Fatal(err)
		}
		if err := st.Update(t.Context(), r); err != nil {
			t.Errorf("the first write after the restart: %v", err)
		}
	}
}

// The primary dies and its standby takes over. Meanwhile callers are told that
// the store can't be written, then the same handle goes on, and what was
// acknowledged is there.
func TestFailover(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t)
	first := primary.Database(t)
	create(t, openStore(t, first))
	standby := primary.Standby(t)

	st := openStore(t, bothServers(t, first, standby))
	reader := openStore(t, standby.DSN(databaseOf(t, first)))
	get(t, reader)
	_, _, err := reader.Acquire(t.Context(), testKey, store.LeaseRequest{For: time.Hour})
	wantCode(t, "Acquire on the standby", err, connector.StoreUnwritable)

	leased := acquire(t, st)
	if _, err := st.Commit(t.Context(), testKey, leased.Lease, renew); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	if err := primary.Crash(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "Update with no primary", st.Update(t.Context(), record()), connector.StoreUnavailable)
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := get(t, st)
	if got.Generation != leased.Generation+1 || string(got.Sealed[store.FieldCredential]) != "renewed" {
		t.Errorf("generation %d with %q after the failover", got.Generation, got.Sealed[store.FieldCredential])
	}
	for name, handle := range map[string]*pgstore.Store{"the handle of both servers": st, "the handle of the standby": reader} {
		if err := handle.Update(t.Context(), get(t, handle)); err != nil {
			t.Errorf("%s: Update: %v", name, err)
		}
	}
}

// bothServers names the database on two servers.
func bothServers(t *testing.T, dsn string, other *pgtest.Server) string {
	t.Helper()
	host := func(dsn string) string {
		host, _, _ := strings.Cut(strings.TrimPrefix(dsn, "host="), " ")
		return host
	}
	return strings.Replace(dsn, host(dsn), host(dsn)+","+host(other.DSN("postgres")), 1) + " target_session_attrs=read-write"
}
