package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	// byKey selects a record, unless it is a draft whose time is over.
	byKey = `owner = @owner AND connection = @connection AND environment = @environment AND NOT ` + over
	over  = `(state = 'draft' AND expires_at IS NOT NULL AND expires_at <= statement_timestamp())`

	selectRecord = `SELECT ` + columns + ` FROM connections WHERE ` + byKey

	insertRecord = `INSERT INTO connections (` + columns + `) VALUES (@owner, @connection, @environment, @state, @name, @base, 1, @generation,
		coalesce(@created_at, statement_timestamp()), statement_timestamp(), @expires_at, @due_at, NULL, NULL, @document, @sealed_fields, @sealed_values)
		RETURNING created_at, updated_at`

	// setBody never lets a record's time go back, as it would if the statement
	// had waited for another one, or after a failover to a slower clock.
	setBody = `UPDATE connections SET state = @state, name = @name, base = @base, revision = revision + 1, generation = @generation,
		updated_at = greatest(updated_at, statement_timestamp()), expires_at = @expires_at, due_at = @due_at,
		document = @document, sealed_fields = @sealed_fields, sealed_values = @sealed_values`
	updateRecord = setBody + ` WHERE revision = @revision AND ` + byKey + ` RETURNING revision, updated_at`

	deleteDraft = `DELETE FROM connections WHERE revision = @revision AND state = 'draft' AND ` + byKey
)

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key store.Key) (r *store.Record, err error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		r, err = s.get(ctx, key)
		return err
	})
	return r, err
}

func (s *Store) get(ctx context.Context, key store.Key) (*store.Record, error) {
	_, r, err := scan(s.pool.QueryRow(ctx, selectRecord, keyArguments(key)))
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, notFound(key)
	}
	return r, err
}

// Create implements [store.Store].
func (s *Store) Create(ctx context.Context, r *store.Record) error {
	b, err := encode(r)
	if err != nil {
		return err
	}
	s.sweep(ctx)
	args := b.arguments(r)
	args["created_at"] = orNull(r.CreatedAt)
	return s.do(ctx, once, func(ctx context.Context) error {
		var created, updated time.Time
		if err := s.changeRow(ctx, insertRecord, args, &created, &updated); err != nil {
			return taken(r, err)
		}
		r.Revision, r.CreatedAt, r.UpdatedAt = 1, created.UTC(), updated.UTC()
		return nil
	})
}

// Update implements [store.Store]. It keeps the stored CreatedAt, Lease and
// Interrupted.
func (s *Store) Update(ctx context.Context, r *store.Record) error {
	b, err := encode(r)
	if err != nil {
		return err
	}
	return s.do(ctx, once, func(ctx context.Context) error {
		var (
			revision uint64
			updated  time.Time
		)
		err := s.changeRow(ctx, updateRecord, b.arguments(r), &revision, &updated)
		if errors.Is(err, pgx.ErrNoRows) {
			return s.whyNot(ctx, r.Key)
		}
		if err != nil {
			return taken(r, err)
		}
		r.Revision, r.UpdatedAt = revision, updated.UTC()
		return nil
	})
}

// Delete implements [store.Store]. A record that isn't a draft is UsageWrong.
func (s *Store) Delete(ctx context.Context, key store.Key, revision uint64) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return s.do(ctx, once, func(ctx context.Context) error {
		args := keyArguments(key)
		args["revision"] = stored(revision)
		n, err := s.change(ctx, deleteDraft, args)
		if err != nil || n > 0 {
			return err
		}
		r, err := s.get(ctx, key)
		if err == nil && r.Revision == revision {
			return connector.Errorf(connector.UsageWrong, connector.OriginHost,
				"Connection %q isn't a draft, so it can't be removed without a trace.", key.Connection)
		}
		return s.whyNot(ctx, key)
	})
}

// whyNot says why a record couldn't be swapped: it isn't there, is damaged, or
// is another one by now.
func (s *Store) whyNot(ctx context.Context, key store.Key) error {
	if _, err := s.get(ctx, key); err != nil {
		return err
	}
	return changed(key)
}

func keyArguments(key store.Key) pgx.NamedArgs {
	return pgx.NamedArgs{"owner": key.Owner, "connection": key.Connection, "environment": key.Environment}
}
