package store

import (
	"context"
	"time"
)

// Waits is for how long, from now on, a service doesn't want to be asked by a
// connection. Zero or less is not at all.
type Waits struct {
	// API is the wait of API calls.
	API time.Duration
	// Token is the wait of token requests: renewals, sign-ins, narrowing.
	Token time.Duration
}

// Throttle is what a [Store] implements that lets all hosts on it obey what a
// service has asked one of them. Waits are advice: they may be lost in a crash
// or a failover, so that a service is asked once too often, and need no write
// that is waited for until it is on a disk. They are kept after the host that
// learnt them has ended, and on the store's clock.
//
// Implementations are safe for concurrent use, keep within the context's
// deadline, and fail with the codes of Store. The record needn't exist. A store
// that wraps another one passes the calls on.
type Throttle interface {
	// Waits returns what is left of a connection's waits; none if nothing is
	// known of it.
	Waits(ctx context.Context, key Key) (Waits, error)

	// ExtendWaits lets each wait last at least so long from now on. One that
	// lasts longer already stays as it is.
	ExtendWaits(ctx context.Context, key Key, w Waits) error

	// EndWaits forgets a connection's waits: they were another service's.
	EndWaits(ctx context.Context, key Key) error
}
