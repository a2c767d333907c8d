package host

import (
	"context"
	"sync"
	"time"
)

// WithKeepAliveRate bounds how many renewals a second KeepAlive begins on this
// host. The default, zero, is no bound: a service that asks to wait is waited
// for. Where several nodes keep connections alive at the same time, give each
// its share of what the service takes.
func WithKeepAliveRate(perSecond float64) Option {
	return option(func(h *Host) {
		if perSecond > 0 {
			h.pace.interval = time.Duration(float64(time.Second) / perSecond)
		}
	})
}

// pace spaces what is begun. The zero value spaces nothing.
type pace struct {
	interval time.Duration

	mu   sync.Mutex
	next time.Duration // on the host's elapsed time
}

// wait returns when it is the caller's turn, or fails when ctx ends or the host
// is closed.
func (p *pace) wait(ctx context.Context, h *Host) error {
	if p.interval == 0 {
		return nil
	}
	p.mu.Lock()
	now := h.elapsed()
	turn := max(now, p.next)
	p.next = turn + p.interval
	p.mu.Unlock()
	if turn <= now {
		return nil
	}
	return h.sleep(ctx, turn-now)
}
