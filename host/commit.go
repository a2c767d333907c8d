package host

import (
	"context"
	"errors"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// unsaved is a renewed credential that isn't written yet. It is handed to
// nobody: as long as it wasn't used, the one in the store can be replayed.
type unsaved struct {
	lease      *store.Lease
	credential connector.Credential
	previous   connector.Credential
	settings   config
	at         time.Time
}

// commit writes a renewed credential, and only then makes its access. An
// answer whose access is no good is written all the same: what it replaces is
// spent.
func (l *life) commit(ctx context.Context, s *sight, o opened, spent connector.Credential, failure error) (*handout, error) {
	u := &unsaved{lease: s.record.Lease, credential: o.credential, previous: spent, settings: s.config, at: s.now}
	r, err := l.write(ctx, u)
	if is(err, connector.ConnectionChanged) {
		l.late(ctx, u)
		return nil, errMoved
	}
	if err != nil {
		l.hold(u)
		return nil, notWritten(err)
	}
	if failure != nil {
		return nil, failure
	}
	h := l.keep(o.access, r, s.now, s.at)
	h.won.Store(true)
	h.confirmed.Store(true)
	return h, nil
}

// write writes u, again and again for a while if the store fails.
func (l *life) write(ctx context.Context, u *unsaved) (*store.Record, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitWithin)
	defer cancel()
	for delay := 20 * time.Millisecond; ; delay *= 2 {
		r, err := l.writeOnce(ctx, u)
		if err == nil || is(err, connector.ConnectionChanged) || l.host.sleep(ctx, delay) != nil {
			return r, err
		}
	}
}

// writeOnce commits u. After a failure the record may hold it all the same, but
// perhaps not for long: what a store didn't confirm as durable is undone by a
// failover. So it counts only once a later write of the record is confirmed,
// which goes for all that was written before it, too. It fails with
// ConnectionChanged if the record has moved on.
func (l *life) writeOnce(ctx context.Context, u *unsaved) (*store.Record, error) {
	r, err := l.host.store.Commit(ctx, l.key.credential, u.lease, u.change(ctx, l))
	if err == nil {
		return r, nil
	}
	r, again := l.host.update(ctx, l.key.credential, func(r *store.Record) error {
		if !l.holds(ctx, r, u) {
			return errOutdated
		}
		return nil
	})
	switch {
	case again == nil:
		return r, nil
	case errors.Is(again, errOutdated), !is(err, connector.ConnectionChanged):
		return nil, err
	case is(again, connector.ConnectionChanged): // others are changing it; look again
		return nil, connector.Errorf(connector.StoreBusy, connector.OriginHost, "The record is being changed all the time.").
			With(connector.Retry).Suggest("Try again.").Because(again)
	default:
		return nil, again
	}
}

// change makes the record hold u.
func (u *unsaved) change(ctx context.Context, l *life) func(*store.Record) error {
	return func(r *store.Record) error {
		if !u.previous.IsZero() {
			if err := l.host.vault.put(ctx, r, store.FieldPrevious, packCredential(u.previous)); err != nil {
				return err
			}
		}
		if l.ownSettings() {
			r.OpenedWith = u.settings.revision
		}
		return l.host.vault.putCredential(ctx, r, u.credential, u.at)
	}
}

// putCredential makes cred the record's credential, of a new generation.
func (v vault) putCredential(ctx context.Context, r *store.Record, cred connector.Credential, at time.Time) error {
	if err := v.put(ctx, r, store.FieldCredential, packCredential(cred)); err != nil {
		return err
	}
	r.Generation++
	r.HeldUntil, r.Unrevoked = 0, nil
	r.CredentialFormat = cred.Format
	r.AccessExpiresAt, r.LapsesAt = cred.AccessExpiresAt, cred.LapsesAt
	r.RenewedAt = at
	r.Verdict, r.Interrupted = nil, nil
	schedule(r, at)
	return nil
}

// holds reports whether r already holds u.
func (l *life) holds(ctx context.Context, r *store.Record, u *unsaved) bool {
	if r.Generation != u.lease.Generation+1 {
		return false
	}
	have, err := l.host.vault.credential(ctx, r, store.FieldCredential)
	return err == nil && have.Format == u.credential.Format && have.Data == u.credential.Data
}

// late deals with a renewal that came back to a record that has moved on. To a
// deleted or signed-out connection it mustn't bring anything back, so it is
// revoked. A newer credential of the same grant is what counts else, and
// revoking this one would end it.
func (l *life) late(ctx context.Context, u *unsaved) {
	r, err := l.host.update(ctx, l.key.credential, func(r *store.Record) error {
		if r.State != store.StateTombstone && len(r.Sealed[store.FieldCredential]) > 0 {
			return errOutdated
		}
		_, err := l.host.vault.addRevocation(ctx, r, u.settings, u.credential)
		return err
	})
	if err == nil {
		_ = l.host.revokeAll(ctx, r) // what fails stays due
	}
}

// hold keeps u in memory and tries to write it until the store takes it, the
// record moves on, or the host is closed.
func (l *life) hold(u *unsaved) {
	l.mu.Lock()
	l.unsaved = u
	l.mu.Unlock()
	if l.host.begin() != nil {
		return
	}
	go func() {
		defer l.host.work.Done()
		for delay := time.Second; ; delay = min(2*delay, maxRetryWait) {
			closing := l.host.sleep(context.Background(), delay) != nil
			if l.settle(context.Background()) == nil || closing {
				return
			}
		}
	}()
}

// settle writes what couldn't be written before.
func (l *life) settle(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.unsaved
	if u == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitWithin)
	defer cancel()
	_, err := l.writeOnce(ctx, u)
	if is(err, connector.ConnectionChanged) {
		l.late(ctx, u)
		err = nil
	}
	if err != nil {
		return notWritten(err)
	}
	l.unsaved = nil
	return nil
}

// notWritten is the store's failure, told as what it means here.
func notWritten(err error) error {
	d := connector.Diagnose(err, connector.OriginHost)
	return d.WithDetail("the renewed credential is held in memory and written as soon as the store takes it; %s", d.Detail).Because(err)
}
