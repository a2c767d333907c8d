package pgstore

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// openWithin bounds Open, the wait for another process's migrations
	// included.
	openWithin = time.Minute
	// callWithin bounds a call whose context has no deadline.
	callWithin = 10 * time.Second
	// connectWithin bounds one try to connect, where the string doesn't.
	connectWithin = 5 * time.Second
	// lockWithin bounds the wait for a row, and statementWithin a statement:
	// the server ends them even if it doesn't hear of the caller's deadline.
	lockWithin      = 5 * time.Second
	statementWithin = 10 * time.Second
	// idleWithin ends a transaction whose process froze. Only migrations have
	// transactions.
	idleWithin = time.Minute
	// cancelWithin is how long after its deadline a call may wait for the
	// server to confirm that the statement was given up.
	cancelWithin = 500 * time.Millisecond
	// trustFor is how long an unused connection is taken for sound. Asking
	// costs a round trip; not asking, a failed call after a restart.
	trustFor = 50 * time.Millisecond
)

// Option changes how a store is opened.
type Option func(*options)

type options struct {
	schema string
	site   string
}

// WithSchema sets the schema that holds the store's tables; the default is
// "connector". Stores in different schemas don't meet.
func WithSchema(name string) Option { return func(o *options) { o.schema = name } }

// WithSite names the installation that opens the store; the default is no
// name. A store that was first used or adopted under another name is a copy;
// see [store.Identity].
func WithSite(name string) Option { return func(o *options) { o.site = name } }

// configure completes a configuration that the caller may have changed.
func (o options) configure(config *pgxpool.Config) *pgxpool.Config {
	conn := config.ConnConfig
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = connectWithin
	}
	// A caller who leaves takes its statement along; otherwise one that waits
	// for a row would be carried out later, when nobody expects it.
	conn.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: cancelWithin}
	}
	if config.ShouldPing == nil {
		config.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool { return p.IdleDuration > trustFor }
	}
	listener := conn.OnNotice
	conn.OnNotice = func(c *pgconn.PgConn, n *pgconn.Notice) {
		noteUnconfirmed(c, n)
		if listener != nil {
			listener(c, n)
		}
	}
	theirs := config.AfterConnect
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		if theirs != nil {
			if err := theirs(ctx, c); err != nil {
				return err
			}
		}
		return o.settle(ctx, c)
	}
	return config
}

// settle makes a session's settings. A server whose commits wait for more than
// "on" asks for keeps its setting.
func (o options) settle(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, `SELECT
		set_config('search_path', $1, false),
		set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
		set_config('lock_timeout', $2, false),
		set_config('statement_timeout', $3, false),
		set_config('idle_in_transaction_session_timeout', $4, false),
		set_config('timezone', 'UTC', false)`,
		pgx.Identifier{o.schema}.Sanitize()+", pg_temp", milliseconds(lockWithin), milliseconds(statementWithin), milliseconds(idleWithin))
	return err
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// placeOf names the database for people, without user and password.
func placeOf(config *pgx.ConnConfig) string {
	hosts := []string{address(config.Host, config.Port)}
	for _, f := range config.Fallbacks {
		if a := address(f.Host, f.Port); a != hosts[len(hosts)-1] {
			hosts = append(hosts, a)
		}
	}
	return fmt.Sprintf("database %q at %s", config.Database, strings.Join(hosts, ", "))
}

func address(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
