package box

import "time"

// WithClock gives the connector another clock.
func WithClock(now func() time.Time) Option {
	return optionFunc(func(c *Connector) { c.now = now })
}

// Remembered is the number of networks that the connector remembers.
func (c *Connector) Remembered() int {
	c.transports.mu.Lock()
	defer c.transports.mu.Unlock()
	return len(c.transports.recent)
}
