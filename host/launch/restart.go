package launch

import (
	"time"

	"github.com/boxconnection/connector/proto/connector"
)

// maxDoublings bounds the back-off at 16 times its first value.
const maxDoublings = 4

// crashes remembers when a plugin's process died or failed to start, and
// decides when it may be started again. Its owner guards it.
type crashes struct {
	limit   int
	window  time.Duration
	backoff time.Duration

	at   []time.Time // within the window, oldest first
	last *connector.Diagnostic
}

// add records a crash.
func (c *crashes) add(now time.Time, why *connector.Diagnostic) {
	c.at = append(c.at, now)
	c.last = why
}

// next returns how long to wait before the next start; ok is false if there
// were too many crashes, and then the wait is until the limit lifts.
func (c *crashes) next(now time.Time) (wait time.Duration, ok bool) {
	for len(c.at) > 0 && now.Sub(c.at[0]) >= c.window {
		c.at = c.at[1:]
	}
	n := len(c.at)
	switch {
	case n >= c.limit:
		return c.at[n-c.limit].Add(c.window).Sub(now), false
	case n < 2:
		return 0, true
	}
	delay := c.backoff << min(n-2, maxDoublings)
	return max(0, c.at[n-1].Add(delay).Sub(now)), true
}
