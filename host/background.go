package host

import (
	"context"
	"math/rand/v2"
	"time"
)

// firstWithin is when a host keeps connections alive for the first time, at the
// latest: by then the engine has loaded its connectors.
const firstWithin = time.Minute

// WithKeepAlive has the host do by itself what [Host.KeepAlive] does, with its
// default concurrency: within a minute, and then every so often until the host
// is closed, each time up to a tenth earlier or later, so that hosts which start
// together don't work together. Zero, the default, is never. It is for an engine
// whose store has no job queue; in a cluster the workers of package host/river
// do it in turns. What fails is logged, and due again.
func WithKeepAlive(every time.Duration) Option {
	return option(func(h *Host) { h.keepAliveEvery = every })
}

// keepAliveForever runs the keep-alive until the host is closed.
func (h *Host) keepAliveForever() {
	defer h.work.Done()
	sleep(h.ctx, jittered(min(h.keepAliveEvery, firstWithin)))
	for h.ctx.Err() == nil {
		sum, err := h.KeepAlive(h.ctx, 0)
		h.log.InfoContext(h.ctx, "kept alive", "renewed", sum.Renewed, "revoked", sum.Revoked,
			"sign_in_again", sum.SignInAgain, "failed", sum.Failed, "skipped", sum.Skipped, "held", sum.Held, "error", err)
		sleep(h.ctx, jittered(h.keepAliveEvery))
	}
}

// jittered is d, up to a tenth shorter or longer.
func jittered(d time.Duration) time.Duration {
	tenth := d / 10
	return d - tenth + rand.N(2*tenth+1) //nolint:gosec // to spread load, not to keep a secret
}

// sleep waits until the time is over or ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
