package host_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/proto/connector"
)

// expire moves the clock past the access's end. Hosts notice when they look at
// the store again; a handle of a new host does so at once.
func expire(rigs ...*rig) {
	for _, r := range rigs {
		r.store.advance(2 * time.Hour)
	}
}

// An hour later many callers want access in the same instant. The service sees
// one renewal, and all are served.
func TestManyCallersShareOneRenewal(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	newRig(t, p, svc).ready("sales")

	r := newRig(t, p, svc)
	expire(r)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if got, err := access(t, r.open("sales"), connector.AccessRequest{}); err != nil || got != "access-2" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
	if n := svc.renewals(); n != 1 {
		t.Fatalf("%d renewals, want 1", n)
	}
}

// Two processes hold the same credential; the second one uses what the first
// one wrote, whether it began at the same time or later.
func TestHostsOnOneStoreRenewOnce(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	newRig(t, p, svc).ready("sales")
	rigs := []*rig{newRig(t, p, svc), newRig(t, p, svc), newRig(t, p, svc)}
	expire(rigs...)
	var wg sync.WaitGroup
	for _, r := range rigs {
		c := r.open("sales")
		for range 8 {
			wg.Go(func() { wantAccess(t, c, "access-2") })
		}
	}
	wg.Wait()
	if n := svc.renewals(); n != 1 {
		t.Fatalf("%d renewals, want 1", n)
	}
}

// A refused token that the store has moved on from costs nothing; a refused
// one that was renewed a moment ago is an error and no loop.
func TestRefusedGenerations(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	first := newRig(t, p, svc)
	c := first.ready("sales")
	old, err := c.Access(t.Context(), connector.AccessRequest{})
	if err != nil {
		t.Fatal(err)
	}
	first.store.advance(time.Minute)
	if got, err := access(t, c, connector.AccessRequest{Refused: old.Generation}); err != nil || got != "access-2" {
		t.Fatalf("the refused one: %q, %v", got, err)
	}
	if got, err := access(t, c, connector.AccessRequest{Refused: old.Generation}); err != nil || got != "access-2" {
		t.Fatalf("an older one: %q, %v", got, err)
	}
	if n := svc.renewals(); n != 1 {
		t.Fatalf("%d renewals, want 1", n)
	}
	_, err = access(t, c, connector.AccessRequest{Refused: old.Generation + 1})
	wantCode(t, err, connector.AccessRefused)
	if n := svc.renewals(); n != 1 {
		t.Fatalf("%d renewals, want 1", n)
	}
}

// A renewal that fails for the time being leaves everything as it was, and the
// next one works.
func TestPassingFailureLosesNothing(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	newRig(t, p, svc).ready("sales")
	r := newRig(t, p, svc)
	expire(r)
	svc.fails("OpenSession", retryable(connector.ServiceUnavailable))
	wantAccess(t, r.open("sales"), "access-2")
	if n := svc.renewals(); n != 2 {
		t.Fatalf("%d renewals were tried, want 2", n)
	}
	if i := r.info(r.open("sales")); i.State != "ready" {
		t.Fatalf("state %s", i.State)
	}
}

// The service asks for a long wait: callers are told at once and without
// another request, until it has passed.
func TestLongWaitIsToldNotWaited(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	newRig(t, p, svc).ready("sales")
	r := newRig(t, p, svc)
	expire(r)
	svc.fails("OpenSession", retryable(connector.RateLimited).After(time.Hour))
	c := r.open("sales")
	for range 3 {
		_, err := access(t, c, connector.AccessRequest{})
		if d := wantCode(t, err, connector.RateLimited); d.RetryAfter < 59*time.Minute || d.Disposition != connector.Retry {
			t.Fatalf("%+v", d)
		}
	}
	if n := svc.renewals(); n != 1 {
		t.Fatalf("%d renewals were tried, want 1", n)
	}
}

// A renewal that is due early fails for the time being: the access that still
// lasts is handed out.
func TestAccessThatStillLastsIsHandedOut(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	newRig(t, p, svc).ready("sales")
	r := newRig(t, p, svc)
	r.store.advance(57 * time.Minute)
	svc.fails("OpenSession", retryable(connector.ServiceUnavailable).After(time.Hour))
	wantAccess(t, r.open("sales"), "access-1")
}

// The grant is dead: the verdict is kept, says why and since when, and from
// then on no request is made. A new sign-in ends it.
func TestDeadGrantFailsFastUntilSignIn(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	newRig(t, p, svc).ready("sales")
	svc.kill()
	r := newRig(t, p, svc)
	expire(r)
	c := r.open("sales")
	for range 20 {
		_, err := access(t, c, connector.AccessRequest{})
		if d := wantCode(t, err, connector.GrantInvalid); d.Disposition != connector.SignInAgain {
			t.Fatalf("%+v", d)
		}
	}
	if n := svc.renewals(); n != 1 {
		t.Fatalf("%d renewals were tried, want 1", n)
	}
	i := r.info(c)
	if i.State != "sign_in_again" || i.Err == nil || !strings.Contains(i.Err.Detail, "found at") {
		t.Fatalf("%+v", i)
	}
	if err := r.signIn(c); err != nil {
		t.Fatal(err)
	}
	wantAccess(t, c, "access-2")
	if got := p.audit.outcomes(audit.ActionRenew); len(got) != 1 || got[0] != string(connector.GrantInvalid) {
		t.Fatalf("audit: %v", got)
	}
}

// With the store unwritable from the start, nothing is spent.
func TestNothingIsSpentIfTheStoreIsUnwritable(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	newRig(t, p, svc).ready("sales")
	r := newRig(t, p, svc)
	expire(r)
	r.store.fails("Acquire", connector.Errorf(connector.StoreUnwritable, connector.OriginHost, "The disk is full."))
	c := r.open("sales")
	_, err := access(t, c, connector.AccessRequest{})
	wantCode(t, err, connector.StoreUnwritable)
	if n := svc.renewals(); n != 0 {
		t.Fatalf("%d renewals, want none", n)
	}
	wantAccess(t, c, "access-2")
}

// The write after a renewal fails for long. Nobody gets the access; the pair
// is held, written as soon as the store takes it, and nothing is spent twice.
func TestRenewedPairOutlivesAFullDisk(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	newRig(t, p, svc).ready("sales")
	r := newRig(t, p, svc)
	expire(r)
	full := connector.Errorf(connector.StoreUnwritable, connector.OriginHost, "The disk is full.")
	errs := make([]error, 1000)
	for i := range errs {
		errs[i] = full
	}
	r.store.fails("Commit", errs...)
	c := r.open("sales")
	for range 2 {
		_, err := access(t, c, connector.AccessRequest{})
		if d := wantCode(t, err, connector.StoreUnwritable); !strings.Contains(d.Detail, "held in memory") {
			t.Fatalf("%+v", d)
		}
	}
	r.store.heal()
	wantAccess(t, c, "access-2")
	if n := svc.renewals(); n != 1 {
		t.Fatalf("%d renewals, want 1", n)
	}
	// Another process finds it, too.
	other := newRig(t, p, svc)
	other.store.offset.Store(r.store.offset.Load())
	wantAccess(t, other.open("sales"), "access-2")
}

// The caller goes away; the renewal doesn't.
func TestCallersCannotCancelARenewal(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	newRig(t, p, svc).ready("sales")
	r := newRig(t, p, svc)
	expire(r)
	begun, goOn := make(chan struct{}), make(chan struct{})
	svc.mu.Lock()
	svc.before = func(int) {
		close(begun)
		<-goOn
	}
	svc.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	c := r.open("sales")
	failed := make(chan error, 1)
	go func() {
		_, err := c.Access(ctx, connector.AccessRequest{})
		failed <- err
	}()
	<-begun
	cancel()
	if err := <-failed; !errors.Is(err, connector.Canceled) {
		t.Fatal(err)
	}
	close(goOn)
	wantAccess(t, c, "access-2")
	if n := svc.renewals(); n != 1 {
		t.Fatalf("%d renewals, want 1", n)
	}
}

// A renewal that comes back to a deleted connection brings nothing back, and
// its pair is revoked.
func TestRenewalDoesNotResurrectADeletedConnection(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	newRig(t, p, svc).ready("sales")
	r, other := newRig(t, p, svc), newRig(t, p, svc)
	expire(r, other)
	svc.mu.Lock()
	svc.before = func(int) {
		if err := other.open("sales").Delete(context.Background()); err != nil {
			t.Error(err)
		}
	}
	svc.replay = true // so that revoking the old token doesn't end the renewal
	svc.mu.Unlock()
	svc.fails("RevokeAuthorization", retryable(connector.ServiceUnavailable))
	_, err := access(t, r.open("sales"), connector.AccessRequest{})
	wantCode(t, err, connector.ConnectionNotFound)
	svc.mu.Lock()
	defer svc.mu.Unlock()
	if len(svc.revoked) == 0 || svc.alive[2] {
		t.Fatalf("revoked: %v, alive: %v", svc.revoked, svc.alive)
	}
}

// A service whose tokens are strictly single-use, and a process that ended
// between the answer and the write: the loss is told as what it is.
func TestCutOffRenewalIsNamed(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	newRig(t, p, svc).ready("sales")
	r := newRig(t, p, svc)
	expire(r)
	svc.mu.Lock()
	svc.before = func(n int) {
		svc.mu.Lock()
		defer svc.mu.Unlock()
		delete(svc.alive, n)
		svc.before = nil
	}
	svc.mu.Unlock()
	svc.fails("OpenSession", connector.Errorf(connector.PluginExited, connector.OriginConnector, "It died."))
	c := r.open("sales")
	_, err := access(t, c, connector.AccessRequest{})
	wantCode(t, err, connector.PluginExited)
	_, err = access(t, c, connector.AccessRequest{})
	if d := wantCode(t, err, connector.RenewalCutOff); d.Disposition != connector.SignInAgain || !strings.Contains(d.Detail, "ended before its answer") {
		t.Fatalf("%+v", d)
	}
}

// The service knows nothing of the newest pair, which was never used: the one
// before it still counts.
func TestPreviousPairIsTriedWhileTheNewOneIsUnused(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	newRig(t, p, svc).ready("sales")
	r := newRig(t, p, svc)
	expire(r)
	c := r.open("sales")
	// A renewal whose access nobody gets: the write is slow, the caller leaves.
	svc.mu.Lock()
	svc.replay = true
	svc.mu.Unlock()
	full := connector.Errorf(connector.StoreUnwritable, connector.OriginHost, "The disk is full.")
	errs := make([]error, 400)
	for i := range errs {
		errs[i] = full
	}
	r.store.fails("Commit", errs...)
	_, err := access(t, c, connector.AccessRequest{})
	wantCode(t, err, connector.StoreUnwritable)
	r.store.heal()
	if err := r.Close(context.Background()); err != nil { // writes what it holds
		t.Fatal(err)
	}
	svc.mu.Lock()
	delete(svc.alive, 2)
	svc.mu.Unlock()
	later := newRig(t, p, svc)
	later.store.advance(6 * time.Hour)
	if _, err := access(t, later.open("sales"), connector.AccessRequest{}); err != nil {
		t.Fatal(err)
	}
	if got := svc.spent; got[len(got)-1] != 1 || got[len(got)-2] != 2 {
		t.Fatalf("refresh tokens sent: %v", got)
	}
}

// Once the new access has been handed out, the old refresh token is never
// sent again.
func TestPreviousPairIsDroppedBeforeUse(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	newRig(t, p, svc).ready("sales")
	r := newRig(t, p, svc)
	expire(r)
	wantAccess(t, r.open("sales"), "access-2")
	svc.kill()
	expire(r)
	later := newRig(t, p, svc)
	later.store.offset.Store(r.store.offset.Load())
	_, err := access(t, later.open("sales"), connector.AccessRequest{})
	wantCode(t, err, connector.GrantInvalid)
	if got := svc.spent; len(got) != 2 || got[1] != 2 {
		t.Fatalf("refresh tokens sent: %v", got)
	}
}

// A service that gives out access shorter than anybody wants must not be asked
// in a loop.
func TestShortLivedAccessIsNoLoop(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	c := r.ready("sales")
	for range 10 {
		if _, err := access(t, c, connector.AccessRequest{MinValidity: 3 * time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	if n := svc.renewals(); n > 1 {
		t.Fatalf("%d renewals, want 1 at most", n)
	}
}
