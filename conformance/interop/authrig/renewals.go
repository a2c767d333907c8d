package authrig

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

const (
	// AccessLife is how long access tokens should last: short, as a host waits a
	// quarter of it between two renewals, and long enough for a round of commands
	// on a busy machine.
	AccessLife = 8 * time.Second
	// RestFor is that quarter, and a little more.
	RestFor = AccessLife/4 + 100*time.Millisecond

	// Renewals is how many Renew makes: rounds of each of so many connections,
	// each by several processes at once.
	Renewals    = connections * rounds
	connections = 20
	rounds      = 5
	callers     = 2
)

// Renew holds a server's clients to it: twenty connections are renewed five
// times each, all at the same time and each by two processes at once, that were
// refused the token before. No refresh token is sent twice, each renewal is one,
// and the last token of each connection is alive.
func Renew(t *testing.T, server Server) {
	t.Helper()
	r := New(t, server)
	name := func(i int) string { return "strict" + strconv.Itoa(i) }
	var running sync.WaitGroup
	for i := range connections {
		running.Go(func() {
			if err := r.renew(name(i)); err != nil {
				t.Errorf("%s: %v", name(i), err)
			}
		})
	}
	running.Wait()
	if err := server.Check(); err != nil {
		t.Error(err)
	}
	c, alive := server.Counts(), server.Alive()
	t.Logf("%d connections, %d callers of each at once: %+v", connections, callers, c)
	if c.Renewals != Renewals || c.TokenRequests != Renewals+connections || c.Reuses != 0 {
		t.Errorf("the server counted %+v, want %d renewals and %d exchanges", c, Renewals, connections)
	}
	if alive != connections {
		t.Errorf("%d refresh tokens are alive, want the last one of each connection", alive)
	}
	r.Want(ExitDone, r.Ctl("", "connection", "delete", name(0), "--yes"))
	if after, c := server.Alive(), server.Counts(); after != alive-1 || c.Revocations != 1 {
		t.Errorf("after a deletion %d refresh tokens are alive, and %d revocations came", after, c.Revocations)
	}
}

// renew makes one connection and renews it time and again.
func (r *Rig) renew(name string) error {
	if res := r.create(name); res.Code != ExitDone {
		return fmt.Errorf("create ended with %d: %s", res.Code, res.Stderr)
	}
	if res, err := r.signIn(name); err != nil || res.Code != ExitDone {
		return fmt.Errorf("sign-in ended with %d (%v): %s", res.Code, err, res.Stderr)
	}
	last, err := r.tryAccess(name)
	for range rounds {
		if err != nil {
			return err
		}
		r.Rest()
		var next Access
		if next, err = r.together(name, "--refused", strconv.FormatUint(last.Generation, 10)); err != nil {
			return err
		}
		if next.Generation != last.Generation+1 || next.Token == last.Token {
			return fmt.Errorf("generation %d after %d: that isn't one renewal", next.Generation, last.Generation)
		}
		status, err := r.status(next.Token)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("the API answers %d to the renewed token", status)
		}
		last = next
	}
	return err
}

// together runs several commands at once, which must all get the same access.
func (r *Rig) together(name string, args ...string) (Access, error) {
	var got [callers]Access
	var errs [callers]error
	var running sync.WaitGroup
	for i := range got {
		running.Go(func() { got[i], errs[i] = r.tryAccess(name, args...) })
	}
	running.Wait()
	for i := range got {
		if errs[i] == nil && got[i] != got[0] {
			errs[i] = fmt.Errorf("generation %d came beside %d", got[i].Generation, got[0].Generation)
		}
		if errs[i] != nil {
			return Access{}, errs[i]
		}
	}
	return got[0], nil
}
