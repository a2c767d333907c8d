package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/proto/connector"
)

const password = "S3cret%2Fpassword"

func TestOpenFails(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	limited := roleOf(t, dsn)
	execute(t, dsn, "ALTER ROLE "+limited+" CONNECTION LIMIT 0")
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	port := silent.Addr().(*net.TCPAddr).Port

	for name, c := range map[string]struct {
		dsn         string
		code        connector.Code
		disposition connector.Disposition
	}{
		"unreadable":     {"postgres://user:" + password + "@host:port/%zz", connector.UsageWrong, ""},
		"refused":        {"host=127.0.0.1 port=1 user=u dbname=d password=" + password, connector.StoreUnavailable, connector.Retry},
		"no socket":      {"host=/nonexistent user=u dbname=d password=" + password, connector.StoreUnavailable, connector.Retry},
		"no such host":   {"host=nonesuch.invalid user=u dbname=d password=" + password, connector.StoreUnavailable, connector.Retry},
		"no answer":      {fmt.Sprintf("host=127.0.0.1 port=%d connect_timeout=1 sslmode=disable user=u dbname=d password=%s", port, password), connector.StoreUnavailable, connector.Retry},
		"no database":    {strings.Replace(dsn, "dbname=", "dbname=none_", 1) + " password=" + password, connector.StoreUnavailable, connector.FixSettings},
		"no such user":   {dsn + " user=nobody password=" + password, connector.StoreUnavailable, connector.FixSettings},
		"too many":       {dsn + " user=" + limited + " password=" + password, connector.StoreUnavailable, connector.Retry},
		"wrong password": {dsn + " user=" + guarded(t) + " password=" + password, connector.StoreUnavailable, connector.FixSettings},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, err := pgstore.Open(t.Context(), c.dsn)
			d := wantCode(t, "Open", err, c.code)
			if d.Disposition != c.disposition {
				t.Errorf("the disposition is %q, want %q", d.Disposition, c.disposition)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
			for cause := error(d); cause != nil; cause = errors.Unwrap(cause) {
				if text := fmt.Sprintf("%v %+v %#v", cause, cause, d); strings.Contains(text, password) {
					t.Errorf("the password shows: %s", text)
				}
			}
		})
	}
}

// guarded makes a user who must give a password.
func guarded(t *testing.T) string {
	t.Helper()
	role := "guarded_" + databaseOf(t, newDatabase(t))
	if err := server.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN PASSWORD 'right'"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(server.Data(), "pg_hba.conf")
	rules, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte("local all "+role+" scram-sha-256\n"), rules...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := server.Exec(t.Context(), "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
	dsn := server.DSN("postgres") + " user=" + role
	eventually(t, "the new rules", func() bool {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err != nil
	})
	return role
}

// What the server says while a record is written, a full disk for one, is told
// with what to do, changes nothing, and ends with its cause.
func TestServerRefuses(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]connector.Code{
		"53100": connector.StoreUnwritable,  // disk full
		"58030": connector.StoreUnwritable,  // I/O error
		"25006": connector.StoreUnwritable,  // read-only
		"42501": connector.StoreUnwritable,  // not permitted
		"53200": connector.StoreUnavailable, // out of memory
		"53300": connector.StoreUnavailable, // too many connections
		"57P01": connector.StoreUnavailable, // shutting down
		"57P03": connector.StoreUnavailable, // starting up
		"42P01": connector.StoreUnavailable, // no such table
		"P0001": connector.StoreUnavailable, // whatever else
		"40001": connector.StoreBusy,        // serialization failure
		"40P01": connector.StoreBusy,        // deadlock
		"55P03": connector.StoreBusy,        // lock timeout
		"57014": connector.StoreBusy,        // statement timeout
		"XX001": connector.StoreDamaged,     // data corrupted
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			dsn := newDatabase(t)
			s := openStore(t, dsn)
			create(t, s)
			r := acquire(t, s)
			execute(t, dsn, fmt.Sprintf(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
				$$ BEGIN RAISE EXCEPTION 'row with %s' USING ERRCODE = '%s'; END $$`, strings.ReplaceAll(password, "%", "%%"), state))
			execute(t, dsn, "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON connector.connections FOR EACH ROW EXECUTE FUNCTION refuse()")

			d := wantCode(t, "Update", s.Update(t.Context(), r), want)
			if strings.Contains(d.Error(), password) {
				t.Errorf("the server's text shows: %v", d)
			}
			_, err := s.Commit(t.Context(), testKey, r.Lease, renew)
			wantCode(t, "Commit", err, want)
			wantCode(t, "Create", s.Create(t.Context(), &store.Record{Key: store.Key{Owner: "o", Connection: "c", Environment: "e"}}), want)
			wantCode(t, "Release", s.Release(t.Context(), testKey, r.Lease), want)

			execute(t, dsn, "DROP TRIGGER refuse ON connector.connections")
			if got := get(t, s); got.Revision != r.Revision || got.Generation != r.Generation {
				t.Errorf("revision %d, generation %d, want %d and %d", got.Revision, got.Generation, r.Revision, r.Generation)
			}
			if _, err := s.Commit(t.Context(), testKey, r.Lease, renew); err != nil {
				t.Errorf("Commit once the cause is gone: %v", err)
			}
		})
	}
}

// Somebody who keeps a row locked holds up a write until its deadline, or the
// store's own. A write that gave up isn't made later.
func TestLockedRow(t *testing.T) {
	t.Parallel()
	for name, within := range map[string]time.Duration{"deadline": 200 * time.Millisecond, "no deadline": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := newDatabase(t)
			s := openStore(t, dsn)
			r := create(t, s)
			conn, err := pgx.Connect(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
			tx, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(t.Context(), "SELECT FROM connector.connections FOR UPDATE"); err != nil {
				t.Fatal(err)
			}

			ctx := t.Context()
			if within > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, within)
				defer cancel()
			}
			start := time.Now()
			err = s.Update(ctx, r)
			wantCode(t, "Update", err, connector.StoreBusy)
			if within > 0 && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the error doesn't unwrap to the context's: %v", err)
			}
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("the wait took %v", took)
			}
			if got := get(t, s); got.Revision != r.Revision {
				t.Errorf("a reader sees revision %d", got.Revision)
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.Update(t.Context(), r); err != nil {
				t.Errorf("Update once the row is free: %v", err)
			}
		})
	}
}

func TestUnsuitableDatabase(t *testing.T) {
	t.Parallel()
	if err := server.Exec(t.Context(), "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Exec(context.WithoutCancel(t.Context()), "DROP DATABASE latin") })
	_, err := pgstore.Open(t.Context(), server.DSN("latin"))
	wantCode(t, "Open", err, connector.StoreUnsuitable)
}
