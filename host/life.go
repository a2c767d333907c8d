package host

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	// recheck is how long access is handed out of memory before the store is
	// asked whether it still is the connection's. A deletion or a new sign-in
	// by another process is noticed within it.
	recheck = 5 * time.Second

	// flightTimeout bounds one flight: waiting for another holder's lease, and
	// a renewal with its retries.
	flightTimeout = 2 * time.Minute

	// maxFlights is how many flights one call takes part in before it gives up:
	// its own, and some of others that asked for less.
	maxFlights = 4
)

// lifeKey tells whose credential it is, and whose settings it is used with:
// the draft of a connection uses the connection's credential.
type lifeKey struct{ credential, settings store.Key }

// life is what this process knows of one credential: the access to hand out,
// and the one flight that renews it for everybody.
type life struct {
	host        *Host
	key         lifeKey
	connectorID string

	cached atomic.Pointer[handout]
	flight singleflight.Group
	// clearing makes access ready to be handed out, once for everybody.
	clearing singleflight.Group
	// waits is the credential's throttle.
	waits *throttle
	// narrowed are the accesses with fewer rights.
	narrowed narrowed

	// leaseID is the lease to ask for. Only the flight uses it.
	leaseID string

	mu sync.Mutex
	// unsaved is a renewed credential that the store didn't take yet.
	unsaved *unsaved
}

// handout is access with its times on this process's monotonic clock, as
// durations since the host was opened.
type handout struct {
	access *connector.Access
	token  *oauth2.Token
	// good is until when it is handed out without a thought.
	good atomic.Int64
	// ends is the end of the token's life, zero for unknown.
	ends time.Duration
	// renew is when a renewal is due, zero for not before the end.
	renew time.Duration
	// fresh is set until the access may leave the host: see clear. confirmed is
	// set once the store has confirmed its credential as durable, and dropped
	// once the one before it was dropped, be it not durably.
	fresh, confirmed, dropped atomic.Bool
	// won: this process renewed it, and nobody else.
	won atomic.Bool
}

// life returns the life of a key, the same one to everybody.
func (h *Host) life(key lifeKey, connectorID string) *life {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, ok := h.lives[key]
	if !ok {
		l = &life{host: h, key: key, connectorID: connectorID, waits: h.throttle(key.credential)}
		h.lives[key] = l
	}
	return l
}

// forget drops what this process knows of a key's credential or settings.
// Flights that are under way find out from the store.
func (h *Host) forget(key store.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, l := range h.lives {
		if k.credential == key || k.settings == key {
			l.cached.Store(nil)
			if k.credential != k.settings {
				delete(h.lives, k)
			}
		}
	}
}

// bury drops all that this process knows of a key that has ended.
func (h *Host) bury(key store.Key) {
	h.forget(key)
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.lives, lifeKey{key, key})
	delete(h.throttles, key)
}

// want is what a flight must bring.
type want struct {
	validity time.Duration
	// refused is the generation whose access the service refused, and stale
	// one that must be renewed whatever it looks like; zero for none.
	refused, stale uint64
}

// access answers from memory where it can, and else joins the flight.
func (l *life) access(ctx context.Context, req want) (*handout, error) {
	if h := l.cached.Load(); h != nil && h.serves(l.host.elapsed(), req) {
		return h, nil
	}
	return l.join(ctx, req)
}

// serves reports whether h answers req at a time.
func (h *handout) serves(now time.Duration, req want) bool {
	return int64(now) < h.good.Load() && !h.fresh.Load() && h.access.Generation >= req.refused && h.satisfies(now, req)
}

func (h *handout) satisfies(now time.Duration, req want) bool {
	g := h.access.Generation
	return (req.refused == 0 || req.refused != g) && (req.stale == 0 || req.stale != g) &&
		(h.ends == 0 || h.ends-now > req.validity)
}

// join waits for access to hand out.
func (l *life) join(ctx context.Context, req want) (*handout, error) {
	for range maxFlights {
		h, err := l.board(ctx, req)
		if err != nil {
			return nil, err
		}
		if err = l.clear(ctx, h); !errors.Is(err, errMoved) {
			return h, err
		}
		l.cached.CompareAndSwap(h, nil)
	}
	return nil, connector.Errorf(connector.StoreBusy, connector.OriginHost, "The connection's credential is being changed all the time.").
		With(connector.Retry).Suggest("Try again.")
}

// renewFrom renews the credential of this generation, unless it has moved on,
// and hands nothing out. It reports whether this process renewed it.
func (l *life) renewFrom(ctx context.Context, generation uint64) (won bool, err error) {
	h, err := l.board(ctx, want{stale: generation})
	return err == nil && h.won.Load(), err
}

// board waits for a flight that answers req, and starts it if there is none. A
// caller that goes away leaves the flight to the others.
func (l *life) board(ctx context.Context, req want) (*handout, error) {
	for range maxFlights {
		own := false
		landed := l.flight.DoChan("", func() (any, error) {
			own = true
			if err := l.host.begin(); err != nil {
				return nil, err
			}
			defer l.host.work.Done()
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
			defer cancel()
			return l.fly(ctx, req)
		})
		select {
		case res := <-landed:
			if res.Err != nil {
				return nil, res.Err
			}
			h := res.Val.(*handout)
			if own || h.satisfies(l.host.elapsed(), req) {
				return h, nil
			}
		case <-ctx.Done():
			if h := l.cached.Load(); h != nil && h.serves(l.host.elapsed(), req) {
				return h, nil
			}
			return nil, gaveUp(ctx)
		}
	}
	return nil, connector.Errorf(connector.AccessRefused, connector.OriginService, "The service refuses each access token that it has just given out.").
		Suggest("Wait some minutes. If it stays so, check the application's settings at the service.")
}

func gaveUp(ctx context.Context) error {
	code, what := connector.TimedOut, "in the time that the caller gave"
	if ctx.Err() == context.Canceled {
		code, what = connector.Canceled, "before the caller went away"
	}
	return connector.Errorf(code, connector.OriginHost, "The access wasn't ready %s.", what).
		With(connector.Retry).Suggest("The renewal goes on; ask again.").Because(context.Cause(ctx))
}

// keep caches access that was got when the store's clock read now and this
// process's read at.
func (l *life) keep(a *connector.Access, r *store.Record, now time.Time, at time.Duration) *handout {
	access := *a
	access.Generation = r.Generation
	h := &handout{access: &access}
	h.fresh.Store(len(r.Sealed[store.FieldPrevious]) > 0)
	wall := time.Now()
	if !a.ExpiresAt.IsZero() {
		h.ends = max(at+a.ExpiresAt.Sub(now), 1)
	}
	if !a.RenewAt.IsZero() {
		h.renew = max(at+a.RenewAt.Sub(now), 1)
	}
	h.token = &oauth2.Token{AccessToken: a.Token.Reveal(), TokenType: a.Type}
	if h.ends != 0 {
		h.token.Expiry = wall.Add(h.ends - l.host.elapsed())
	}
	h.trust(l.host.elapsed())
	l.cached.Store(h)
	return h
}

// trust lets h be handed out until the store has to be asked again, a renewal
// is due or the token ends.
func (h *handout) trust(now time.Duration) {
	until := now + recheck
	if h.renew != 0 {
		until = min(until, h.renew)
	}
	if h.ends != 0 {
		until = min(until, h.ends)
	}
	h.good.Store(int64(until))
}
