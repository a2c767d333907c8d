package host

import (
	"context"
	"time"

	"github.com/boxconnection/connector/host/store"
)

// defaultLease covers the latest start of the token request, the call, and the
// write, with room to spare: the connector's own time-outs add up to 30 s.
const defaultLease = leaseTimes(75 * time.Second)

// pollLease is how often a held lease is looked at again.
const pollLease = 50 * time.Millisecond

// minLease leaves a service some 1.8 s for its answer.
const minLease = leaseTimes(3 * time.Second)

// WithLease sets how long a renewal's lease lasts: 3 s to 75 s, which is the
// default; what lies outside counts as the nearer end. It bounds how long a
// holder that froze, or on PostgreSQL one that died, delays the other processes.
// A fifth of it is for the start of the token request, three fifths are for the
// answer, and the rest is for the write: a service that needs longer for its
// answer can't be renewed with. The hosts on one store may have leases of
// different lengths.
func WithLease(d time.Duration) Option {
	return option(func(h *Host) { h.lease = min(max(leaseTimes(d), minLease), defaultLease) })
}

// leaseTimes is the length of a lease, and how it is divided.
type leaseTimes time.Duration

// start is how long after the lease began the token request may still be
// written. The call ends well inside the lease, so that a holder that was
// frozen sends nothing that another has begun to send.
func (d leaseTimes) start() time.Duration { return time.Duration(d) / 5 }

// answer is how long the call may last.
func (d leaseTimes) answer() time.Duration { return min(serviceTimeout, time.Duration(d)*3/5) }

// acquire takes the lease of the credential. As long as it isn't known what
// came of it, the same lease is asked for, so that a lease whose answer was
// lost isn't waited for.
func (l *life) acquire(ctx context.Context) (*store.Record, *store.Lease, error) {
	if l.leaseID == "" {
		l.leaseID = store.NewLeaseID()
	}
	r, held, err := l.host.store.Acquire(ctx, l.key.credential, store.LeaseRequest{
		ID: l.leaseID, Holder: l.host.holder, Intent: intentRenew, For: time.Duration(l.host.lease),
	})
	if err == nil {
		l.leaseID = ""
	}
	return r, held, err
}

// awaitLease waits until somebody else's lease ends or the record changes.
func (l *life) awaitLease(ctx context.Context, held *store.Lease) error {
	for {
		if err := l.host.sleep(ctx, pollLease); err != nil {
			return err
		}
		r, err := l.host.store.Get(ctx, l.key.credential)
		if err != nil {
			return err
		}
		if r.Lease == nil || r.Lease.ID != held.ID || r.Generation != held.Generation {
			return errMoved
		}
		now, err := l.host.store.Now(ctx)
		if err != nil {
			return err
		}
		if !now.Before(held.Until) {
			return errMoved
		}
		// The store frees the lease of a holder that died; only Acquire can
		// tell. Looking is as cheap as another Get.
		if again, stillHeld, err := l.acquire(ctx); err != nil {
			return err
		} else if stillHeld == nil {
			l.release(ctx, again.Lease)
			return errMoved
		}
	}
}

func (l *life) release(ctx context.Context, lease *store.Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitWithin)
	defer cancel()
	if err := l.host.store.Release(ctx, l.key.credential, lease); err != nil {
		l.host.log.WarnContext(ctx, "a lease ends only at its deadline", "connection", l.key.credential.Connection, "error", err)
	}
}
