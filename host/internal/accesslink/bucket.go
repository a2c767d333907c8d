package accesslink

import (
	"sync"
	"time"
)

// bucket bounds how often something may be done: burst times at once, and then
// once in each interval. It is safe for concurrent use.
type bucket struct {
	burst    int
	interval time.Duration

	mu sync.Mutex
	// next is when the bucket would be full again.
	next time.Time
}

// take counts one in, or returns how long to wait for the next chance.
func (b *bucket) take(now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next.Before(now) {
		b.next = now
	}
	if over := b.next.Sub(now) - time.Duration(b.burst-1)*b.interval; over > 0 {
		return over
	}
	b.next = b.next.Add(b.interval)
	return 0
}
