package host_test

import (
	"fmt"
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
