// Package river is the background work of a cluster, on River, a job queue in
// PostgreSQL: tests of connections on a runtime, and the periodic keep-alive,
// which also works through the revocations that are due.
//
// The jobs live in the schema of a [pgstore.Store], in tables of River's own,
// which [Migrate] makes. They carry IDs only, no settings and no secret; what
// they are about is read from the store, and checked again, by whoever takes
// them. A worker needs no address: it only connects to the database.
//
// A worker that knows too few kinds of jobs could discard some of the others, so
// that [Queue.Serve] doesn't start where there are jobs of a kind that it doesn't
// know.
package river

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	riverqueue "github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	// connections is how many connections a queue uses: River's loops need few,
	// and none of them for long.
	connections = 4

	// migrateWithin bounds Migrate, the wait for another process included.
	migrateWithin = time.Minute

	// dispatchWithin bounds the insertion of a job.
	dispatchWithin = 10 * time.Second
)

// Queue is the job queue of a store. It is safe for concurrent use. Close it
// before the store.
type Queue struct {
	store  *pgstore.Store
	pool   *pgxpool.Pool
	log    *slog.Logger
	insert *riverqueue.Client[pgx.Tx]
}

var _ host.Dispatcher = (*Queue)(nil)

// Option changes a default of Open.
type Option func(*Queue)

// WithLogger sets where the queue and River log. The default discards.
func WithLogger(l *slog.Logger) Option { return func(q *Queue) { q.log = l } }

// Open opens the queue in a store's database. It doesn't connect yet, and makes
// no tables: see [Migrate].
func Open(ctx context.Context, st *pgstore.Store, opts ...Option) (*Queue, error) {
	q := &Queue{store: st, log: slog.New(slog.DiscardHandler)}
	for _, o := range opts {
		o(q)
	}
	var err error
	if q.pool, err = st.Pool(ctx, connections); err != nil {
		return nil, err
	}
	q.insert, err = riverqueue.NewClient(riverpgxv5.New(q.pool), &riverqueue.Config{Logger: q.log})
	if err != nil {
		q.pool.Close()
		return nil, connector.Diagnose(err, connector.OriginHost)
	}
	return q, nil
}

// Close ends the use of the queue.
func (q *Queue) Close() { q.pool.Close() }

// Dispatch implements [host.Dispatcher].
func (q *Queue) Dispatch(ctx context.Context, owner, runtime, run string) error {
	ctx, cancel := context.WithTimeout(ctx, dispatchWithin)
	defer cancel()
	_, err := q.insert.Insert(ctx, testArgs{Run: run}, &riverqueue.InsertOpts{Queue: queueOf(owner, runtime), MaxAttempts: 1})
	return q.store.Diagnose(ctx, err)
}

// Migrate makes River's tables in the store's schema, or brings them up to date.
// Any number of processes may do so at once.
func (q *Queue) Migrate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, migrateWithin)
	defer cancel()
	m, err := rivermigrate.New(riverpgxv5.New(q.pool), &rivermigrate.Config{Logger: q.log})
	if err != nil {
		return connector.Diagnose(err, connector.OriginHost)
	}
	ready, err := m.Validate(ctx, nil)
	if err == nil && !ready.OK {
		err = q.store.Alone(ctx, func(ctx context.Context) error {
			_, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil)
			return err
		})
	}
	return q.store.Diagnose(ctx, err)
}

// queueOf is the name of a runtime's queue. River takes fewer characters than a
// runtime's name has.
func queueOf(owner, runtime string) string {
	sum := sha256.Sum256([]byte(owner + "\x00" + runtime))
	return "runtime_" + hex.EncodeToString(sum[:16])
}
