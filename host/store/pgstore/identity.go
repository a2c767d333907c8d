package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// The marks of a place. A dump that is restored, be it into the same database,
// makes new tables; a server's files keep all three wherever they are copied.
// A failover keeps them, and pg_upgrade makes a new system.
const (
	markSystem   = "system"   // the server's system identifier
	markDatabase = "database" // the database's number
	markTable    = "table"    // the number of the table identity
)

const (
	selectPlace = `SELECT place, adoptions, 'identity'::regclass::oid::bigint,
		(SELECT oid::bigint FROM pg_database WHERE datname = current_database()), `
	selectIdentity = selectPlace + `(SELECT system_identifier::text FROM pg_control_system()) FROM identity`
	// Some servers keep their control data from users.
	selectIdentityBare = selectPlace + `''::text FROM identity`

	// An empty store has nothing that another one could live from.
	recordPlace = `UPDATE identity SET place = @place
		WHERE place IS NULL OR NOT EXISTS (SELECT FROM connections) AND NOT EXISTS (SELECT FROM flows)`
	adoptStore = `UPDATE identity SET place = @place, adoptions = adoptions + 1 WHERE adoptions = @adoptions`
)

// Identity implements [store.Store].
func (s *Store) Identity(ctx context.Context) (i store.Identity, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		if i, err = s.identity(ctx); err != nil || i.Recorded.Marks != nil && !i.Moved() {
			return err
		}
		if _, err := s.change(ctx, recordPlace, placeArgument(i.Actual)); err != nil {
			if readOnly(err) || forbidden(err) {
				return nil // nothing can be renewed here either
			}
			return err
		}
		i, err = s.identity(ctx)
		return err
	})
	return i, err
}

// Adopt implements [store.Store]. If two do so at once, both count.
func (s *Store) Adopt(ctx context.Context) (i store.Identity, err error) {
	err = s.do(ctx, once, func(ctx context.Context) error {
		for {
			if i, err = s.identity(ctx); err != nil {
				return err
			}
			args := placeArgument(i.Actual)
			args["adoptions"] = stored(i.Adoptions)
			n, err := s.change(ctx, adoptStore, args)
			if err != nil {
				return err
			}
			if n > 0 {
				i.Recorded = i.Actual
				i.Adoptions++
				return nil
			}
		}
	})
	return i, err
}

func (s *Store) identity(ctx context.Context) (store.Identity, error) {
	i, err := s.readIdentity(ctx, selectIdentity)
	if forbidden(err) {
		i, err = s.readIdentity(ctx, selectIdentityBare)
	}
	return i, err
}

func (s *Store) readIdentity(ctx context.Context, sql string) (store.Identity, error) {
	var (
		i               store.Identity
		recorded        []byte
		table, database int64
		system          string
	)
	err := s.pool.QueryRow(ctx, sql).Scan(&recorded, &i.Adoptions, &table, &database, &system)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return i, err
	}
	if err == nil && recorded != nil {
		err = json.Unmarshal(recorded, &i.Recorded)
	}
	if err != nil || recorded != nil && i.Recorded.Marks == nil {
		return i, connector.Errorf(connector.StoreDamaged, connector.OriginHost, "The record of its place in the store in %s can't be read.", s.place).
			Suggest("It was left as it is. Put the table \"identity\" back from a backup.").Because(err)
	}
	i.Actual = store.Place{Site: s.site, Marks: map[string]string{
		markTable: strconv.FormatInt(table, 10), markDatabase: strconv.FormatInt(database, 10),
	}}
	if system != "" {
		i.Actual.Marks[markSystem] = system
	}
	return i, nil
}

func placeArgument(p store.Place) pgx.NamedArgs {
	text, _ := json.Marshal(p) // strings only: it can't fail
	return pgx.NamedArgs{"place": string(text)}
}

// forbidden reports whether the server refused for want of a right.
func forbidden(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "42501"
}
