package host_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/boxconnection/connector/proto/benchtest"
)

// BenchmarkAccessFromCache compares a connection's TokenSource with x/oauth2's
// ReuseTokenSource, which is the least that a Go program has today.
func BenchmarkAccessFromCache(b *testing.B) {
	r := newRig(b, newPlace(b), newService())
	ours := r.ready("sales").TokenSource(b.Context())
	first, err := ours.Token()
	if err != nil {
		b.Fatal(err)
	}
	theirs := oauth2.ReuseTokenSource(first, nil)
	const each = 20_000
	for _, c := range []struct {
		goroutines int
		bound      float64
	}{{1, 1.25}, {64, 1}} {
		b.Run(fmt.Sprintf("goroutines=%d", c.goroutines), func(b *testing.B) {
			benchtest.Compare(b, benchtest.Bound{Ratio: c.bound}, each*c.goroutines,
				func() time.Duration { return ask(b, theirs, each, c.goroutines) },
				func() time.Duration { return ask(b, ours, each, c.goroutines) })
		})
	}
}

// ask takes so many tokens in each of several goroutines.
func ask(b *testing.B, ts oauth2.TokenSource, each, goroutines int) time.Duration {
	var wg sync.WaitGroup
	began := time.Now()
	for range goroutines {
		wg.Go(func() {
			for range each {
				if t, err := ts.Token(); err != nil || t.AccessToken == "" {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

// BenchmarkHTTPClient compares an API request through a connection's client
// with one through net/http with a fixed header.
func BenchmarkHTTPClient(b *testing.B) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":"0"}`) }))
	b.Cleanup(api.Close)
	svc := newService()
	svc.endpoint = api.URL
	r := newRig(b, newPlace(b), svc)
	ours, err := r.ready("sales").HTTPClient(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	theirs := &http.Client{Transport: fixedHeader{http.DefaultTransport.(*http.Transport).Clone()}}
	b.Cleanup(func() {
		ours.CloseIdleConnections()
		theirs.CloseIdleConnections()
	})
	const calls = 400
	benchtest.Compare(b, benchtest.Bound{Ratio: 1.05, Added: 5 * time.Microsecond}, calls,
		func() time.Duration { return get(b, theirs, api.URL+"/users/me", calls) },
		func() time.Duration { return get(b, ours, api.URL+"/users/me", calls) })
}

// fixedHeader authorises requests with a header that never changes.
type fixedHeader struct{ *http.Transport }

func (f fixedHeader) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer access-1")
	return f.Transport.RoundTrip(req)
}

func get(b *testing.B, c *http.Client, url string, calls int) time.Duration {
	began := time.Now()
	for range calls {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, http.NoBody)
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
