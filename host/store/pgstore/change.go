package pgstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// errUnconfirmed says that a change is on the server's own disk, but that it
// stopped waiting for a standby's confirmation. A failover may undo it.
var errUnconfirmed = errors.New("no standby confirmed the change")

// unconfirmed marks a session whose last change wasn't confirmed.
const unconfirmed = "connector.unconfirmed"

// changeRow makes a change and reads the row that it returns.
func (s *Store) changeRow(ctx context.Context, sql string, args pgx.NamedArgs, into ...any) error {
	return s.confirmed(ctx, func(c *pgxpool.Conn) error { return c.QueryRow(ctx, sql, args).Scan(into...) })
}

// change makes a change and returns how many rows it concerned.
func (s *Store) change(ctx context.Context, sql string, args pgx.NamedArgs) (n int64, err error) {
	err = s.confirmed(ctx, func(c *pgxpool.Conn) error {
		tag, err := c.Exec(ctx, sql, args)
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

// confirmed makes a change and fails if it is less durable than asked for. A
// server whose standbys don't answer keeps a commit waiting; if the caller's
// deadline or the statement's ends the wait, it calls the statement a success
// and only warns.
func (s *Store) confirmed(ctx context.Context, change func(*pgxpool.Conn) error) error {
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	marks := c.Conn().PgConn().CustomData()
	delete(marks, unconfirmed)
	if err := change(c); err != nil {
		return err
	}
	if marks[unconfirmed] != nil {
		return errUnconfirmed
	}
	return nil
}

// noteUnconfirmed marks a session by the server's warning. Its text may be in
// any language; the routine that wrote it isn't.
func noteUnconfirmed(c *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		c.CustomData()[unconfirmed] = true
	}
}
