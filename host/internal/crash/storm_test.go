//go:build unix

package crash_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

// TestStorm: four processes with 2,500 callers each ask for access that has
// expired, in one instant, of a service that takes half a second. It sees one
// request, and every caller is served, the last one soon after the answer. The
// time is the median of three storms. Nothing runs beside it.
func TestStorm(t *testing.T) { //nolint:paralleltest // it measures
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			const (
				slow   = 500 * time.Millisecond
				within = slow*5/4 + 250*time.Millisecond
			)
			r := newTrial(t, p, boxsim.StrictSingleUse)
			r.order.Lease = 0
			r.signIn()
			if _, err := r.control.AddFault(t.Context(), boxsim.Fault{
				Match: boxsim.Match{GrantType: "refresh_token"}, Times: -1, Then: boxsim.Action{Delay: boxsim.Duration(slow)},
			}); err != nil {
				t.Fatal(err)
			}
			var last []time.Duration
			for generation := 2; generation <= 4; generation++ {
				last = append(last, r.storm(generation))
			}
			slices.Sort(last)
			t.Logf("the last callers were served after %v", last)
			if last[1] > within {
				t.Errorf("the last caller was served after %v, want %v", last[1], within)
			}
		})
	}
}

// storm returns when the last caller was served.
func (r *trial) storm(generation int) (last time.Duration) {
	const (
		processes = 4
		callers   = 2500
	)
	before, err := r.control.Last(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	r.order.Offset += 2 * time.Hour
	o := r.order
	o.Callers, o.Pauses = callers, []string{atStorm}
	workers := make([]*worker, processes)
	for i := range workers {
		workers[i] = r.launch(o)
	}
	for _, w := range workers {
		if !w.reaches(atStorm) {
			r.t.Fatal(w.told.String())
		}
	}
	for _, w := range workers {
		w.goOn()
	}
	for _, w := range workers {
		code, told := w.end()
		var milliseconds int64
		_, served, _ := strings.Cut(told, "served ")
		_, err := fmt.Sscanf(served, fmt.Sprintf("%d of generation %d in %%d ms", callers, generation), &milliseconds)
		if code != 0 || err != nil {
			r.t.Fatalf("exit code %d: %s", code, told)
		}
		last = max(last, time.Duration(milliseconds)*time.Millisecond)
	}
	requests, err := r.control.Requests(r.t.Context(), boxsim.RequestQuery{Since: before, GrantType: "refresh_token"})
	if err != nil || len(requests) != 1 {
		r.t.Fatalf("%d token requests, want 1 (%v)", len(requests), err)
	}
	return last
}
