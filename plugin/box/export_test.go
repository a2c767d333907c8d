package box

import "time"

// WithClock gives the connector another clock.
func WithClock(now func() time.Time) Option {
	return optionFunc(func(c *Connector) { c.now = now })
}
