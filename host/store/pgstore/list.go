package pgstore

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// selectDue walks the index of due dates from its beginning and reads no
// ciphertext.
const selectDue = `SELECT owner, connection, environment FROM connections WHERE due_at <= statement_timestamp() AND NOT ` + over + `
	ORDER BY due_at, owner, connection, environment LIMIT $1`

// List implements [store.Store].
func (s *Store) List(ctx context.Context, q store.Query) (listed []store.Listed, err error) {
	sql, args := listQuery(q)
	for _, text := range args {
		if checkText("query", text.(string), true) != nil {
			return nil, s.do(ctx, repeatable, func(context.Context) error { return nil }) // nothing can have it
		}
	}
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		listed = nil
		rows, err := s.pool.Query(ctx, sql, args)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			key, r, err := scan(rows)
			switch {
			case err == nil:
				listed = append(listed, store.Listed{Key: key, Record: r})
			case key != store.Key{}:
				listed = append(listed, store.Listed{Key: key, Err: connector.Diagnose(err, connector.OriginHost)})
			default:
				return err
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return listed, nil
}

// listQuery names only what is asked for, so that the database can choose the
// index for it.
func listQuery(q store.Query) (string, pgx.NamedArgs) {
	var sql strings.Builder
	sql.WriteString(`SELECT ` + columns + ` FROM connections WHERE NOT ` + over)
	args := pgx.NamedArgs{}
	for _, c := range []struct{ column, value string }{
		{"owner", q.Owner}, {"connection", q.Connection}, {"environment", q.Environment}, {"name", q.Name}, {"state", string(q.State)}, {"base", q.Base},
	} {
		if c.value == "" {
			continue
		}
		args[c.column] = c.value
		sql.WriteString(` AND ` + c.column + ` = @` + c.column)
	}
	sql.WriteString(` ORDER BY name, owner, connection, environment`)
	return sql.String(), args
}

// Due implements [store.Store].
func (s *Store) Due(ctx context.Context, limit int) (keys []store.Key, err error) {
	s.sweep(ctx)
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, selectDue, max(0, limit))
		if err != nil {
			return err
		}
		keys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (k store.Key, err error) {
			return k, row.Scan(&k.Owner, &k.Connection, &k.Environment)
		})
		return err
	})
	return keys, err
}
