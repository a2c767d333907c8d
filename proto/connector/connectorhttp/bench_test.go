package connectorhttp_test

import (
	"context"
	"io"
	"math"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

// BenchmarkTransport compares a request through the transport with the same
// request with a fixed header, in turns, so that the machine's moods meet
// both. It reports the median of the ratios, its 95 % interval by order
// statistics, and the median of the added microseconds. The aim is a ratio of
// 1.05 or 5 µs.
func BenchmarkTransport(b *testing.B) {
	s, base := serve(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":"0"}`) })
	fixed := http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer t1")
		return base.RoundTrip(r)
	})}
	ours := connectorhttp.NewClient(&quiet{newSource(s.URL + "/2.0")}, base)
	once := func(c *http.Client) time.Duration {
		const calls = 400
		start := time.Now()
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
		return time.Since(start) / calls
	}
	once(&fixed)
	once(ours)
	var ratios, added []float64
	for i := 0; b.Loop() || i < 10; i++ {
		var first, second time.Duration
		if i%2 == 0 {
			first, second = once(&fixed), once(ours)
		} else {
			second, first = once(ours), once(&fixed)
		}
		ratios = append(ratios, float64(second)/float64(first))
		added = append(added, float64(second-first)/1e3)
	}
	slices.Sort(ratios)
	slices.Sort(added)
	n := len(ratios)
	half := int(math.Ceil(0.98 * math.Sqrt(float64(n))))
	b.ReportMetric(ratios[n/2], "ratio")
	b.ReportMetric(ratios[max(0, n/2-half)], "ratio-low")
	b.ReportMetric(ratios[min(n-1, n/2+half)], "ratio-high")
	b.ReportMetric(added[n/2], "added-µs")
}

// quiet is a source that keeps no record of what it was asked.
type quiet struct{ of *source }

func (q *quiet) Access(ctx context.Context, req connector.AccessRequest) (*connector.Access, error) {
	if a := q.of.made; a != nil {
		return a, nil
	}
	return q.of.Access(ctx, req)
}
