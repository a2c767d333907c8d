package boxsim

import (
	"fmt"
	"sync"
	"time"
)

// Duration is a time.Duration that travels in JSON as Go writes it, for
// example "30s" or "1h30m".
type Duration time.Duration

// MarshalText returns the duration as Go writes it.
func (d Duration) MarshalText() ([]byte, error) {
	return []byte(time.Duration(d).String()), nil
}

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("a duration such as \"30s\": %w", err)
	}
	*d = Duration(v)
	return nil
}

// maxOffset bounds the clock to years that RFC 3339 can write.
const maxOffset = 100 * 365 * 24 * time.Hour

// clock is the emulator's time: the machine's, moved by an offset.
type clock struct {
	base func() time.Time

	mu     sync.Mutex
	offset time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base().Add(c.offset)
}

func (c *clock) advance(d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d > maxOffset || d < -maxOffset || (c.offset+d).Abs() > maxOffset {
		return fmt.Errorf("the clock can't be moved further than %d years", maxOffset/(365*24*time.Hour))
	}
	c.offset += d
	return nil
}

func (c *clock) read() Clock {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Clock{Now: c.base().Add(c.offset), Offset: Duration(c.offset)}
}

// Clock is the emulator's time and how far it is from the machine's.
type Clock struct {
	Now    time.Time `json:"now"`
	Offset Duration  `json:"offset"`
}
