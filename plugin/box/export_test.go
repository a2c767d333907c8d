package box

import (
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
)

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

// Invalid returns what settings break, whoever checked them before.
func Invalid(raw plugin.Settings) connector.Diagnostics {
	s, err := decode(raw)
	if err != nil {
		return connector.Diagnostics{connector.Diagnose(err, connector.OriginSettings)}
	}
	return s.invalid()
}
