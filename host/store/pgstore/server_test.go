package pgstore_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/host/store/pgstore/pgtest"
)

// The server is killed under many writers, several times. Each record is then
// what its last acknowledged write made of it, or what the next one, whose
// answer was lost, did; and the same handles serve again without being told.
func TestServerCrashes(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgtest.WithFsync())
	if err := s.Prepare(t.Context(), prepare); err != nil {
		t.Fatal(err)
	}
	st := openStore(t, s.Database(t))
	const writers, crashes = 4, 3
	keys := make([]store.Key, writers)
	acknowledged := make([]atomic.Uint64, writers)
	for i := range keys {
		keys[i] = store.Key{Owner: "o", Connection: string(rune('a' + i)), Environment: "e"}
		if err := st.Create(t.Context(), &store.Record{Key: keys[i], State: store.StateSaved, Name: keys[i].Connection}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for i := range keys {
		work.Go(func() {
			for ctx.Err() == nil {
				if r, ok := bump(ctx, st, keys[i]); ok {
					acknowledged[i].Store(r.Generation)
				}
			}
		})
	}
	for range crashes {
		before := acknowledged[0].Load()
		waitFor(t, func() bool { return acknowledged[0].Load() > before+20 })
		if err := s.Crash(); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	last := acknowledged[0].Load()
	waitFor(t, func() bool { return acknowledged[0].Load() > last })
	stop()
	work.Wait()
	for i, key := range keys {
		r, err := st.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if ack := acknowledged[i].Load(); r.Generation < ack || r.Generation > ack+1 {
			t.Errorf("record %s is at generation %d, the last acknowledged write made it %d", key.Connection, r.Generation, ack)
		}
	}
}

// bump makes a record's next generation.
func bump(ctx context.Context, s *pgstore.Store, key store.Key) (*store.Record, bool) {
	r, err := s.Get(ctx, key)
	if err != nil {
		return nil, false
	}
	r.Generation++
	if err := s.Update(context.WithoutCancel(ctx), r); err != nil {
		return nil, false
	}
	return r, true
}

// waitFor waits for something that another goroutine brings about.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it never came about")
		}
	}
}
