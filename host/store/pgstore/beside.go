package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Schema is the name of the schema that holds the store's tables.
func (s *Store) Schema() string { return s.schema }

// Pool makes a pool of connections of its own for what works in the store's
// schema beside the store, such as a job queue: the search path is that schema,
// and times are UTC. It connects when it is used. The caller closes it.
func (s *Store) Pool(ctx context.Context, maxConns int32) (*pgxpool.Pool, error) {
	config := s.plain.Copy()
	config.MaxConns, config.MinConns, config.MinIdleConns = maxConns, 0, 0
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectWithin
	}
	theirs := config.AfterConnect
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		if theirs != nil {
			if err := theirs(ctx, c); err != nil {
				return err
			}
		}
		return options{schema: s.schema}.settle(ctx, c)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	return pool, nil
}

// Alone calls f while no other process prepares the schema: no other call of
// Alone runs, and no migration of the store's. f must have made its changes
// durable when it returns.
func (s *Store) Alone(ctx context.Context, f func(context.Context) error) error {
	return s.do(ctx, once, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $1, true)",
				milliseconds(openWithin))
			if err == nil {
				_, err = tx.Exec(ctx, lockStore)
			}
			if err != nil {
				return err
			}
			return f(ctx)
		})
	})
}

// Diagnose says what an error of PostgreSQL's means for the store, as the
// store's own methods do.
func (s *Store) Diagnose(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return s.fault(ctx, err)
}
