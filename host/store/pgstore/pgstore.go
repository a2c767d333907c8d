// Package pgstore keeps connections in a PostgreSQL database, for any number of
// processes on any number of machines.
package pgstore

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// Store is a [store.Store] in one schema of a PostgreSQL database.
//
// Every change is one statement, which PostgreSQL makes durable (with
// synchronous_commit, whatever the server's default) or not at all. There are
// no transactions that span two round trips, no advisory locks and no
// extensions, so nobody waits for longer than somebody else's statement takes,
// and a process that dies or freezes keeps nothing locked. Commit reads the
// record, calls change and writes if the revision is still the one that it
// read; otherwise it reads again and calls change again, as long as the
// generation is the lease's.
//
// The clock is the database's: statement_timestamp(), the moment at which a
// statement reached it. Times are kept to the microsecond. A lease ends at its
// deadline, whatever became of its holder.
//
// A call whose context has no deadline gets one of ten seconds. A call that
// changes something and loses its connection fails with StoreUnavailable, and
// the change may have happened or not: read before use. So does one that a
// synchronous standby server should have confirmed and didn't in time. Calls
// that can be repeated without harm are repeated once on a fresh connection, so
// that a database that was restarted serves again at once.
//
// Session settings are made with set_config, so a connection pooler in between
// must pool by session.
type Store struct {
	pool   *pgxpool.Pool
	plain  *pgxpool.Config // as it was given, for what works beside the store
	schema string
	place  string
	id     string
	site   string
	closed atomic.Bool
	swept  atomic.Int64 // when the last sweep was, in nanoseconds since start
	start  time.Time
}

var _ store.Store = (*Store)(nil)

// Open opens the store that a connection string names, in either of libpq's
// forms and with pgxpool's parameters; what it leaves out comes from the PG*
// variables. It makes the schema and its tables, or brings them up to date, if
// need be; any number of processes may do so at once. A store that is up to
// date opens on a read-only server too.
//
// It fails with UsageWrong (the string can't be read), StoreUnavailable,
// StoreUnwritable (tables are missing and can't be made), StoreVersionNewer,
// StoreUnsuitable or StoreBusy. No error shows the password.
func Open(ctx context.Context, dsn string, opts ...Option) (*Store, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		// Not its text: in a string that can't be read, anything may be the
		// password.
		return nil, connector.Errorf(connector.UsageWrong, connector.OriginHost, "The connection string of the PostgreSQL store can't be read.").
			Suggest("Write it as postgres://USER@HOST:PORT/DATABASE or as host=HOST user=USER dbname=DATABASE, and the password into a password file.")
	}
	return OpenConfig(ctx, config, opts...)
}

// OpenConfig is [Open] with a configuration made by [pgxpool.ParseConfig],
// which it doesn't change. Its AfterConnect is called before the store's own.
func OpenConfig(ctx context.Context, config *pgxpool.Config, opts ...Option) (*Store, error) {
	o := options{schema: "connector"}
	for _, opt := range opts {
		opt(&o)
	}
	if err := checkText("schema", o.schema, true); err != nil {
		return nil, err
	}
	if err := store.CheckSite(o.site); err != nil {
		return nil, err
	}
	s := &Store{plain: config.Copy(), schema: o.schema, site: o.site, place: placeOf(config.ConnConfig), start: time.Now()}
	config = o.configure(config.Copy())
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	id, err := s.prepare(ctx, config.ConnConfig, o)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	s.id = id
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, s.fault(ctx, err)
	}
	return s, nil
}

// ID returns the store's random identity. A copy of the database has the same.
func (s *Store) ID() string { return s.id }

// Now implements [store.Store].
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, "SELECT statement_timestamp()").Scan(&now)
	})
	return now.UTC(), err
}

// HasData reports whether there is any record or flow. Where there is, a
// missing sealing key must not be replaced by a new one.
func (s *Store) HasData(ctx context.Context) (has bool, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM connections) OR EXISTS (SELECT FROM flows)").Scan(&has)
	})
	return has, err
}

// Writable fails with StoreUnwritable or StoreUnavailable unless the store can
// be changed durably now. Rotating refresh tokens need such a place.
func (s *Store) Writable(ctx context.Context) error {
	return s.do(ctx, repeatable, func(ctx context.Context) error {
		_, err := s.change(ctx, "UPDATE store SET probed_at = statement_timestamp()", nil)
		return err
	})
}

// Close implements [store.Store]. It waits for calls that are under way, which
// all have a deadline.
func (s *Store) Close() error {
	if !s.closed.Swap(true) {
		s.pool.Close()
	}
	return nil
}
