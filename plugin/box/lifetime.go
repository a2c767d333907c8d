package box

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	// refreshLifetime is how long a Box refresh token lasts without use.
	refreshLifetime = 60 * 24 * time.Hour
	// renewMargin is the least time before expiry at which a renewal is due;
	// for long lifetimes it is 5 %.
	renewMargin = 3 * time.Minute
	// maxLifetime caps what a service may claim, so that no time overflows.
	maxLifetime = 10 * 365 * 24 * time.Hour
	// minRenewInterval is how long a token rests whose service calls it expired
	// already.
	minRenewInterval = time.Minute
)

// lifetime reads expires_in as services write it: a number, a number in
// quotes, with a fraction or an exponent, and far too large. Box's own values
// lie above 3600. It returns zero if the service doesn't tell (absent, null,
// or nothing that is a number), and a negative value if it says that the token
// has expired already.
func lifetime(raw json.RawMessage) time.Duration {
	text := strings.TrimSpace(string(raw))
	var quoted string
	if json.Unmarshal(raw, &quoted) == nil {
		text = strings.TrimSpace(quoted)
	}
	seconds, err := strconv.ParseFloat(text, 64)
	switch {
	case math.IsInf(seconds, 1):
		return maxLifetime // beyond float64, which ParseFloat reports as an error too
	case err != nil || math.IsNaN(seconds):
		return 0
	case seconds <= 0:
		return -1
	case seconds >= maxLifetime.Seconds():
		return maxLifetime
	}
	return time.Duration(seconds * float64(time.Second))
}

// expiry returns when a token that was requested at issued ends, and when its
// renewal is due.
//
// A token of unknown lifetime has neither: it is used until it is refused. One
// that is said to have expired already counts as unknown too, since a service
// that means it would not have issued it; its renewal is due after
// minRenewInterval, which makes no loop of it.
func expiry(issued time.Time, life time.Duration) (expiresAt, renewAt time.Time) {
	switch {
	case life == 0:
		return time.Time{}, time.Time{}
	case life < 0:
		return time.Time{}, issued.Add(minRenewInterval)
	}
	return issued.Add(life), issued.Add(renewAfter(life))
}

// renewAfter is the age at which a token of this lifetime is renewed: 5 % and
// at least renewMargin before its end, but never in the first three quarters
// of its life. A token whose life is shorter than the margin would otherwise
// be renewed as soon as it is there, for ever.
func renewAfter(life time.Duration) time.Duration {
	return max(life-max(renewMargin, life/20), life/4*3)
}
