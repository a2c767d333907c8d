package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

var contextTests = []test{
	{"a call whose context ended does nothing", testCanceled},
	{"a wait ends with the context", testWaitEnds},
}

func testCanceled(t *testing.T, p *place) {
	s := p.open(t)
	r := acquire(t, s, create(t, s, saved("c", "n")).Key, time.Hour)
	d := create(t, s, draft("d"))
	f := flow(t, s, "f", time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	edited := get(t, s, d.Key)
	edited.Plugin = "edited"
	for what, call := range map[string]func() error{
		"Now":      func() error { _, err := s.Now(ctx); return err },
		"Get":      func() error { _, err := s.Get(ctx, r.Key); return err },
		"List":     func() error { _, err := s.List(ctx, store.Query{}); return err },
		"Create":   func() error { return s.Create(ctx, saved("new", "new")) },
		"Update":   func() error { return s.Update(ctx, edited) },
		"Delete":   func() error { return s.Delete(ctx, d.Key, d.Revision) },
		"Acquire":  func() error { _, _, err := s.Acquire(ctx, d.Key, request(time.Hour)); return err },
		"Commit":   func() error { _, err := s.Commit(ctx, r.Key, r.Lease, renew); return err },
		"Release":  func() error { return s.Release(ctx, r.Key, r.Lease) },
		"PutFlow":  func() error { return s.PutFlow(ctx, store.Flow{ID: "g", Key: r.Key, ExpiresAt: f.ExpiresAt}) },
		"PeekFlow": func() error { _, err := s.PeekFlow(ctx, "f"); return err },
		"TakeFlow": func() error { _, err := s.TakeFlow(ctx, "f"); return err },
		"Due":      func() error { _, err := s.Due(ctx, 1); return err },
	} {
		err := call()
		if _, ok := errors.AsType[*connector.Diagnostic](err); !ok || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got error %v, want a diagnostic that unwraps to %v", what, err, context.Canceled)
		}
	}
	if diff := cmp.Diff(r, get(t, s, r.Key)); diff != "" {
		t.Errorf("the connection changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"d", "c"}, connections(t, s, store.Query{})); diff != "" {
		t.Errorf("the list changed (-before +after):\n%s", diff)
	}
	if got := get(t, s, d.Key); got.Revision != d.Revision {
		t.Errorf("the draft is at revision %d", got.Revision)
	}
	if _, err := s.TakeFlow(t.Context(), "f"); err != nil {
		t.Errorf("the flow is gone: %v", err)
	}
}

// Somebody who takes long in the middle of a write must not hold up others
// beyond their deadlines, and they must not be told that nothing is there.
func testWaitEnds(t *testing.T, p *place) {
	s, other := p.open(t), p.open(t)
	r := acquire(t, s, create(t, s, saved("c", "n")).Key, time.Hour)
	inside, leave := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, err := s.Commit(context.WithoutCancel(t.Context()), r.Key, r.Lease, func(r *store.Record) error {
			close(inside)
			<-leave
			return renew(r)
		})
		done <- err
	}()
	<-inside
	for name, handle := range map[string]store.Store{"the same handle": s, "another handle": other} {
		if _, err := handle.Get(t.Context(), r.Key); err != nil {
			t.Errorf("%s: a reader was held up: %v", name, err)
		}
		mine := *r
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		start := time.Now()
		err := handle.Update(ctx, &mine)
		cancel()
		wantCode(t, name+": Update", err, connector.StoreBusy)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: the error doesn't unwrap to the context's: %v", name, err)
		}
		if took := time.Since(start); took > patience/2 {
			t.Errorf("%s: a wait of 200ms took %v", name, took)
		}
	}
	close(leave)
	if err := <-done; err != nil {
		t.Errorf("Commit: %v", err)
	}
	if got := get(t, other, r.Key); got.Generation != r.Generation+1 {
		t.Errorf("generation %d after the commit", got.Generation)
	}
}
