package host

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

const (
	// waitsFresh is how long the store's waits aren't read again, unless a token
	// is about to be spent.
	waitsFresh = time.Second

	// waitsWithin bounds a look at the store's waits, or a note to it. They are
	// advice: nobody waits for long to learn whether to wait.
	waitsWithin = 2 * time.Second

	// waitsGain is how much longer a wait must be for the store to be told. It
	// keeps callers that were answered together from each telling it.
	waitsGain = 250 * time.Millisecond
)

// throttle is the one place that tells all callers of a connection, drafts
// included, whether its service wants to be left alone. What one host on the
// store learns the others obey, if the store is a [store.Throttle]. API calls
// read it from memory.
type throttle struct {
	host *Host
	key  store.Key
	// The ends of the waits, on the host's elapsed time.
	api, token atomic.Int64

	mu     sync.Mutex
	looked time.Duration // when the store was read last, zero for never
	// learnt counts the waits that this host learnt, and told those of them that
	// the store has. As long as they differ the store doesn't know all.
	learnt, told int
	// failure is what began the token's wait, if this host knows.
	failure *connector.Diagnostic
}

// throttle returns the throttle of a credential, the same one to everybody.
// The caller holds h.mu.
func (h *Host) throttle(key store.Key) *throttle {
	t, ok := h.throttles[key]
	if !ok {
		t = &throttle{host: h, key: key}
		h.throttles[key] = t
	}
	return t
}

// AskedToWait implements connector.Throttle, for API calls.
func (t *throttle) AskedToWait(d time.Duration) {
	d = min(d, connectorhttp.MaxRetryAfter)
	if !t.extend(&t.api, d) {
		return
	}
	t.count(&t.learnt)
	t.host.tellPause()
	if t.host.begin() != nil {
		return
	}
	go func() {
		defer t.host.work.Done()
		t.publish(context.Background(), store.Waits{API: d})
	}()
}

// Pause implements connector.Throttle, for API calls.
func (t *throttle) Pause() time.Duration { return t.left(&t.api) }

// refresh reads the store's waits, unless they were read less than age ago.
func (t *throttle) refresh(ctx context.Context, age time.Duration) {
	shared, ok := t.host.store.(store.Throttle)
	if !ok {
		return
	}
	t.mu.Lock()
	now := t.host.elapsed()
	fresh := t.looked != 0 && now-t.looked < age
	if !fresh {
		t.looked = max(now, 1)
	}
	learnt, all := t.learnt, t.learnt == t.told
	t.mu.Unlock()
	if fresh {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, waitsWithin)
	defer cancel()
	w, err := shared.Waits(ctx, t.key)
	if err != nil {
		t.host.log.WarnContext(ctx, "whether a service asked to wait isn't known", "connection", t.key.Connection, "error", err)
		return
	}
	if t.take(w, all, learnt) {
		t.host.tellPause()
	}
}

// take believes the store, or adds to it what it doesn't know, and reports
// whether API calls have to wait for longer.
func (t *throttle) take(w store.Waits, all bool, learnt int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if all && t.learnt == learnt && w == (store.Waits{}) {
		t.end() // over, or ended by another host
		return false
	}
	t.extend(&t.token, min(w.Token, connectorhttp.MaxRetryAfter))
	return t.extend(&t.api, min(w.API, connectorhttp.MaxRetryAfter))
}

// forget ends the waits: they were those of a service that the connection
// doesn't use any more.
func (t *throttle) forget(ctx context.Context) {
	t.mu.Lock()
	t.end()
	t.mu.Unlock()
	shared, ok := t.host.store.(store.Throttle)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), waitsWithin)
	defer cancel()
	if err := shared.EndWaits(ctx, t.key); err != nil {
		t.host.log.WarnContext(ctx, "a wait that is over isn't ended for other hosts", "connection", t.key.Connection, "error", err)
	}
}

func (t *throttle) end() {
	t.api.Store(0)
	t.token.Store(0)
	t.failure = nil
}

func (t *throttle) count(n *int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*n++
}

// publish tells the other hosts of a wait.
func (t *throttle) publish(ctx context.Context, w store.Waits) {
	shared, ok := t.host.store.(store.Throttle)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), waitsWithin)
	defer cancel()
	if err := shared.ExtendWaits(ctx, t.key, w); err != nil {
		t.host.log.WarnContext(ctx, "other hosts don't learn that a service asked to wait", "connection", t.key.Connection, "error", err)
		return
	}
	t.count(&t.told)
}

// extend lets a wait last for d from now, and reports whether that is notably
// longer than it did.
func (t *throttle) extend(end *atomic.Int64, d time.Duration) bool {
	if d <= 0 {
		return false
	}
	until := int64(t.host.elapsed() + d)
	for {
		old := end.Load()
		if old >= until {
			return false
		}
		if end.CompareAndSwap(old, until) {
			return until-old > int64(waitsGain)
		}
	}
}

func (t *throttle) left(end *atomic.Int64) time.Duration {
	return max(0, time.Duration(end.Load())-t.host.elapsed())
}

// spared fails while the service doesn't want token requests, as far as the
// store knows.
func (t *throttle) spared(ctx context.Context) error {
	t.refresh(ctx, 0)
	return t.tooEarly(ctx)
}

// tooEarly is spared without a look at the store, unless this host knows of a
// wait: that may have been ended by another one. It fails with what the service
// answered to the last request, if that was this host's.
func (t *throttle) tooEarly(ctx context.Context) error {
	left := t.left(&t.token)
	if left > 0 {
		t.refresh(ctx, waitsFresh)
		left = t.left(&t.token)
	}
	if left <= 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failure != nil {
		return t.failure.After(left)
	}
	return connectorhttp.MustWait(left)
}

// learn keeps what the outcome of a token request says of the next one. The
// store knows it when learn returns, so that whoever gets the lease then sees
// it.
func (t *throttle) learn(ctx context.Context, err error) {
	d := connector.Diagnose(err, connector.OriginHost)
	asked := d != nil && d.Origin != connector.OriginHost && d.Disposition == connector.Retry && d.RetryAfter > 0
	t.mu.Lock()
	t.failure = nil
	if asked {
		t.failure = d
	}
	t.mu.Unlock()
	if !asked {
		return
	}
	wait := min(d.RetryAfter, connectorhttp.MaxRetryAfter)
	if t.extend(&t.token, wait) {
		t.count(&t.learnt)
		t.publish(ctx, store.Waits{Token: wait})
	}
}
