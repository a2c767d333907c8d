package host

import (
	"context"
	"errors"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	// intentRenew is the intent of a renewal's lease.
	intentRenew = "renew"

	// commitWithin is how long a write that fails is tried again before the
	// callers are told.
	commitWithin = 5 * time.Second
)

// errMoved sends the flight back to look at the record again.
var errMoved = errors.New("the record has changed")

// renew takes the lease, renews, and writes before it answers. It fails with
// errMoved if the record isn't what the flight saw any more.
func (l *life) renew(ctx context.Context, s *sight, req want) (*handout, error) {
	if err := l.waits.tooEarly(ctx); err != nil {
		return nil, err
	}
	if l.host.copied.Load() || s.record.HeldUntil > 0 {
		if err := l.host.entitled(ctx, s.record); err != nil {
			return nil, err
		}
	}
	r, held, err := l.acquire(ctx)
	if err != nil {
		return nil, err
	}
	if held != nil {
		return nil, l.awaitLease(ctx, held)
	}
	lease := *r.Lease
	defer l.release(ctx, &lease)
	if r.Generation != s.record.Generation || r.State != s.record.State || (l.ownSettings() && verdictOf(r) != nil) {
		return nil, errMoved
	}
	// The holder before may have been asked to wait.
	if err := l.waits.spared(ctx); err != nil {
		return nil, err
	}
	if err := l.host.entitled(ctx, r); err != nil {
		return nil, err
	}
	under, err := l.sight(ctx, s.conn, r)
	if err != nil {
		return nil, err
	}
	if err := mayRepeat(under.conn, r); err != nil {
		return nil, err
	}
	h, err := l.spendCredential(ctx, under, req)
	if !errors.Is(err, errMoved) {
		l.auditRenewal(ctx, r, err)
	}
	l.waits.learn(ctx, err)
	return h, err
}

// spendCredential renews the credential, or the one before it where the
// service knows nothing of a credential that was never used. After a renewal
// that was cut off the service may have taken the credential for used, which
// ended the one before it.
func (l *life) spendCredential(ctx context.Context, s *sight, req want) (*handout, error) {
	cred, err := l.host.vault.credential(ctx, s.record, store.FieldCredential)
	if err != nil {
		return nil, err
	}
	o, err := l.ask(ctx, s, cred, req)
	if o.credential.IsZero() && isFinal(err) && cutOff(s.record) == nil {
		previous, perr := l.host.vault.credential(ctx, s.record, store.FieldPrevious)
		if perr == nil && !previous.IsZero() {
			if o, perr = l.ask(ctx, s, previous, req); perr == nil || !isFinal(perr) && !is(perr, connector.CredentialUnreadable) {
				cred, err = previous, perr
			}
		}
	}
	switch {
	case !o.credential.IsZero():
		return l.commit(ctx, s, o, cred, err)
	case err != nil:
		return nil, l.failed(ctx, s, err)
	default:
		return l.keep(o.access, s.record, s.now, s.at), nil
	}
}

// ask sends the one request that may spend the credential.
func (l *life) ask(ctx context.Context, s *sight, cred connector.Credential, req want) (opened, error) {
	if err := s.conn.reads(cred); err != nil {
		return opened{}, err
	}
	at := time.Now() // before the store's clock is read: a holder may freeze in between
	now, err := l.host.store.Now(ctx)
	if err != nil {
		return opened{}, err
	}
	left := s.record.Lease.Until.Sub(now) - (time.Duration(l.host.lease) - l.host.lease.start())
	return s.conn.calls.open(ctx, l.host.callConfig(s.config), openRequest{
		credential: cred, validity: req.validity,
		refused:  s.record.Generation == req.refused || s.record.Generation == req.stale,
		deadline: at.Add(left), within: l.host.lease.answer(), now: now, format: l.host.writes(s.conn),
	})
}

// failed keeps what a failed renewal says of the credential.
func (l *life) failed(ctx context.Context, s *sight, err error) error {
	d := connector.Diagnose(err, connector.OriginConnector)
	lease := s.record.Lease
	var change func(*store.Record) error
	switch {
	case d.Disposition == connector.SignInAgain && l.ownSettings():
		d = explain(s.record, d)
		change = func(r *store.Record) error {
			r.Verdict = &store.Verdict{Generation: r.Generation, SettingsRevision: s.config.revision, At: s.now, Diagnostic: d}
			schedule(r, s.now)
			return nil
		}
	case outcomeUnknown(d):
		change = func(r *store.Record) error {
			r.Interrupted = lease
			return nil
		}
	default:
		return err
	}
	if _, cerr := l.host.store.Commit(ctx, l.key.credential, lease, change); cerr != nil {
		if is(cerr, connector.ConnectionChanged) {
			return errMoved
		}
		l.host.log.WarnContext(ctx, "what a renewal found can't be kept", "connection", s.record.Key.Connection, "error", cerr)
	}
	if l.ownSettings() && d.Disposition == connector.SignInAgain {
		l.cached.Store(nil)
	}
	return d
}
