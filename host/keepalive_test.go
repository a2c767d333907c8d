package host_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

const day = 24 * time.Hour

func (r *rig) keepAlive() host.KeptAlive {
	r.t.Helper()
	sum, err := r.KeepAlive(r.t.Context(), 0)
	if err != nil {
		r.t.Fatal(err)
	}
	return sum
}

// Grants that nobody uses are renewed before they lapse, each once, whatever
// the number of hosts, and not all on one day.
func TestUnusedGrantsAreKeptAlive(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	rigs := []*rig{newRig(t, p, svc), newRig(t, p, svc)}
	const n = 20
	for i := range n {
		rigs[0].ready(fmt.Sprintf("c%d", i))
	}
	if sum := rigs[0].keepAlive(); sum != (host.KeptAlive{}) {
		t.Fatalf("right after the sign-in: %+v", sum)
	}
	for _, r := range rigs {
		r.store.advance(41 * day)
	}
	early := rigs[0].keepAlive()
	if early.Renewed == 0 || early.Renewed == n {
		t.Fatalf("no jitter: %+v", early)
	}
	for _, r := range rigs {
		r.store.advance(5 * day)
	}
	sums := make([]host.KeptAlive, len(rigs))
	var wg sync.WaitGroup
	for i, r := range rigs {
		wg.Go(func() { sums[i] = r.keepAlive() })
	}
	wg.Wait()
	if got := svc.renewals(); got != n {
		t.Fatalf("%d renewals, want %d: %+v", got, n, sums)
	}
	if sum := rigs[1].keepAlive(); sum != (host.KeptAlive{}) {
		t.Fatalf("once more: %+v", sum)
	}
}

// A host that is told to keeps its connections alive by itself, and has stopped
// when it is closed.
func TestHostKeepsAliveByItself(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	renewed := make(chan struct{})
	svc.before = func(int) { close(renewed) }
	r := newRig(t, p, svc, host.WithKeepAlive(20*time.Millisecond))
	r.ready("sales")
	r.store.advance(46 * day)
	select {
	case <-renewed:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was renewed")
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.store.advance(46 * day)
	if n := svc.renewals(); n != 1 {
		t.Errorf("%d renewals", n)
	}
}

// A dead grant is found out once, and isn't due any more.
func TestDeadGrantIsNotDueAgain(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	c := r.ready("sales")
	svc.kill()
	r.store.advance(50 * day)
	if sum := r.keepAlive(); sum != (host.KeptAlive{SignInAgain: 1}) {
		t.Fatalf("%+v", sum)
	}
	r.store.advance(50 * day)
	if sum := r.keepAlive(); sum != (host.KeptAlive{}) || svc.renewals() != 1 {
		t.Fatalf("%+v, %d renewals", sum, svc.renewals())
	}
	if i := r.info(c); i.State != host.StateSignInAgain {
		t.Fatalf("%+v", i)
	}
}

// A renewal that fails for the time being is due again later, and not before.
func TestFailedKeepAliveIsDueAgain(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	r.ready("sales")
	r.store.advance(50 * day)
	svc.fails("OpenSession", retryable(connector.RateLimited).After(30*time.Minute))
	if sum := r.keepAlive(); sum != (host.KeptAlive{Failed: 1}) {
		t.Fatalf("%+v", sum)
	}
	if sum := r.keepAlive(); sum != (host.KeptAlive{}) {
		t.Fatalf("at once: %+v", sum)
	}
	later := newRig(t, p, svc)
	later.store.advance(50*day + 2*time.Hour)
	if sum := later.keepAlive(); sum != (host.KeptAlive{Renewed: 1}) {
		t.Fatalf("later: %+v", sum)
	}
}

// What a deletion couldn't revoke is revoked later.
func TestRevocationsAreTriedAgain(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	c := r.ready("sales")
	svc.fails("RevokeAuthorization", retryable(connector.ServiceUnavailable), retryable(connector.ServiceUnavailable))
	if err := c.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.store.advance(time.Hour)
	if sum := r.keepAlive(); sum != (host.KeptAlive{Failed: 1}) || !svc.alive[1] {
		t.Fatalf("%+v", sum)
	}
	r.store.advance(time.Hour)
	if sum := r.keepAlive(); sum != (host.KeptAlive{Revoked: 1}) || svc.alive[1] {
		t.Fatalf("%+v", sum)
	}
	r.store.advance(time.Hour)
	if sum := r.keepAlive(); sum != (host.KeptAlive{}) {
		t.Fatalf("%+v", sum)
	}
}

// Nobody confirmed the other account: its grant doesn't stay at the service.
func TestUnconfirmedSignInIsRevoked(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	c := r.ready("sales")
	svc.mu.Lock()
	svc.account = connector.Account{ID: "8", Login: "bob@example.com"}
	svc.mu.Unlock()
	wantCode(t, r.signIn(c), connector.AccountMismatch)
	r.store.advance(20 * time.Minute)
	if sum := r.keepAlive(); sum != (host.KeptAlive{Revoked: 1}) || svc.alive[2] || !svc.alive[1] {
		t.Fatalf("%+v, alive %v", sum, svc.alive)
	}
	wantAccess(t, c, "access-1")
}

// A draft that was signed in to and never saved ends without leaving its grant
// at the service.
func TestForgottenDraftIsRevoked(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	c, err := r.tenant.Draft(t.Context(), r.box, settings("x"), host.DraftOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.signIn(c); err != nil {
		t.Fatal(err)
	}
	r.store.advance(20 * time.Hour)
	if sum := r.keepAlive(); sum != (host.KeptAlive{Revoked: 1}) || svc.alive[1] {
		t.Fatalf("%+v, alive %v", sum, svc.alive)
	}
	_, err = access(t, c, connector.AccessRequest{})
	wantCode(t, err, connector.ConnectionNotFound)
}
