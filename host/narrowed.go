package host

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/boxconnection/connector/proto/connector"
)

// maxNarrowed is how many narrowed accesses of one credential are kept.
const maxNarrowed = 1024

// narrowedMargin is how long a narrowed access must last to be handed out
// again.
const narrowedMargin = 30 * time.Second

// narrowed keeps the narrowed accesses of one credential, by what they are
// narrowed to. Each belongs to the generation of its parent and ends with it.
type narrowed struct {
	flight singleflight.Group

	mu   sync.Mutex
	kept map[string]narrowAccess
}

// narrowAccess is a narrowed access and its end on the host's elapsed time,
// zero for unknown.
type narrowAccess struct {
	access *connector.Access
	ends   time.Duration
}

func narrowKey(scopes []string, resource string) string {
	return strings.Join(scopes, " ") + "\n" + resource
}

// get returns what is kept for a generation, if it still lasts for validity.
func (n *narrowed) get(key string, generation uint64, now, validity time.Duration) (narrowAccess, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, ok := n.kept[key]
	if !ok || a.access.Generation != generation || a.ends != 0 && a.ends-now <= max(validity, narrowedMargin) {
		return narrowAccess{}, false
	}
	return a, true
}

func (n *narrowed) put(key string, a narrowAccess) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.kept == nil || len(n.kept) >= maxNarrowed {
		n.kept = map[string]narrowAccess{}
	}
	n.kept[key] = a
}

// narrow returns access narrowed from full, from memory or by asking the
// connector, once for all who ask for the same.
func (l *life) narrow(ctx context.Context, c *Connection, full *handout, scopes []string, resource string, validity time.Duration) (narrowAccess, error) {
	key := narrowKey(scopes, resource)
	if a, ok := l.narrowed.get(key, full.access.Generation, l.host.elapsed(), validity); ok {
		return a, nil
	}
	landed := l.narrowed.flight.DoChan(key, func() (any, error) {
		if err := l.host.begin(); err != nil {
			return nil, err
		}
		defer l.host.work.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
		defer cancel()
		at := l.host.elapsed()
		access, err := c.narrowFrom(ctx, full.access, scopes, resource)
		if err != nil {
			return nil, err
		}
		a := narrowAccess{access: access, ends: full.ends}
		if !access.ExpiresAt.IsZero() && !access.IssuedAt.IsZero() {
			ends := max(at+access.ExpiresAt.Sub(access.IssuedAt), 1)
			if a.ends == 0 || ends < a.ends {
				a.ends = ends
			}
		}
		l.narrowed.put(key, a)
		return a, nil
	})
	select {
	case res := <-landed:
		if res.Err != nil {
			return narrowAccess{}, res.Err
		}
		return res.Val.(narrowAccess), nil
	case <-ctx.Done():
		return narrowAccess{}, gaveUp(ctx)
	}
}
