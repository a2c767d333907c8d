package host

import (
	"context"
	"errors"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// errCleared says that somebody else has done it.
var errCleared = errors.New("the credential before this one is gone")

// clear makes access ready to leave the host. From its first use on the service
// may take the credential before it for spent, so by then its own must be
// durable, and the one before it dropped, durably too. It fails with errMoved if
// the record holds another credential by now; after any other failure the access
// isn't handed out, and the next call tries again.
func (l *life) clear(ctx context.Context, h *handout) error {
	if !h.fresh.Load() {
		return nil
	}
	done := l.clearing.DoChan("", func() (any, error) {
		if err := l.host.begin(); err != nil {
			return h, err
		}
		defer l.host.work.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitWithin)
		defer cancel()
		return h, l.clearOnce(ctx, h)
	})
	select {
	case res := <-done:
		if res.Val != any(h) {
			return errMoved // it was about another one
		}
		return res.Err
	case <-ctx.Done():
		return gaveUp(ctx)
	}
}

func (l *life) clearOnce(ctx context.Context, h *handout) error {
	if !h.confirmed.Load() {
		// Somebody else wrote the credential, and may not have heard that it is
		// durable. A write that is confirmed says so of all before it.
		if err := l.touch(ctx, h, func(*store.Record) {}); err != nil {
			return err
		}
		h.confirmed.Store(true)
	}
	// Whoever finds the older one dropped knows that this one is durable.
	err := l.touch(ctx, h, func(r *store.Record) {
		delete(r.Sealed, store.FieldPrevious)
		h.dropped.Store(true)
	})
	if err == nil {
		h.fresh.Store(false)
	}
	return err
}

// touch changes the record if it is still that of h and isn't cleared yet.
func (l *life) touch(ctx context.Context, h *handout, change func(*store.Record)) error {
	_, err := l.host.update(ctx, l.key.credential, func(r *store.Record) error {
		if r.Generation != h.access.Generation {
			return errMoved
		}
		if len(r.Sealed[store.FieldPrevious]) == 0 && !h.dropped.Load() {
			return errCleared
		}
		change(r)
		return nil
	})
	switch {
	case errors.Is(err, errCleared):
		return nil
	case is(err, connector.ConnectionChanged):
		return errMoved
	}
	return err
}
