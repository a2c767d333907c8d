package filestore

import (
	"sync"
	"time"
)

// heldBack is the step of the machine's clock that isn't followed: what a time
// service corrects. A longer one mends a clock that was wrong, and must be
// followed, or leases from the wrong time would never end.
const heldBack = time.Minute

// clock is the machine's, but doesn't run back by small steps.
type clock struct {
	mu   sync.Mutex
	last time.Time
}

func (c *clock) now() time.Time {
	// Round strips the monotonic reading: other processes compare these times.
	return c.at(time.Now().UTC().Round(0))
}

func (c *clock) at(now time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if back := c.last.Sub(now); back > 0 && back < heldBack {
		return c.last
	}
	c.last = now
	return now
}
