package host_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// busyFor is the answer of a service that doesn't want to be asked.
func busyFor(d time.Duration) *connector.Diagnostic {
	return retryable(connector.RateLimited).After(d)
}

// renewing wants access whose renewal is due.
func (r *rig) renewing(name string) *host.Connection {
	r.t.Helper()
	r.store.advance(50 * day)
	return r.open(name)
}

// A service that asked one host's renewal for a long wait is asked by nobody on
// the store before its end, a host that is started later included. All fail at
// once and tell the time.
func TestHostsWaitTogetherForTokens(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	first := newRig(t, p, svc)
	first.ready("sales")
	svc.fails("OpenSession", busyFor(30*time.Minute))
	began := time.Now()
	_, err := access(t, first.renewing("sales"), connector.AccessRequest{})
	if d := wantCode(t, err, connector.RateLimited); d.RetryAfter != 30*time.Minute {
		t.Fatalf("the first host is told to wait %s", d.RetryAfter)
	}
	for i, r := range []*rig{newRig(t, p, svc), newRig(t, p, svc)} {
		c := r.renewing("sales")
		_, err := access(t, c, connector.AccessRequest{})
		if d := wantCode(t, err, connector.RateLimited); d.RetryAfter < 20*time.Minute || d.Disposition != connector.Retry {
			t.Fatalf("another host is told %v", d)
		}
		_, err = c.Narrow(t.Context(), []string{"a"}, "")
		wantCode(t, err, connector.RateLimited)
		if sum, err := r.KeepAlive(t.Context(), 0); err != nil || sum.Failed != 1-i { // then it isn't due
			t.Fatalf("keep-alive: %+v, %v", sum, err)
		}
	}
	if n := svc.renewals(); n != 1 {
		t.Fatalf("%d renewals were sent", n)
	}
	if took := time.Since(began); took > time.Minute {
		t.Fatalf("it took %s to be told to wait", took)
	}
}

// A short wait is waited for by all hosts, and then one renews for all.
func TestHostsWaitOutAShortWait(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	var mu sync.Mutex
	var asked []time.Time
	svc.before = func(int) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, time.Now())
	}
	first := newRig(t, p, svc)
	first.ready("sales")
	svc.fails("OpenSession", busyFor(2*time.Second))
	connections := []*host.Connection{first.renewing("sales"), newRig(t, p, svc).renewing("sales"), newRig(t, p, svc).renewing("sales")}
	var all sync.WaitGroup
	for _, c := range connections {
		all.Go(func() {
			if a, err := c.Access(t.Context(), connector.AccessRequest{}); err != nil || a.Generation != 2 {
				t.Errorf("access: %v, %v", a, err)
			}
		})
	}
	all.Wait()
	if len(asked) != 2 || asked[1].Sub(asked[0]) < 2*time.Second {
		t.Fatalf("the service was asked at %v", asked)
	}
}

// What the store can't be told is obeyed by the host that learnt it all the
// same.
func TestWaitThatCannotBePublished(t *testing.T) {
	t.Parallel()
	svc := newService()
	r := newRig(t, newPlace(t), svc)
	c := r.ready("sales")
	r.store.fails("ExtendWaits", connector.Errorf(connector.StoreUnavailable, connector.OriginHost, "No store."))
	svc.fails("OpenSession", busyFor(30*time.Minute))
	r.store.advance(2 * time.Hour)
	for range 2 {
		_, err := access(t, c, connector.AccessRequest{})
		wantCode(t, err, connector.RateLimited)
	}
	if n := svc.renewals(); n != 1 {
		t.Fatalf("%d renewals were sent", n)
	}
}

// Who corrects where a connection goes doesn't wait for the service that it
// went to before, on any host.
func TestMovedConnectionDoesNotWait(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r, other := newRig(t, p, svc), newRig(t, p, svc)
	c := r.ready("sales")
	svc.fails("OpenSession", busyFor(30*time.Minute))
	_, err := access(t, r.renewing("sales"), connector.AccessRequest{})
	wantCode(t, err, connector.RateLimited)
	elsewhere := other.renewing("sales")
	_, err = access(t, elsewhere, connector.AccessRequest{})
	wantCode(t, err, connector.RateLimited)
	wantCode(t, r.signIn(c), connector.RateLimited)
	edit(t, c, host.Edit{Settings: descriptor.Settings{"url": "https://elsewhere.example", "client_secret": "new"}})
	if err := r.signIn(c); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(20 * time.Millisecond) {
		got, err := access(t, elsewhere, connector.AccessRequest{})
		if err == nil && got == "access-2" || err == nil && got == "access-3" {
			return
		}
		if !errors.Is(err, connector.RateLimited) || time.Now().After(deadline) {
			t.Fatalf("on the other host: %q, %v", got, err)
		}
	}
}

// busyAPI is a service's API that asks its first caller to wait.
func busyAPI(t *testing.T, retryAfter string) (*httptest.Server, func() []time.Time) {
	t.Helper()
	var mu sync.Mutex
	var asked []time.Time
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if asked = append(asked, time.Now()); len(asked) == 1 {
			w.Header()["retry-after"] = []string{retryAfter}
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	t.Cleanup(server.Close)
	return server, func() []time.Time {
		mu.Lock()
		defer mu.Unlock()
		return asked
	}
}

// call makes an API call and returns the answer's status.
func call(t *testing.T, c *host.Connection, url string, within time.Duration) (int, error) {
	t.Helper()
	client, err := c.HTTPClient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// published waits until another host on the place would see an API wait.
func (r *rig) published(c *host.Connection) {
	r.t.Helper()
	i := r.info(c)
	key := store.Key{Owner: i.Owner, Connection: i.ID, Environment: i.Environment}
	for deadline := time.Now().Add(20 * time.Second); ; {
		w, err := r.store.Waits(r.t.Context(), key)
		if err != nil {
			r.t.Fatal(err)
		}
		if w.API > 0 {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatal("the wait never reached the store")
		}
		<-time.After(5 * time.Millisecond)
	}
}

// An API that asks one host's caller to wait for an hour is called by no other
// host, and by nobody of the first: they are told the time and send nothing.
func TestHostsWaitTogetherForTheAPI(t *testing.T) {
	t.Parallel()
	server, asked := busyAPI(t, "3600")
	p, svc := newPlace(t), newService()
	svc.endpoint = server.URL
	first := newRig(t, p, svc)
	c := first.ready("sales")
	if status, err := call(t, c, server.URL, time.Minute); err != nil || status != http.StatusTooManyRequests {
		t.Fatalf("the first caller: %d, %v", status, err)
	}
	first.published(c)
	second := newRig(t, p, svc)
	for _, c := range []*host.Connection{c, second.open("sales")} {
		_, err := call(t, c, server.URL, time.Minute)
		if d := wantCode(t, err, connector.RateLimited); d.RetryAfter < 50*time.Minute {
			t.Fatalf("a caller is told to wait %s", d.RetryAfter)
		}
	}
	// A connection test doesn't ask either.
	svc.checks = func(*connector.Access) []connector.Check {
		t.Error("the test asked the service")
		return nil
	}
	wantCode(t, testEnds(t, second.open("sales")), connector.RateLimited)
	if n := len(asked()); n != 1 {
		t.Fatalf("the API was called %d times", n)
	}
}

// A short wait of the API is waited for by another host's callers, too.
func TestHostsWaitOutAShortWaitOfTheAPI(t *testing.T) {
	t.Parallel()
	server, asked := busyAPI(t, "2")
	p, svc := newPlace(t), newService()
	svc.endpoint = server.URL
	first := newRig(t, p, svc)
	c := first.ready("sales")
	if status, err := call(t, c, server.URL, time.Second); err != nil || status != http.StatusTooManyRequests {
		t.Fatalf("the first caller: %d, %v", status, err)
	}
	first.published(c)
	second := newRig(t, p, svc)
	if status, err := call(t, second.open("sales"), server.URL, time.Minute); err != nil || status != http.StatusOK {
		t.Fatalf("the second caller: %d, %v", status, err)
	}
	if at := asked(); len(at) != 2 || at[1].Sub(at[0]) < 1900*time.Millisecond { // answered a little later than asked
		t.Fatalf("the API was called at %v", at)
	}
}

// A connection test waits for a service that is busy for a moment, and goes on
// with the check that met it; what would take too long is the check's outcome.
func TestConnectionTestWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wait   time.Duration
		busy   int // so many times
		passed bool
		runs   int
	}{
		"a moment": {time.Second, 1, true, 2},
		"too long": {time.Hour, 1, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			svc := newService()
			r := newRig(t, newPlace(t), svc)
			conn := r.ready("sales")
			runs := 0
			svc.checks = func(*connector.Access) []connector.Check {
				runs++
				token := connector.Check{ID: "token", Status: connector.CheckPassed}
				if runs <= c.busy {
					token.Status, token.Diagnostic = connector.CheckFailed, busyFor(c.wait)
				}
				return []connector.Check{{ID: "reachable", Status: connector.CheckPassed}, token}
			}
			checks := runTest(t, conn)
			if host.Passed(checks) != c.passed || runs != c.runs || len(checks) != 3 {
				t.Fatalf("%d runs: %+v", runs, checks)
			}
			if !c.passed && checks[2].Diagnostic.RetryAfter != c.wait {
				t.Fatalf("the wait isn't told: %v", checks[2].Diagnostic)
			}
		})
	}
}

// A sign-in that meets a busy service isn't lost.
func TestSignInWaits(t *testing.T) {
	t.Parallel()
	svc := newService()
	r := newRig(t, newPlace(t), svc)
	c := r.create("sales")
	svc.fails("CompleteAuthorization", busyFor(time.Second))
	if err := r.signIn(c); err != nil {
		t.Fatal(err)
	}
	svc.fails("CompleteAuthorization", busyFor(time.Hour))
	wantCode(t, r.signIn(c), connector.RateLimited)
	// The service isn't asked again, and the old sign-in is as it was.
	wantCode(t, r.signIn(c), connector.RateLimited)
	wantAccess(t, c, "access-1")
}

// testEnds runs a connection test and returns the error that ended it.
func testEnds(t *testing.T, c *host.Connection) error {
	t.Helper()
	for _, err := range c.Test(t.Context(), host.TestOptions{}) {
		if err != nil {
			return err
		}
	}
	return nil
}
