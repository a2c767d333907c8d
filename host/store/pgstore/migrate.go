package pgstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/boxconnection/connector/proto/connector"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// versions is goose's table of the migrations that were made.
	versions = "migrations"

	// createStore makes what must be there before migrations can be locked.
	createStore = `CREATE TABLE IF NOT EXISTS store (
		only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
		id text NOT NULL,
		created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
		probed_at timestamptz
	)`
	identify = `INSERT INTO store (id) VALUES ($1) ON CONFLICT DO NOTHING`

	// lockStore conflicts with itself and with nothing that a running store
	// does except its probe.
	lockStore = `LOCK TABLE store IN SHARE ROW EXCLUSIVE MODE`
)

// prepare brings the schema up to date and returns the store's ID. A schema
// that is up to date is only read.
func (s *Store) prepare(ctx context.Context, config *pgx.ConnConfig, o options) (id string, err error) {
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(o.settle))
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := s.checkServer(ctx, db); err != nil {
		return "", err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return "", err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(versions), goose.WithLocker(new(tableLock)), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return "", err
	}
	sources := p.ListSources()
	latest := sources[len(sources)-1].Version

	have, err := version(ctx, db, o.schema)
	if err != nil {
		return "", err
	}
	if have < latest {
		if err := bootstrap(ctx, db, o.schema); err != nil {
			return "", err
		}
		if _, err := p.Up(ctx); err != nil {
			return "", err
		}
		if have, err = version(ctx, db, o.schema); err != nil {
			return "", err
		}
	}
	if have > latest {
		return "", connector.Errorf(connector.StoreVersionNewer, connector.OriginHost,
			"The store in %s has version %d, and this program knows versions up to %d.", s.place, have, latest).
			Suggest("Use the newer program that made it, or a newer one still.")
	}
	err = db.QueryRowContext(ctx, "SELECT id FROM store").Scan(&id)
	return id, err
}

// checkServer refuses a database that can't hold every text.
func (s *Store) checkServer(ctx context.Context, db *sql.DB) error {
	var encoding string
	if err := db.QueryRowContext(ctx, "SHOW server_encoding").Scan(&encoding); err != nil {
		return err
	}
	if encoding == "UTF8" {
		return nil
	}
	return connector.Errorf(connector.StoreUnsuitable, connector.OriginHost,
		"The %s has the encoding %s, which can't hold every name.", s.place, encoding).
		Suggest("Make a database for the store with: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0")
}

// version returns the number of the last migration, or 0 for an empty schema.
func version(ctx context.Context, db *sql.DB, schema string) (v int64, err error) {
	var there bool
	table := pgx.Identifier{schema, versions}.Sanitize()
	if err := db.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there); err != nil || !there {
		return 0, err
	}
	err = db.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM "+table).Scan(&v)
	return v, err
}

// bootstrap makes the schema and the table that holds the lock. Of several who
// do so at once, PostgreSQL refuses some in spite of IF NOT EXISTS; they find
// it made when they look again.
func bootstrap(ctx context.Context, db *sql.DB, schema string) error {
	const tries = 10
	var err error
	for range tries {
		if err = tryBootstrap(ctx, db, schema); !madeMeanwhile(err) {
			return err
		}
	}
	return err
}

func tryBootstrap(ctx context.Context, db *sql.DB, schema string) error {
	name := pgx.Identifier{schema}.Sanitize()
	var there bool
	// The look comes first, since IF NOT EXISTS wants the right to create.
	if err := db.QueryRowContext(ctx, "SELECT to_regnamespace($1) IS NOT NULL", name).Scan(&there); err != nil {
		return err
	}
	if !there {
		if _, err := db.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+name); err != nil {
			return err
		}
	}
	if _, err := db.ExecContext(ctx, createStore); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, identify, randomID())
	return err
}

func madeMeanwhile(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	switch e.Code {
	case uniqueViolation, "42P06", "42P07", "42710", "XX000": // schema, table, its type, and "tuple concurrently updated"
		return true
	}
	return false
}

// tableLock lets one process at a time migrate: it holds a lock on the table
// store in a transaction of its own, beside the one that goose migrates in. The
// lock is gone with its connection, whatever happens to the process.
type tableLock struct{ tx *sql.Tx }

var _ lock.Locker = (*tableLock)(nil)

// Lock implements [lock.Locker].
func (l *tableLock) Lock(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	// Waiting for another process's migrations, and idling while goose makes
	// ours, may take as long as Open may.
	_, err = tx.ExecContext(ctx, "SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $1, true)",
		milliseconds(openWithin))
	if err == nil {
		_, err = tx.ExecContext(ctx, lockStore)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	l.tx = tx
	return nil
}

// Unlock implements [lock.Locker].
func (l *tableLock) Unlock(context.Context, *sql.DB) error { return l.tx.Rollback() }
