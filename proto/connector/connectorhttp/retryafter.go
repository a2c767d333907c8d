package connectorhttp

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter caps the wait that a service may ask for.
const MaxRetryAfter = time.Hour

// RetryAfter reads Retry-After as seconds or as a date (RFC 9110, section
// 10.2.3), which is compared with the service's own Date, or with now without
// one. Zero means that the service asks for no wait, or in no way that can be
// read.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseFloat(value, 64); err == nil && !math.IsNaN(seconds) {
		if seconds >= MaxRetryAfter.Seconds() {
			return MaxRetryAfter
		}
		return max(0, time.Duration(seconds*float64(time.Second)))
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if served, err := http.ParseTime(h.Get("Date")); err == nil {
		now = served
	}
	return min(max(0, at.Sub(now)), MaxRetryAfter)
}
