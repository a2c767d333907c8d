package pgstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	// A holder's own lease is free to it.
	isFree = `(lease IS NULL OR lease->>'id' = @id OR (lease->>'until')::timestamptz <= statement_timestamp())`

	lookAtLease  = `SELECT ` + columns + `, ` + isFree + ` FROM connections WHERE ` + byKey
	acquireLease = `UPDATE connections SET revision = revision + 1,
		interrupted = CASE WHEN lease->>'id' = @id THEN interrupted ELSE coalesce(lease, interrupted) END, lease = jsonb_build_object(
			'id', @id::text, 'holder', @holder::text, 'intent', @intent::text, 'generation', generation,
			'since', statement_timestamp(), 'until', statement_timestamp() + @microseconds::bigint * interval '1 microsecond')
		WHERE revision = @revision AND ` + isFree + ` AND ` + byKey + ` RETURNING revision, lease, interrupted`

	commitLease = setBody + `, interrupted = @interrupted, lease = CASE WHEN lease->>'id' = @id THEN NULL ELSE lease END
		WHERE revision = @revision AND ` + byKey + ` RETURNING revision, updated_at`

	releaseLease = `UPDATE connections SET revision = revision + 1, lease = NULL WHERE lease->>'id' = @id AND ` + byKey
)

// Acquire implements [store.Store].
func (s *Store) Acquire(ctx context.Context, key store.Key, want store.LeaseRequest) (r *store.Record, held *store.Lease, err error) {
	if err := checkKey(key); err != nil {
		return nil, nil, err
	}
	if err := want.CheckID(); err != nil {
		return nil, nil, err
	}
	for what, text := range map[string]string{"holder": want.Holder, "intent": want.Intent} {
		if err := checkText(what, text, false); err != nil {
			return nil, nil, err
		}
	}
	if want.ID == "" {
		want.ID = store.NewLeaseID()
	}
	// An acquisition whose answer got lost is recognised by its ID.
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		r, held, err = s.acquire(ctx, key, want)
		return err
	})
	return r, held, err
}

// acquire reads the record first, so that one that can't be read isn't
// touched, and those who wait for a lease don't write.
func (s *Store) acquire(ctx context.Context, key store.Key, want store.LeaseRequest) (*store.Record, *store.Lease, error) {
	for {
		args := keyArguments(key)
		args["id"] = want.ID
		var free bool
		_, r, err := scan(s.pool.QueryRow(ctx, lookAtLease, args), &free)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return nil, nil, notFound(key)
		case err != nil:
			return nil, nil, err
		case !free:
			return nil, r.Lease, nil
		}
		maps.Copy(args, pgx.NamedArgs{
			"revision": stored(r.Revision), "holder": want.Holder, "intent": want.Intent,
			"microseconds": int64((want.For + time.Microsecond - 1) / time.Microsecond),
		})
		var lease, interrupted []byte
		err = s.changeRow(ctx, acquireLease, args, &r.Revision, &lease, &interrupted)
		if errors.Is(err, pgx.ErrNoRows) {
			continue // somebody else changed the record meanwhile
		}
		if err != nil {
			return nil, nil, err
		}
		if r.Lease, err = decodeLease(lease); err != nil {
			return nil, nil, damaged(key, err)
		}
		if r.Interrupted, err = decodeLease(interrupted); err != nil {
			return nil, nil, damaged(key, err)
		}
		return r, nil, nil
	}
}

// Commit implements [store.Store]. It may call change more than once, each time
// with the record as it is then; only what the last call did counts.
func (s *Store) Commit(ctx context.Context, key store.Key, lease *store.Lease, change func(*store.Record) error) (r *store.Record, err error) {
	if err := checkLease(key, lease); err != nil {
		return nil, err
	}
	var refused error
	err = s.do(ctx, once, func(ctx context.Context) error {
		r, refused, err = s.commit(ctx, key, lease, change)
		return err
	})
	if refused != nil {
		return nil, refused
	}
	return r, err
}

// commit returns an error of change apart from its own.
func (s *Store) commit(ctx context.Context, key store.Key, lease *store.Lease, change func(*store.Record) error) (next *store.Record, refused, err error) {
	for {
		next, err = s.get(ctx, key)
		if err != nil {
			return nil, nil, err
		}
		if next.Generation != lease.Generation {
			return nil, nil, changed(key)
		}
		revision, created, current := next.Revision, next.CreatedAt, copyOf(next.Lease)
		if err := change(next); err != nil {
			return nil, err, nil
		}
		next.Key, next.Revision, next.CreatedAt, next.Lease = key, revision, created, current
		if next.Lease != nil && next.Lease.ID == lease.ID {
			next.Lease = nil
		}
		if next.Generation != lease.Generation {
			next.Interrupted = nil
		}
		b, err := encode(next)
		if err != nil {
			return nil, nil, err
		}
		args := b.arguments(next)
		args["id"] = lease.ID
		if args["interrupted"], err = encodeLease(next.Interrupted); err != nil {
			return nil, nil, err
		}
		err = s.changeRow(ctx, commitLease, args, &next.Revision, &next.UpdatedAt)
		if errors.Is(err, pgx.ErrNoRows) {
			continue // changed meanwhile, but perhaps not its generation
		}
		if err != nil {
			return nil, nil, taken(next, err)
		}
		next.UpdatedAt = next.UpdatedAt.UTC()
		return next, nil, nil
	}
}

// Release implements [store.Store].
func (s *Store) Release(ctx context.Context, key store.Key, lease *store.Lease) error {
	if err := checkLease(key, lease); err != nil {
		return err
	}
	return s.do(ctx, repeatable, func(ctx context.Context) error {
		args := keyArguments(key)
		args["id"] = lease.ID
		_, err := s.change(ctx, releaseLease, args)
		return err
	})
}

func checkLease(key store.Key, lease *store.Lease) error {
	if lease == nil {
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "No lease was given.")
	}
	if err := checkText("lease's ID", lease.ID, true); err != nil {
		return err
	}
	return checkKey(key)
}

// encodeLease returns a *string, so that nil becomes NULL.
func encodeLease(lease *store.Lease) (*string, error) {
	if lease == nil {
		return nil, nil
	}
	text, err := json.Marshal(lease)
	if err != nil {
		return nil, connector.Errorf(connector.UsageWrong, connector.OriginHost, "The interrupted lease can't be written.").Because(err)
	}
	s := string(text)
	return &s, nil
}

func copyOf(lease *store.Lease) *store.Lease {
	if lease == nil {
		return nil
	}
	c := *lease
	return &c
}

// randomID returns 128 random bits.
func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
