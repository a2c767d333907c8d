package connectorhttp

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/boxconnection/connector/proto/connector"
)

const (
	// patience is the longest that one request waits, all in all, for a
	// service that asks it to.
	patience = time.Minute

	// maxTries bounds how often one request is sent because the service asked
	// to wait.
	maxTries = 5

	// firstWait is the wait where the service names none; it doubles.
	firstWait = time.Second
)

// waits are the waits of one request.
type waits struct {
	throttle connector.Throttle // nil if the request's callers share none
	tries    int
	spent    time.Duration
}

// before waits as long as another caller was asked to, if that is within the
// request's patience and deadline. If it isn't, it fails at once with
// [MustWait]: to ask a service that doesn't want to be asked makes it wait
// longer.
func (w *waits) before(req *http.Request) error {
	if w.throttle == nil {
		return nil
	}
	for {
		pause := w.throttle.Pause()
		if pause <= 0 {
			return nil
		}
		if w.spent+pause > patience || beyondDeadline(req, pause) {
			return MustWait(pause)
		}
		w.spent += pause
		if err := sleep(req.Context(), pause); err != nil {
			return err
		}
	}
}

// MustWait is the diagnostic of a request that isn't sent, because the service
// has asked its connection to wait for longer than the request can:
// connector.RateLimited, to be tried again after that time.
func MustWait(d time.Duration) *connector.Diagnostic {
	return connector.Errorf(connector.RateLimited, connector.OriginService,
		"The service has asked this connection to wait until %s, and nothing was sent.", time.Now().Add(d).UTC().Format(time.RFC3339)).
		With(connector.Retry).After(d).Suggest("Try again after that time.")
}

// next returns how long to wait before the request is sent again, at least as
// long as the service asks for and with some jitter on top, so that many
// callers don't come back at once. It reports false if the answer asks for no
// wait, or for more than the request has left.
func (w *waits) next(req *http.Request, resp *http.Response) (time.Duration, bool) {
	asked := RetryAfter(resp.Header, time.Now())
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
	case resp.StatusCode == http.StatusServiceUnavailable && asked > 0 && repeatable(req.Method):
	default:
		return 0, false
	}
	delay := max(asked, firstWait<<w.tries)
	if w.throttle != nil {
		w.throttle.AskedToWait(delay)
	}
	delay += rand.N(delay/4 + 1)
	w.tries++
	w.spent += delay
	if w.tries == maxTries || w.spent > patience {
		return 0, false
	}
	return delay, !beyondDeadline(req, delay)
}

func beyondDeadline(req *http.Request, delay time.Duration) bool {
	deadline, ok := req.Context().Deadline()
	return ok && time.Until(deadline) <= delay
}

// repeatable reports whether sending a request twice does no harm (RFC 9110,
// section 9.2.2). An answer of 503 may come after the work was done.
func repeatable(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// sleep waits, or fails with the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
