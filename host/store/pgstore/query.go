package pgstore

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// repetition says whether a call may be made twice.
type repetition bool

const (
	repeatable repetition = true
	once       repetition = false
)

// do makes a call within a deadline, again if its connection turned out to be
// dead, and turns its error into a diagnostic.
func (s *Store) do(ctx context.Context, r repetition, call func(context.Context) error) error {
	if s.closed.Load() {
		return connector.Errorf(connector.StoreUnavailable, connector.OriginHost, "The store in %s was closed.", s.place)
	}
	if err := ctx.Err(); err != nil {
		return connector.Errorf(connector.StoreUnavailable, connector.OriginHost,
			"The caller's time was over before the store was asked.").With(connector.Retry).Because(err)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callWithin)
		defer cancel()
	}
	err := call(ctx)
	if err != nil && ctx.Err() == nil && broken(err) {
		// Where one connection is gone, the others are too.
		s.pool.Reset()
		if r == repeatable || pgconn.SafeToRetry(err) {
			err = call(ctx)
		}
	}
	if err == nil {
		return nil
	}
	if readOnly(err) {
		// Of several servers, another one may have become the primary.
		s.pool.Reset()
	}
	return s.fault(ctx, err)
}

// maxText bounds each text that records are found by: three of them have to
// fit into an index entry of PostgreSQL.
const maxText = 800

// checkText refuses what a database in UTF-8 can't hold or find.
func checkText(what, text string, required bool) error {
	wrong := func(how string) error {
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "The %s %s.", what, how)
	}
	switch {
	case required && text == "":
		return wrong("is empty")
	case !utf8.ValidString(text):
		return wrong("isn't UTF-8")
	case strings.ContainsRune(text, 0):
		return wrong("holds a zero byte")
	case len(text) > maxText:
		return wrong("is too long")
	}
	return nil
}

func checkKey(key store.Key) error {
	if err := checkText("owner", key.Owner, true); err != nil {
		return err
	}
	if err := checkText("connection's ID", key.Connection, true); err != nil {
		return err
	}
	return checkText("environment", key.Environment, true)
}
