// Package benchtest measures one thing against another in the same run, so
// that the machine's moods meet both.
package benchtest

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// minRounds is the least number of rounds that a median is taken of.
const minRounds = 11

// Bound is what a comparison aims at: the median of the ratios, or, where
// Added isn't zero, instead of it the median of the added time.
type Bound struct {
	Ratio float64
	Added time.Duration
}

// Compare runs baseline and candidate in turns, each time in the other order,
// for at least minRounds rounds, and reports the median of the ratios of
// candidate to baseline with its 95 % interval by order statistics, and both
// medians. Each function does so many pieces of work and returns the time that
// they took together.
// The bound is told beside the result; a miss fails nothing, since machines
// are noisy.
func Compare(b *testing.B, bound Bound, pieces int, baseline, candidate func() time.Duration) {
	b.Helper()
	baseline()
	candidate()
	var ratios, added, bases, candidates []float64
	for i, looping := 0, true; ; i++ {
		if looping = looping && b.Loop(); !looping && i >= minRounds {
			break
		}
		var base, cand float64 // nanoseconds per piece
		if i%2 == 0 {
			base, cand = per(baseline(), pieces), per(candidate(), pieces)
		} else {
			cand, base = per(candidate(), pieces), per(baseline(), pieces)
		}
		ratios, added = append(ratios, cand/base), append(added, cand-base)
		bases, candidates = append(bases, base), append(candidates, cand)
	}
	low, ratio, high := interval(ratios)
	_, more, _ := interval(added)
	_, base, _ := interval(bases)
	_, cand, _ := interval(candidates)
	b.ReportMetric(0, "ns/op") // the rounds' own time says nothing
	b.ReportMetric(ratio, "ratio")
	b.ReportMetric(low, "ratio-low")
	b.ReportMetric(high, "ratio-high")
	met := ratio <= bound.Ratio || bound.Added > 0 && time.Duration(more) <= bound.Added
	text := fmt.Sprintf("at most %.2f", bound.Ratio)
	if bound.Added > 0 {
		text += fmt.Sprintf(" or %s added", bound.Added)
	}
	b.Logf("%s: %.3f (%.3f to %.3f), bound %s: %s; baseline %s, candidate %s, added %s, %d rounds",
		b.Name(), ratio, low, high, text, map[bool]string{true: "met", false: "MISSED"}[met],
		short(base), short(cand), short(more), len(ratios))
}

func per(total time.Duration, pieces int) float64 { return float64(total) / float64(pieces) }

// interval returns the median of values and the bounds of its 95 % interval.
func interval(values []float64) (low, median, high float64) {
	slices.Sort(values)
	n := len(values)
	half := int(math.Ceil(0.98 * math.Sqrt(float64(n))))
	return values[max(0, n/2-half)], values[n/2], values[min(n-1, n/2+half)]
}

// short writes nanoseconds with three digits.
func short(ns float64) string {
	unit, name := 1.0, "ns"
	for _, next := range []string{"µs", "ms", "s"} {
		if math.Abs(ns) < 1000*unit {
			break
		}
		unit, name = unit*1000, next
	}
	return fmt.Sprintf("%.3g %s", ns/unit, name)
}
