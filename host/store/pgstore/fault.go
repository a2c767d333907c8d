package pgstore

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// SQLSTATEs that are told apart.
const (
	readOnlyTransaction = "25006"
	uniqueViolation     = "23505"
	queryCanceled       = "57014"
	lockNotAvailable    = "55P03"
)

// fault says why a call failed. The text of a cause is shown only where the
// server wrote it and it can't hold a value.
func (s *Store) fault(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*connector.Diagnostic](err); ok {
		return err
	}
	d := s.diagnose(ctx, err)
	if ended := ctx.Err(); ended != nil {
		err = errors.Join(ended, err)
	}
	return d.Because(err)
}

func (s *Store) diagnose(ctx context.Context, err error) *connector.Diagnostic {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		if d := s.diagnoseServer(e); d != nil {
			return d
		}
	}
	unavailable := func(format string) *connector.Diagnostic {
		return connector.Errorf(connector.StoreUnavailable, connector.OriginHost, format, s.place).With(connector.Retry)
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	dns, unresolved := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, errUnconfirmed):
		return unavailable("The store in %s made a change that no standby server confirmed in time.").
			WithDetail("a failover may undo it").
			Suggest("Bring the standby back, or take it out of synchronous_standby_names on the primary. Read again before you rely on the change.")
	case unresolved:
		return unavailable("The host of the store in %s can't be found.").WithDetail("no address for %q", dns.Name).
			Suggest("Check the host's name in the store's connection string, and this machine's DNS.")
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return unavailable("Nothing answers for the store in %s.").WithDetail("connection refused").
			Suggest("Start the PostgreSQL server, or check host and port in the store's connection string.")
	case errors.Is(err, syscall.EACCES):
		return unavailable("This process may not use the socket of the store in %s.").
			Suggest("Check the rights of the socket's folder.")
	case ctx.Err() != nil:
		return unavailable("The store in %s didn't answer in time.").
			WithDetail("a change that was under way may have been made or not").
			Suggest("Try again. If it lasts, check the network to the server and its load.")
	case connecting:
		return unavailable("The store in %s can't be reached.").
			Suggest("Check the network to the server, and TLS and host in the store's connection string.")
	case broken(err):
		return unavailable("The connection to the store in %s was lost.").
			WithDetail("a change that was under way may have been made or not").
			Suggest("Read again before you rely on it.")
	}
	return connector.Errorf(connector.StoreUnavailable, connector.OriginHost, "The store in %s can't be used.", s.place).
		Suggest("See the server's log around this time.")
}

// diagnoseServer says what the server's own error means, or returns nil.
func (s *Store) diagnoseServer(e *pgconn.PgError) *connector.Diagnostic {
	say := func(code connector.Code, format string) *connector.Diagnostic {
		return connector.Errorf(code, connector.OriginHost, format, s.place).WithDetail("SQLSTATE %s", e.Code)
	}
	switch e.Code {
	case lockNotAvailable, queryCanceled, "40001", "40P01":
		return say(connector.StoreBusy, "Something else holds the record in the store in %s for too long.").With(connector.Retry).
			Suggest("Try again. If it lasts, look in pg_stat_activity for a session that holds a lock on the store's tables.")
	case readOnlyTransaction:
		return say(connector.StoreUnwritable, "The store in %s can only be read, as on a standby server.").
			Suggest("Rotating refresh tokens need a store that can be written: connect to the primary, for instance with all hosts and target_session_attrs=read-write in the connection string.")
	case "53100":
		return say(connector.StoreUnwritable, "There is no room left on the disk of the store in %s.").
			Suggest("Free some space on the server's disk, then try again.")
	case "53300":
		return say(connector.StoreUnavailable, "The server takes no more connections to the store in %s.").With(connector.Retry).
			Suggest("Raise max_connections on the server, or lower pool_max_conns in the connection strings of its clients.")
	case "57P01", "57P02":
		return say(connector.StoreUnavailable, "The server ended the connection to the store in %s.").With(connector.Retry).
			Suggest("It is being restarted or shut down. A change that was under way may have been made or not: read again before you rely on it.")
	case "57P03":
		return say(connector.StoreUnavailable, "The server of the store in %s is starting or shutting down.").With(connector.Retry).
			Suggest("Try again in a moment.")
	case "28P01", "28000":
		return say(connector.StoreUnavailable, "The server refuses this user for the store in %s.").With(connector.FixSettings).
			Suggest("Check user and password in the store's connection string, and the server's pg_hba.conf.")
	case "3D000":
		return say(connector.StoreUnavailable, "There is no such database as the store's, %s.").With(connector.FixSettings).
			Suggest("Create it, or name another one in the store's connection string.")
	case "42501":
		return say(connector.StoreUnwritable, "This user may not use or make the tables of the store in %s.").
			Suggest("Give the user the right to create the store's schema, or make the schema for it and grant it all rights in there.")
	case "3F000", "42P01", "42703":
		return say(connector.StoreUnavailable, "The tables of the store in %s are gone or were changed.").
			Suggest("Put them back from a backup. To begin anew, restart the host: it makes new ones.")
	case "54000", "22021", "22P05":
		return say(connector.UsageWrong, "A value can't be kept by the store in %s: it is too long or holds a zero byte.")
	}
	switch {
	case strings.HasPrefix(e.Code, "53"), strings.HasPrefix(e.Code, "08"):
		return say(connector.StoreUnavailable, "The server of the store in %s lacks resources.").With(connector.Retry).
			Suggest("See the server's log around this time.")
	case strings.HasPrefix(e.Code, "58"):
		return say(connector.StoreUnwritable, "The server of the store in %s has trouble with its disk.").
			Suggest("See the server's log around this time.")
	case e.Code == "XX001" || e.Code == "XX002":
		return say(connector.StoreDamaged, "The database of the store in %s is damaged.").
			Suggest("See the server's log around this time, and restore the database from a backup.")
	}
	return say(connector.StoreUnavailable, "The server refused a request to the store in %s.").
		Suggest("See the server's log around this time.")
}

// taken tells a key or a name that is in use from other errors.
func taken(r *store.Record, err error) error {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || e.Code != uniqueViolation {
		return err
	}
	if e.ConstraintName == "connections_name" {
		return connector.Errorf(connector.ConnectionExists, connector.OriginHost,
			"There is a connection named %q already.", r.Name).Suggest("Choose another name.")
	}
	return connector.Errorf(connector.ConnectionExists, connector.OriginHost,
		"The ID %q was used before.", r.Key.Connection).Suggest("Use a new one.")
}

func notFound(key store.Key) error {
	return connector.Errorf(connector.ConnectionNotFound, connector.OriginHost,
		"There is no connection %q of %q in environment %q.", key.Connection, key.Owner, key.Environment)
}

func changed(key store.Key) error {
	return connector.Errorf(connector.ConnectionChanged, connector.OriginHost,
		"Connection %q was changed by somebody else meanwhile.", key.Connection).
		Suggest("Read it again and repeat the change.")
}

func damaged(key store.Key, cause error) error {
	return connector.Errorf(connector.StoreDamaged, connector.OriginHost,
		"The row of connection %q of %q in environment %q is damaged.", key.Connection, key.Owner, key.Environment).
		Suggest("It was left as it is. Put it back from a backup, or delete the row and connect again.").Because(cause)
}

// broken reports whether a connection that had been there failed.
func broken(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case "57P01", "57P02", "57P05", "25P03":
			return true
		}
		return false
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*connector.Diagnostic](err); ok {
		return false
	}
	_, network := errors.AsType[net.Error](err)
	return network || pgconn.SafeToRetry(err) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || isEOF(err)
}

func readOnly(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == readOnlyTransaction
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
