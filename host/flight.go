package host

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	// minInterval is the least time between two renewals of one credential,
	// but never more than a quarter of the access's life. It bounds what a
	// wrong clock, or a service that refuses its own tokens, can cost.
	minInterval = 30 * time.Second

	// renewalPatience is how long one flight waits, all in all, for a service
	// that asks to be asked again.
	renewalPatience = 20 * time.Second

	// maxRetryWait is the longest wait between two tries of one flight.
	maxRetryWait = 10 * time.Second
)

// errOutdated ends a change that no longer fits the record.
var errOutdated = errors.New("the credential has moved on")

// fly brings access that answers req: the one in memory if the store still
// stands by it, else the one in the store's credential, else a renewed one.
func (l *life) fly(ctx context.Context, req want) (*handout, error) {
	if err := l.settle(ctx); err != nil {
		return nil, err
	}
	waits := newWaits()
	for {
		s, err := l.look(ctx)
		if err != nil {
			return nil, err
		}
		h, err := l.present(ctx, s, req)
		if h != nil || !is(err, connector.RenewalRequired) {
			return h, err
		}
		h, err = l.renew(ctx, s, req)
		if h != nil {
			return h, nil
		}
		if errors.Is(err, errMoved) {
			continue
		}
		if !waits.next(ctx, l.host, err) {
			return l.makeDo(ctx, s, req, err)
		}
	}
}

// sight is what the flight knows of the record, and when it looked.
type sight struct {
	record *store.Record
	config config
	conn   *Connector
	// now is the store's clock and at this process's at the same instant.
	now time.Time
	at  time.Duration
}

// look reads the record and refuses what can't be opened at all.
func (l *life) look(ctx context.Context) (*sight, error) {
	conn, err := l.host.connector(l.connectorID)
	if err != nil {
		return nil, err
	}
	r, err := l.host.store.Get(ctx, l.key.credential)
	if err == nil {
		if l.cached.Load() != nil { // it may be in use for API calls
			l.waits.refresh(ctx, waitsFresh)
		}
		r, err = l.host.current(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	return l.sight(ctx, conn, r)
}

func (l *life) sight(ctx context.Context, conn *Connector, r *store.Record) (*sight, error) {
	if r.State == store.StateTombstone {
		return nil, notFound(r.Key.Connection)
	}
	from := r
	if l.key.settings != l.key.credential {
		var err error
		if from, err = l.host.store.Get(ctx, l.key.settings); err != nil {
			return nil, err
		}
	}
	cfg, err := l.host.vault.config(ctx, from)
	if err != nil {
		return nil, err
	}
	s := &sight{record: r, config: cfg, conn: conn, at: l.host.elapsed()}
	s.now, err = l.host.store.Now(ctx)
	return s, err
}

// present answers without spending anything, or fails with
// connector.RenewalRequired.
func (l *life) present(ctx context.Context, s *sight, req want) (*handout, error) {
	if d := verdictOf(s.record); d != nil && l.ownSettings() {
		return nil, d
	}
	refused := req.refused != 0 && req.refused == s.record.Generation
	if refused {
		if rest := s.rest(); rest > 0 {
			return nil, connector.Errorf(connector.AccessRefused, connector.OriginService,
				"The service refused an access token that it gave out %s ago.", s.now.Sub(s.record.RenewedAt).Round(time.Second)).
				With(connector.Retry).After(rest).
				Suggest("Ask again after that time: the token is renewed then. If it is refused time and again, check the application's settings and the account at the service.")
		}
		return nil, renewalRequired()
	}
	if req.stale != 0 && req.stale == s.record.Generation {
		return nil, renewalRequired()
	}
	if h := l.cached.Load(); h != nil && h.access.Generation == s.record.Generation {
		now := l.host.elapsed()
		if h.satisfies(now, req) && (h.renew == 0 || now < h.renew || s.renewedJustNow()) {
			h.trust(now)
			return h, nil
		}
	}
	validity := req.validity
	if s.renewedJustNow() {
		validity = time.Second // it won't get better by renewing it at once
	}
	return l.open(ctx, s, validity)
}

// open asks the connector for the access in the credential.
func (l *life) open(ctx context.Context, s *sight, validity time.Duration) (*handout, error) {
	if len(s.record.Sealed[store.FieldPrevious]) > 0 {
		// Nobody has used this access yet. Its first use ends the credential
		// before it, which the store's original may have gone back to.
		if err := l.host.entitled(ctx, s.record); err != nil {
			return nil, err
		}
	}
	cred, err := l.host.vault.credential(ctx, s.record, store.FieldCredential)
	if err != nil {
		return nil, err
	}
	if err := s.conn.reads(cred); err != nil {
		return nil, err
	}
	o, err := s.conn.calls.open(ctx, l.host.callConfig(s.config), openRequest{credential: cred, validity: validity, now: s.now})
	if err != nil {
		return nil, err
	}
	return l.keep(o.access, s.record, s.now, s.at), nil
}

// makeDo hands out access that still lasts when its renewal, which was due
// early, failed for the time being, or isn't this store's to make.
func (l *life) makeDo(ctx context.Context, s *sight, req want, failure error) (*handout, error) {
	d := connector.Diagnose(failure, connector.OriginHost)
	g := s.record.Generation
	if d.Disposition != connector.Retry && d.Code != connector.StoreNotAdopted || g == req.refused || g == req.stale {
		return nil, failure
	}
	h, err := l.open(ctx, s, max(req.validity, time.Second))
	if err != nil {
		return nil, failure
	}
	l.host.log.WarnContext(ctx, "the renewal failed; the access still lasts", "connection", s.record.Key.Connection, "error", failure)
	return h, nil
}

// ownSettings reports whether the credential is used with the settings that
// are stored beside it. What a draft's settings bring about says nothing of
// the connection.
func (l *life) ownSettings() bool { return l.key.settings == l.key.credential }

// renewedJustNow reports whether the minimum interval since the last renewal
// hasn't passed.
func (s *sight) renewedJustNow() bool { return s.rest() > 0 }

// rest is what is left of the minimum interval.
func (s *sight) rest() time.Duration {
	r := s.record
	if r.RenewedAt.IsZero() {
		return 0
	}
	interval := minInterval
	if life := r.AccessExpiresAt.Sub(r.RenewedAt); !r.AccessExpiresAt.IsZero() {
		interval = min(interval, life/4)
	}
	since := s.now.Sub(r.RenewedAt)
	if since < 0 { // the store's clock went back: nothing is known
		return 0
	}
	return max(0, interval-since)
}

func renewalRequired() *connector.Diagnostic {
	return connector.Errorf(connector.RenewalRequired, connector.OriginHost, "The access must be renewed.")
}

// waits spaces the tries of one flight.
type waits struct {
	delays backoff.BackOff
	left   time.Duration
}

func newWaits() *waits {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 500*time.Millisecond, maxRetryWait
	return &waits{delays: b, left: renewalPatience}
}

// next waits before another try after err, at least as long as the service
// asks for. It reports false if another try makes no sense, or not within this
// flight's patience.
func (w *waits) next(ctx context.Context, h *Host, err error) bool {
	d := connector.Diagnose(err, connector.OriginHost)
	if d.Disposition != connector.Retry || d.Origin == connector.OriginHost {
		return false
	}
	delay := max(w.delays.NextBackOff(), d.RetryAfter)
	if delay > w.left {
		return false
	}
	w.left -= delay
	return h.sleep(ctx, delay) == nil
}

// sleep waits, or fails when ctx ends or the host is closed.
func (h *Host) sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return gaveUp(ctx)
	case <-h.ctx.Done():
		return gaveUp(h.ctx)
	}
}

// auditRenewal records the outcome of a renewal.
func (l *life) auditRenewal(ctx context.Context, r *store.Record, err error) {
	_ = l.host.record(ctx, audit.Event{
		Owner: r.Key.Owner, Connection: r.Key.Connection, Environment: r.Key.Environment, Name: r.Name,
		Action: audit.ActionRenew, Generation: r.Generation,
	}, err)
}
