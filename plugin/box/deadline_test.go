package box_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin/box"
	"github.com/boxconnection/connector/proto/connector"
)

func TestDeadlinePassedBeforeTheCall(t *testing.T) {
	t.Parallel()
	s := newService(t, saysJSON(200, goodPair))
	req := renewRequest(s.URL)
	req.Deadline = noon
	_, err := box.New(at(noon)).Open(t.Context(), req)
	wantDiagnostic(t, err, connector.DeadlinePassed, connector.Retry)
	if n := len(s.all()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// The deadline passes while the connection is being made: not even the
// request's headers leave.
func TestDeadlinePassesWhileConnecting(t *testing.T) {
	t.Parallel()
	s := startService(t, likeBox, (*httptest.Server).StartTLS)
	for _, slow := range []bool{false, true} {
		var late atomic.Bool
		p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			late.Store(slow) // the connection to the service begins only now
			tunnel(t, w, s.Listener.Addr().String())
		}))
		t.Cleanup(p.Close)
		c := box.New(box.WithClock(func() time.Time {
			if late.Load() {
				return noon.Add(2 * time.Minute)
			}
			return noon
		}))
		req := renewRequest("https://example.com")
		req.Network = connector.Network{ProxyURL: connector.NewSecret(p.URL), ExtraCAs: certificateOf(s)}
		_, err := c.Open(t.Context(), req)
		if !slow {
			if err != nil || len(s.all()) != 1 {
				t.Fatalf("in time: %d requests, %v", len(s.all()), err)
			}
			continue
		}
		wantDiagnostic(t, err, connector.DeadlinePassed, connector.Retry)
		if n := len(s.all()); n != 1 {
			t.Errorf("%d requests were sent after the deadline", n-1)
		}
	}
}
