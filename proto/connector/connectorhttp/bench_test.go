package connectorhttp_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/boxconnection/connector/proto/benchtest"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

// BenchmarkTransport compares a request through the transport with the same
// request with a fixed header.
func BenchmarkTransport(b *testing.B) {
	s, base := serve(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":"0"}`) })
	fixed := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer t1")
		return base.RoundTrip(r)
	})}
	ours := connectorhttp.NewClient(&quiet{newSource(s.URL + "/2.0")}, base)
	const calls = 400
	run := func(c *http.Client) time.Duration {
		began := time.Now()
		for range calls {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.URL+"/2.0/folders/0", nil)
			if err != nil {
				b.Fatal(err)
			}
			resp, err := c.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		return time.Since(began)
	}
	benchtest.Compare(b, benchtest.Bound{Ratio: 1.05, Added: 5 * time.Microsecond}, calls,
		func() time.Duration { return run(fixed) }, func() time.Duration { return run(ours) })
}

// quiet is a source that keeps no record of what it was asked.
type quiet struct{ of *source }

func (q *quiet) Access(ctx context.Context, req connector.AccessRequest) (*connector.Access, error) {
	if a := q.of.made; a != nil {
		return a, nil
	}
	return q.of.Access(ctx, req)
}
