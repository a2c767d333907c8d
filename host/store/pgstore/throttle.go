package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/boxconnection/connector/host/store"
)

var _ store.Throttle = (*Store)(nil)

const (
	selectWaits = `SELECT coalesce(extract(epoch FROM api_until - statement_timestamp()), 0)::float8,
		coalesce(extract(epoch FROM token_until - statement_timestamp()), 0)::float8
		FROM waits WHERE owner = @owner AND connection = @connection AND environment = @environment`

	// greatest passes over NULL.
	extendWaits = `INSERT INTO waits AS w (owner, connection, environment, api_until, token_until) VALUES (@owner, @connection, @environment,
		statement_timestamp() + @api::bigint * interval '1 microsecond', statement_timestamp() + @token::bigint * interval '1 microsecond')
		ON CONFLICT (owner, connection, environment) DO UPDATE
		SET api_until = greatest(w.api_until, excluded.api_until), token_until = greatest(w.token_until, excluded.token_until)`

	endWaits = `DELETE FROM waits WHERE owner = @owner AND connection = @connection AND environment = @environment`

	sweepWaits = `DELETE FROM waits WHERE (owner, connection, environment) IN (
		SELECT owner, connection, environment FROM waits WHERE greatest(api_until, token_until) <= statement_timestamp() LIMIT 500 FOR UPDATE SKIP LOCKED)`
)

// Waits implements [store.Throttle].
func (s *Store) Waits(ctx context.Context, key store.Key) (w store.Waits, err error) {
	if err := checkKey(key); err != nil {
		return w, err
	}
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		var api, token float64
		err := s.pool.QueryRow(ctx, selectWaits, keyArguments(key)).Scan(&api, &token)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		w = store.Waits{API: seconds(api), Token: seconds(token)}
		return err
	})
	return w, err
}

// ExtendWaits implements [store.Throttle].
func (s *Store) ExtendWaits(ctx context.Context, key store.Key, w store.Waits) error {
	if err := checkKey(key); err != nil {
		return err
	}
	args := keyArguments(key)
	args["api"], args["token"] = microseconds(w.API), microseconds(w.Token)
	return s.do(ctx, repeatable, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, extendWaits, args)
		return err
	})
}

// EndWaits implements [store.Throttle].
func (s *Store) EndWaits(ctx context.Context, key store.Key) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return s.do(ctx, repeatable, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, endWaits, keyArguments(key))
		return err
	})
}

// microseconds is a wait as an argument, nil for none.
func microseconds(d time.Duration) *int64 {
	if d <= 0 {
		return nil
	}
	n := d.Microseconds()
	return &n
}

// seconds is what is left of a wait.
func seconds(left float64) time.Duration {
	const most = 1e9 // some 30 years, which fit into a duration
	return time.Duration(max(0, min(left, most)) * float64(time.Second))
}
