package launch

import (
	"testing"
	"time"
)

func TestCrashesDecideWhenToStart(t *testing.T) {
	t.Parallel()
	c := crashes{limit: 5, window: time.Minute, backoff: 100 * time.Millisecond}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for n, want := range []time.Duration{0, 0, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond} {
		if wait, ok := c.next(now); !ok || wait != want {
			t.Errorf("after %d crashes: %v, %v", n, wait, ok)
		}
		c.add(now, nil)
	}
	if wait, ok := c.next(now.Add(time.Second)); ok || wait != 59*time.Second {
		t.Errorf("at the limit: %v, %v", wait, ok)
	}
	if wait, ok := c.next(now.Add(time.Minute)); !ok || wait != 0 {
		t.Errorf("after the window: %v, %v", wait, ok)
	}
	// The wait counts from the last crash and doesn't grow for ever.
	long := crashes{limit: 100, window: time.Minute, backoff: 100 * time.Millisecond}
	for range 50 {
		long.add(now, nil)
	}
	if wait, ok := long.next(now.Add(time.Second)); !ok || wait != 600*time.Millisecond {
		t.Errorf("after many crashes: %v, %v", wait, ok)
	}
}
