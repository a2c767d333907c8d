package pgstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	flowColumns = `id, owner, connection, environment, expires_at, binding, sealed`
	byFlow      = `id = @id AND expires_at > statement_timestamp()`

	putFlow = `INSERT INTO flows (` + flowColumns + `) VALUES (@id, @owner, @connection, @environment, @expires_at, @binding, @sealed)
		ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, connection = excluded.connection, environment = excluded.environment,
		expires_at = excluded.expires_at, binding = excluded.binding, sealed = excluded.sealed`
	peekFlow = `SELECT ` + flowColumns + ` FROM flows WHERE ` + byFlow
	allFlows = `SELECT ` + flowColumns + ` FROM flows WHERE expires_at > statement_timestamp()`
	takeFlow = `DELETE FROM flows WHERE ` + byFlow + ` RETURNING ` + flowColumns
)

// PutFlow implements [store.Store].
func (s *Store) PutFlow(ctx context.Context, f store.Flow) error {
	if err := checkText("sign-in's ID", f.ID, true); err != nil {
		return err
	}
	if err := checkKey(f.Key); err != nil {
		return err
	}
	s.sweep(ctx)
	args := keyArguments(f.Key)
	args["id"], args["expires_at"], args["binding"], args["sealed"] = f.ID, f.ExpiresAt, f.Binding, f.Sealed
	return s.do(ctx, repeatable, func(ctx context.Context) error {
		_, err := s.change(ctx, putFlow, args)
		return err
	})
}

// PeekFlow implements [store.Store].
func (s *Store) PeekFlow(ctx context.Context, id string) (*store.Flow, error) {
	return s.flow(ctx, repeatable, id, func(ctx context.Context, args pgx.NamedArgs, into ...any) error {
		return s.pool.QueryRow(ctx, peekFlow, args).Scan(into...)
	})
}

// TakeFlow implements [store.Store]. If the connection is lost meanwhile, the
// flow may be gone: then the person signs in again.
func (s *Store) TakeFlow(ctx context.Context, id string) (*store.Flow, error) {
	return s.flow(ctx, once, id, func(ctx context.Context, args pgx.NamedArgs, into ...any) error {
		return s.changeRow(ctx, takeFlow, args, into...)
	})
}

// Flows implements [store.Store].
func (s *Store) Flows(ctx context.Context) (waiting []store.Flow, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, allFlows)
		if err != nil {
			return err
		}
		waiting, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Flow, error) {
			var f store.Flow
			err := row.Scan(flowPlaces(&f)...)
			f.ExpiresAt = f.ExpiresAt.UTC()
			return f, err
		})
		return err
	})
	return waiting, err
}

func (s *Store) flow(
	ctx context.Context, r repetition, id string, read func(context.Context, pgx.NamedArgs, ...any) error,
) (*store.Flow, error) {
	f := new(store.Flow)
	err := s.do(ctx, r, func(ctx context.Context) error {
		if checkText("sign-in's ID", id, true) != nil {
			return noFlow() // it can't have been put
		}
		err := read(ctx, pgx.NamedArgs{"id": id}, flowPlaces(f)...)
		if errors.Is(err, pgx.ErrNoRows) {
			return noFlow()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	f.ExpiresAt = f.ExpiresAt.UTC()
	return f, nil
}

// flowPlaces is where flowColumns go.
func flowPlaces(f *store.Flow) []any {
	return []any{&f.ID, &f.Key.Owner, &f.Key.Connection, &f.Key.Environment, &f.ExpiresAt, &f.Binding, &f.Sealed}
}

func noFlow() error {
	return connector.Errorf(connector.ConnectionNotFound, connector.OriginHost, "There is no such sign-in, or no longer.").
		Suggest("Begin the sign-in again.")
}
