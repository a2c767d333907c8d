package authserver_test

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

const (
	// accessLife is short, as a host waits a quarter of it between two
	// renewals, and long enough for a round of commands on a busy machine.
	accessLife = 10 * time.Second
	// restFor is that quarter, and a little more.
	restFor = accessLife/4 + 100*time.Millisecond

	renewals = 10
)

// A connection is renewed ten times at a service that forgives nothing: no
// refresh token is sent twice, the family of tokens lives to the end, and ends
// when the connection is deleted.
func TestRenewals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		callers int
		// ask are the arguments that make a renewal due.
		ask func(last access) []string
	}{
		{"for one process, because of age", 1, func(access) []string {
			return []string{"--min", (accessLife - restFor + time.Second).String()}
		}},
		{"for eight processes at once, because of a refusal", 8, func(last access) []string {
			return []string{"--refused", strconv.FormatUint(last.Generation, 10)}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, accessLife)
			r.server.Consent(true)
			r.want(exitDone, r.signIn())
			r.want(exitDone, r.ctl("", "connection", "test", name))

			last := r.access()
			rested := time.Now().Add(restFor)
			for range renewals {
				r.pass(rested)
				next := r.together(tt.callers, tt.ask(last)...)
				rested = time.Now().Add(restFor)
				if next.Generation != last.Generation+1 || next.Token == last.Token {
					t.Fatalf("generation %d after %d: that isn't one renewal", next.Generation, last.Generation)
				}
				if status := r.api(next.Token); status != http.StatusOK {
					t.Fatalf("the API answers %d to the renewed token", status)
				}
				if status := r.api(last.Token); status != http.StatusUnauthorized {
					t.Fatalf("the API answers %d to the token before, which the server has ended", status)
				}
				last = next
			}

			if err := r.server.Check(); err != nil {
				t.Error(err)
			}
			if c := r.server.Counts(); c.Renewals != renewals || c.TokenRequests != renewals+1 || c.Reuses != 0 {
				t.Errorf("the server counted %+v, want %d renewals and one exchange", c, renewals)
			}
			if alive := r.server.Alive(); alive != 1 {
				t.Errorf("%d refresh tokens are alive, want the last one", alive)
			}

			r.want(exitDone, r.ctl("", "connection", "delete", name, "--yes"))
			if alive, c := r.server.Alive(), r.server.Counts(); alive != 0 || c.Revocations != 1 {
				t.Errorf("after the deletion %d refresh tokens are alive, and %d revocations came", alive, c.Revocations)
			}
			if status := r.api(last.Token); status != http.StatusUnauthorized {
				t.Errorf("the API answers %d to the deleted connection's token", status)
			}
		})
	}
}

// together runs so many commands at once, which must all get the same access.
func (r *rig) together(n int, args ...string) access {
	r.Helper()
	got, errs := make([]access, n), make([]error, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { got[i], errs[i] = r.tryAccess(args...) })
	}
	running.Wait()
	for i := range n {
		if errs[i] == nil && got[i] != got[0] {
			errs[i] = fmt.Errorf("generation %d came beside %d", got[i].Generation, got[0].Generation)
		}
		if errs[i] != nil {
			r.Errorf("caller %d: %v", i, errs[i])
		}
	}
	if r.Failed() {
		r.FailNow()
	}
	return got[0]
}
