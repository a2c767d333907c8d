//go:build unix

package crash_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

// TestStorm: four processes with 2,500 callers each ask for access that has
// expired, in one instant, of a service that takes half a second. It sees one
// request, and every caller is served.
func TestStorm(t *testing.T) {
	t.Parallel()
	const (
		processes = 4
		callers   = 2500
		slow      = 500 * time.Millisecond
	)
	r := newTrial(t, boxsim.StrictSingleUse)
	r.signIn()
	if _, err := r.control.AddFault(t.Context(), boxsim.Fault{
		Match: boxsim.Match{GrantType: "refresh_token"}, Times: -1, Then: boxsim.Action{Delay: boxsim.Duration(slow)},
	}); err != nil {
		t.Fatal(err)
	}
	o := r.order
	o.Offset, o.Callers, o.Pauses = 2*time.Hour, callers, []string{atStorm}
	workers := make([]*worker, processes)
	for i := range workers {
		workers[i] = r.launch(o)
	}
	for _, w := range workers {
		if !w.reaches(atStorm) {
			t.Fatal(w.told.String())
		}
	}
	for _, w := range workers {
		w.goOn()
	}
	for _, w := range workers {
		code, told := w.end()
		_, served, ok := strings.Cut(told, "served ")
		if code != 0 || !ok || !strings.HasPrefix(served, fmt.Sprintf("%d of generation 2 ", callers)) {
			t.Fatalf("exit code %d: %s", code, told)
		}
		t.Logf("served %s", strings.TrimSpace(strings.Split(served, "\n")[0]))
	}
	requests, err := r.control.Requests(t.Context(), boxsim.RequestQuery{GrantType: "refresh_token"})
	if err != nil || len(requests) != 1 {
		t.Fatalf("%d token requests, want 1 (%v)", len(requests), err)
	}
}
