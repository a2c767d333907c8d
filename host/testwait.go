package host

import (
	"context"
	"time"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

const (
	// testPatience is how long a connection test waits, all in all, for a
	// service that asks it to.
	testPatience = time.Minute

	// testTries bounds how often it asks again because of that.
	testTries = 4
)

// testWaits are the waits of one connection test.
type testWaits struct {
	throttle *throttle
	left     time.Duration
	tries    int
}

// before waits until the service may be asked, or fails at once if the test
// hasn't the time.
func (w *testWaits) before(ctx context.Context, h *Host) error {
	for {
		pause := w.throttle.Pause()
		if pause <= 0 {
			return nil
		}
		if !w.affords(ctx, pause) {
			return connectorhttp.MustWait(pause)
		}
		w.left -= pause
		if err := h.sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// next reports whether the test waits and makes the check again, because all
// that it found is that the service doesn't want to be asked now.
func (w *testWaits) next(ctx context.Context, check *connector.Check) bool {
	d := check.Diagnostic
	if check.Status != connector.CheckFailed || d == nil || d.Disposition != connector.Retry || d.Code != connector.RateLimited && d.RetryAfter <= 0 {
		return false
	}
	pause := max(d.RetryAfter, time.Second<<w.tries)
	w.throttle.AskedToWait(pause)
	w.tries++
	return w.tries <= testTries && w.affords(ctx, pause)
}

func (w *testWaits) affords(ctx context.Context, pause time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return pause <= w.left && (!ok || time.Until(deadline) > pause)
}
