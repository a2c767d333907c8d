package storetest

import (
	"sync"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

var throttleTests = []test{
	{"a wait is seen by everybody and only grows", testWaits},
	{"a wait ends by itself", testThrottleEnds},
	{"waits that are learnt together keep the longest", testWaitsTogether},
}

// throttle returns a handle's waits; a store without any leaves the tests out.
func throttle(t testing.TB, s store.Store) store.Throttle {
	t.Helper()
	th, ok := s.(store.Throttle)
	if !ok {
		t.Skip("the store keeps no waits")
	}
	return th
}

func waits(t testing.TB, th store.Throttle, k store.Key) store.Waits {
	t.Helper()
	w, err := th.Waits(t.Context(), k)
	if err != nil {
		t.Fatalf("Waits(%v): %v", k, err)
	}
	return w
}

func extend(t testing.TB, th store.Throttle, k store.Key, w store.Waits) {
	t.Helper()
	if err := th.ExtendWaits(t.Context(), k, w); err != nil {
		t.Fatalf("ExtendWaits(%v, %v): %v", k, w, err)
	}
}

// within fails the test unless got is at most want and not much less.
func within(t testing.TB, what string, got, want time.Duration) {
	t.Helper()
	if got > want || got < want-patience {
		t.Errorf("%s: %v left, want %v", what, got, want)
	}
}

func testWaits(t *testing.T, p *place) {
	one, other := throttle(t, p.open(t)), throttle(t, p.open(t))
	if w := waits(t, one, key("a")); w != (store.Waits{}) {
		t.Fatalf("a connection that nobody knows waits %v", w)
	}
	extend(t, one, key("a"), store.Waits{API: time.Hour})
	extend(t, other, key("a"), store.Waits{API: time.Minute, Token: 2 * time.Hour})
	extend(t, one, key("a"), store.Waits{})
	extend(t, one, key("a"), store.Waits{Token: -time.Hour})
	for _, th := range []store.Throttle{one, other, throttle(t, p.open(t))} {
		w := waits(t, th, key("a"))
		within(t, "API", w.API, time.Hour)
		within(t, "token", w.Token, 2*time.Hour)
	}
	if err := other.EndWaits(t.Context(), key("a")); err != nil {
		t.Fatalf("EndWaits: %v", err)
	}
	if w := waits(t, one, key("a")); w != (store.Waits{}) {
		t.Errorf("after its end the wait is %v", w)
	}
	if err := one.EndWaits(t.Context(), key("never")); err != nil {
		t.Errorf("EndWaits of none: %v", err)
	}
	extend(t, one, key("a"), store.Waits{API: time.Hour})
	elsewhere := key("a")
	elsewhere.Environment = "test"
	for _, k := range []store.Key{key("b"), elsewhere} {
		if w := waits(t, one, k); w != (store.Waits{}) {
			t.Errorf("%v waits %v", k, w)
		}
	}
	_, err := one.Waits(t.Context(), store.Key{Owner: "local"})
	wantCode(t, "Waits without a key", err, connector.UsageWrong)
	wantCode(t, "ExtendWaits without a key", one.ExtendWaits(t.Context(), store.Key{Owner: "local"}, store.Waits{API: 1}), connector.UsageWrong)
}

func testThrottleEnds(t *testing.T, p *place) {
	s := p.open(t)
	th := throttle(t, s)
	extend(t, th, key("a"), store.Waits{API: 50 * time.Millisecond, Token: time.Hour})
	eventually(t, "the end of a wait", func() bool { return waits(t, th, key("a")).API == 0 })
	within(t, "token", waits(t, th, key("a")).Token, time.Hour)
}

func testWaitsTogether(t *testing.T, p *place) {
	one, other := throttle(t, p.open(t)), throttle(t, p.open(t))
	var all sync.WaitGroup
	for i := range 16 {
		th := one
		if i%2 == 0 {
			th = other
		}
		all.Go(func() {
			if err := th.ExtendWaits(t.Context(), key("a"), store.Waits{API: time.Duration(i+1) * time.Hour}); err != nil {
				t.Errorf("ExtendWaits: %v", err)
			}
		})
	}
	all.Wait()
	within(t, "API", waits(t, one, key("a")).API, 16*time.Hour)
}
