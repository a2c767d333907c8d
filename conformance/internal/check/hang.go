package check

import (
	"context"
	"time"

	"github.com/boxconnection/connector/conformance/internal/peer"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// Hanging is a call that waits for the service.
type Hanging struct {
	Cancel context.CancelFunc
	// Done gets the call's error.
	Done <-chan error
	mark int64
	t    *T
}

// Hang makes a call that waits for the service until the faults are removed:
// a connection test, which every connector can make.
func (t *T) Hang(c *Conn) *Hanging {
	mark := t.Mark()
	t.Do(t.Service().Fault(t.ctx, peer.Fault{On: peer.Any, Times: -1, Hold: true}))
	ctx, cancel := context.WithCancel(t.ctx)
	t.Cleanup(cancel)
	settings := t.Good()
	done := make(chan error, 1)
	go func() {
		stream, err := c.TestConnection(ctx, &connectorv1.TestConnectionRequest{Settings: settings})
		for err == nil {
			_, err = stream.Recv()
		}
		done <- err
	}()
	h := &Hanging{Cancel: cancel, Done: done, mark: mark, t: t}
	limit, stop := context.WithTimeout(t.ctx, CallLimit)
	defer stop()
	waiting := func(list []peer.Request) bool {
		for _, r := range list {
			if !r.Done {
				return true
			}
		}
		return false
	}
	if _, err := t.Service().Await(limit, mark, waiting); err != nil {
		t.Blockf("no call could be kept waiting: a connection test makes no request")
	}
	return h
}

// Gone reports whether the service sees within a limit that nobody waits for
// the answer any more.
func (h *Hanging) Gone(limit time.Duration) bool {
	return h.t.Eventually(limit, func() bool {
		list := h.t.Since(h.mark)
		for _, r := range list {
			if !r.Gone {
				return false
			}
		}
		return len(list) > 0
	})
}
