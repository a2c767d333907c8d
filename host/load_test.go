package host_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/store"
)

// However many connections are worked on at the same time, their connector is
// loaded once: each load is a process.
func TestConnectorIsLoadedOnce(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	const n = 30
	for i := range n {
		r.ready(nameOf(i))
	}
	st, err := p.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	later := &clocked{Store: st}
	later.advance(50 * day)
	var loads atomic.Int64
	var h *host.Host
	h, err = host.Open(later, p.keys, p.audit, host.WithLoader(func(ctx context.Context, _ host.Info) (*host.Connector, error) {
		loads.Add(1)
		return h.Load(ctx, r.plugin)
	}))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := h.KeepAlive(t.Context(), n)
	if err != nil || sum != (host.KeptAlive{Renewed: n}) || loads.Load() != 1 {
		t.Errorf("%+v after %d loads, %v", sum, loads.Load(), err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

// A node keeps to its share of what the service takes.
func TestKeepAliveRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n, perSecond = 20, 5
		due := &dueStore{left: n}
		h, err := host.Open(due, open{}, &events{}, host.WithKeepAliveRate(perSecond))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Load(t.Context(), direct{}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := h.KeepAlive(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < (n-1)*time.Second/perSecond || took > (n+1)*time.Second/perSecond {
			t.Errorf("%d renewals took %s, want %d a second", n, took, perSecond)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// dueStore is a synthetic store of connections that are due once.
type dueStore struct {
	synthetic
	left int
}

func (s *dueStore) Due(context.Context, int) (keys []store.Key, err error) {
	for ; s.left > 0; s.left-- {
		keys = append(keys, store.Key{Owner: "local", Connection: nameOf(s.left), Environment: "default"})
	}
	return keys, nil
}

func (s *dueStore) Get(ctx context.Context, key store.Key) (*store.Record, error) {
	r, err := s.synthetic.Get(ctx, key)
	r.LapsesAt, r.RenewedAt = time.Now().Add(day), time.Now().Add(-50*day)
	r.DueAt = time.Now().Add(-time.Minute)
	return r, err
}

func (s *dueStore) Acquire(ctx context.Context, key store.Key, want store.LeaseRequest) (*store.Record, *store.Lease, error) {
	r, err := s.Get(ctx, key)
	r.Lease = &store.Lease{ID: "l", Holder: want.Holder, Intent: want.Intent, Generation: r.Generation, Until: time.Now().Add(want.For)}
	return r, nil, err
}

func (s *dueStore) Release(context.Context, store.Key, *store.Lease) error { return nil }

func nameOf(i int) string { return "c" + string(rune('a'+i/10)) + string(rune('a'+i%10)) }
