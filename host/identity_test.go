package host_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/filestore"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/proto/connector"
)

// restore makes a database of a dump of another one.
var restore func(testing.TB, string) string

// copied is a restored backup of a place.
func (p *place) copied(t testing.TB) *place {
	t.Helper()
	c := &place{keys: p.keys, audit: &events{}}
	if strings.HasPrefix(t.Name(), onPostgres) {
		c.at = restore(t, p.at)
		c.open = func(ctx context.Context) (store.Store, error) { return pgstore.Open(ctx, c.at) }
		return c
	}
	c.at = filepath.Join(t.TempDir(), "copy")
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", p.at, c.at).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	c.open = func(ctx context.Context) (store.Store, error) { return filestore.Open(ctx, c.at) }
	return c
}

// untouched fails the test if do reaches the service's tokens.
func (s *service) untouched(t testing.TB, do func()) {
	t.Helper()
	count := func() [3]int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return [3]int{len(s.spent), len(s.revoked), s.pair}
	}
	before := count()
	do()
	if after := count(); after != before {
		t.Errorf("renewed, revoked and issued: %v before, %v after", before, after)
	}
}

func (r *rig) adopt(a host.Adoption) host.Adopted {
	r.t.Helper()
	a.Actor = "tester"
	done, err := r.Adopt(r.t.Context(), a)
	if err != nil {
		r.t.Fatal(err)
	}
	return done
}

// A copy hands out access that lasts, and touches no grant: not by renewing,
// signing in or out, deleting, keeping alive, nor by a callback of a sign-in
// that was begun before it was copied.
func TestCopyTouchesNoGrant(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	live := newRig(t, p, svc)
	live.ready("sales")
	live.ready("doomed")
	waiting := live.create("waiting")
	begun, err := waiting.BeginSignIn(t.Context(), redirectURI)
	if err != nil {
		t.Fatal(err)
	}
	there := p.copied(t)
	other, later := newRig(t, there, svc), newRig(t, there, svc)
	later.store.advance(2 * svc.life)
	svc.untouched(t, func() {
		sales, doomed := other.open("sales"), other.open("doomed")
		wantAccess(t, sales, "access-1")
		if i := other.info(sales); i.Held == nil || i.Held.Code != connector.StoreNotAdopted {
			t.Errorf("the copy's connection is shown as its own: %+v", i)
		}
		_, err := other.open("waiting").BeginSignIn(t.Context(), redirectURI)
		wantCode(t, err, connector.StoreNotAdopted)
		_, err = other.CompleteSignIn(t.Context(), callback(t, begun), begun.Binding)
		wantCode(t, err, connector.StoreNotAdopted)
		wantCode(t, sales.SignOut(t.Context()), connector.StoreNotAdopted)
		_, err = sales.ConfirmAccount(t.Context())
		wantCode(t, err, connector.StoreNotAdopted)
		wantCode(t, sales.RejectAccount(t.Context()), connector.StoreNotAdopted)
		if err := doomed.Delete(t.Context()); err != nil {
			t.Errorf("Delete: %v", err)
		}
		if got := other.place.audit.outcomes(audit.ActionRevoke); !slices.Equal(got, []string{string(connector.StoreNotAdopted)}) {
			t.Errorf("the audit of the revocation that wasn't: %v", got)
		}
		_, err = access(t, sales, connector.AccessRequest{Refused: 1})
		if err == nil {
			t.Error("a refused token was renewed")
		}
		_, err = access(t, later.open("sales"), connector.AccessRequest{})
		d := wantCode(t, err, connector.StoreNotAdopted)
		if !strings.Contains(d.Suggestion, "store adopt") || !strings.Contains(d.Detail, "belongs to") {
			t.Errorf("the diagnostic: %v", d)
		}
		later.store.advance(50 * day)
		_, err = later.KeepAlive(t.Context(), 0)
		wantCode(t, err, connector.StoreNotAdopted)
	})
	// The original is what it was.
	if _, err := live.CompleteSignIn(t.Context(), callback(t, begun), begun.Binding); err != nil {
		t.Errorf("the sign-in that waited: %v", err)
	}
	live.store.advance(2 * svc.life)
	for _, name := range []string{"sales", "doomed"} {
		if _, err := access(t, live.open(name), connector.AccessRequest{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the original has still to revoke isn't revoked in a copy, be it that the
// connection is deleted there.
func TestCopyLeavesTheOutboxAlone(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	live := newRig(t, p, svc)
	sales := live.ready("sales")
	svc.account = connector.Account{ID: "8", Login: "bob@example.com"}
	wantCode(t, live.signIn(sales), connector.AccountMismatch)
	svc.fails("RevokeAuthorization", retryable(connector.ServiceUnavailable))
	if _, err := sales.ConfirmAccount(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := newRig(t, p.copied(t), svc)
	svc.untouched(t, func() {
		if err := other.open("sales").Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	live.store.advance(day)
	if sum := live.keepAlive(); sum.Revoked != 1 {
		t.Errorf("the original's outbox: %+v", sum)
	}
}

// A pair that the original renewed and hasn't used is kept from use in a copy:
// its first use ends the refresh token before it, to which the original may
// go back.
func TestCopyKeepsAnUnusedPair(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	svc.replay, svc.life = true, 100*day
	live := newRig(t, p, svc)
	sales := live.ready("sales")
	live.ready("used")
	live.store.advance(50 * day)
	if sum := live.keepAlive(); sum.Renewed != 2 {
		t.Fatalf("kept alive: %+v", sum)
	}
	user := newRig(t, p, svc)
	user.store.advance(50 * day)
	used, err := access(t, user.open("used"), connector.AccessRequest{})
	if err != nil {
		t.Fatal(err)
	}
	other := newRig(t, p.copied(t), svc)
	other.store.advance(50 * day)
	_, err = access(t, other.open("sales"), connector.AccessRequest{})
	wantCode(t, err, connector.StoreNotAdopted)
	wantAccess(t, other.open("used"), used)
	if _, err := access(t, sales, connector.AccessRequest{}); err != nil {
		t.Errorf("the original: %v", err)
	}
}

// An adopted copy lives from the grants, and its adoption is audited once.
func TestAdoptedCopyRenews(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	newRig(t, p, svc).ready("sales")
	other := newRig(t, p.copied(t), svc)
	svc.untouched(t, func() {
		if done := other.adopt(host.Adoption{}); !done.Changed || done.Connections != 1 || done.Dropped != 0 || done.Was.String() == done.Is.String() {
			t.Errorf("the adoption: %+v", done)
		}
		if done := other.adopt(host.Adoption{}); done.Changed {
			t.Errorf("the second adoption: %+v", done)
		}
	})
	if got := other.place.audit.outcomes(audit.ActionAdopt); !slices.Equal(got, []string{audit.OutcomeOK}) {
		t.Errorf("audit: %v", got)
	}
	other.store.advance(2 * svc.life)
	sales := other.open("sales")
	wantAccess(t, sales, "access-2")
	if i := other.info(sales); i.Held != nil {
		t.Errorf("held after the adoption: %v", i.Held)
	}
	if err := sales.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(svc.revoked, []int{2}) {
		t.Errorf("revoked %v, want the adopted grant", svc.revoked)
	}
}

// What the original had still to revoke when it was copied - a deletion that
// the service didn't answer, a sign-in to another account, a draft that was
// signed in to - is never revoked out of the copy: the person may have
// confirmed the one and saved the other since.
func TestAdoptionDropsWhatTheOriginalRevokes(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	live := newRig(t, p, svc)
	svc.fails("RevokeAuthorization", retryable(connector.ServiceUnavailable))
	if err := live.ready("gone").Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	sales := live.ready("sales")
	svc.account = connector.Account{ID: "8", Login: "bob@example.com"}
	wantCode(t, live.signIn(sales), connector.AccountMismatch)
	draft, err := live.tenant.Draft(t.Context(), live.box, settings("s3cret"), host.DraftOptions{})
	if err == nil {
		err = live.signIn(draft)
	}
	if err != nil {
		t.Fatal(err)
	}
	dropping, keeping := newRig(t, p.copied(t), svc), newRig(t, p.copied(t), svc)
	if err := draft.Save(t.Context(), "saved"); err != nil {
		t.Fatal(err)
	}
	if _, err := sales.ConfirmAccount(t.Context()); err != nil { // which revokes the old account's grant
		t.Fatal(err)
	}
	svc.untouched(t, func() {
		if done := dropping.adopt(host.Adoption{}); done.Dropped != 3 {
			t.Errorf("the adoption dropped %d, want 3", done.Dropped)
		}
		dropping.store.advance(20 * time.Hour)
		dropping.keepAlive()
		dropping.store.advance(30 * day)
		dropping.keepAlive()
	})
	for _, name := range []string{"saved", "sales"} {
		live.store.advance(2 * svc.life)
		if _, err := access(t, live.open(name), connector.AccessRequest{}); err != nil {
			t.Errorf("the original's %s: %v", name, err)
		}
	}
	if done := keeping.adopt(host.Adoption{KeepRevocations: true}); done.Dropped != 0 {
		t.Errorf("the other adoption dropped %d, want none", done.Dropped)
	}
	if sum := keeping.keepAlive(); sum.Revoked != 1 {
		t.Errorf("the other one's keep-alive: %+v", sum)
	}
}

// A copy beside a living original is adopted without its sign-ins.
func TestAdoptionWithoutSignIns(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	live := newRig(t, p, svc)
	sales := live.ready("sales")
	other := newRig(t, p.copied(t), svc)
	svc.untouched(t, func() {
		wantAccess(t, other.open("sales"), "access-1")
		other.adopt(host.Adoption{WithoutSignIns: true})
		_, err := access(t, other.open("sales"), connector.AccessRequest{})
		wantCode(t, err, connector.SignInRequired)
	})
	if err := other.signIn(other.open("sales")); err != nil {
		t.Fatal(err)
	}
	if err := other.open("sales").Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(svc.revoked, []int{2}) {
		t.Errorf("revoked %v, want the copy's own grant", svc.revoked)
	}
	live.store.advance(2 * svc.life)
	wantAccess(t, sales, "access-3")
}

// turning is a store that turns into a copy.
type turning struct {
	store.Store
	store.Throttle
	turned atomic.Bool
	broken atomic.Bool
}

func (s *turning) Identity(ctx context.Context) (store.Identity, error) {
	if s.broken.Load() {
		return store.Identity{}, connector.Errorf(connector.StoreUnavailable, connector.OriginHost, "Gone.").With(connector.Retry)
	}
	i, err := s.Store.Identity(ctx)
	if s.turned.Load() {
		i.Actual.Site = "elsewhere"
	}
	return i, err
}

// A store that turns into a copy while a host has it open, as a database does
// whose name leads to another server, is noticed before the next renewal; one
// that doesn't tell is not renewed from either.
func TestStoreThatTurnsIntoACopy(t *testing.T) {
	t.Parallel()
	svc := newService()
	live := newRig(t, newPlace(t), svc)
	sales := live.ready("sales")
	turn := &turning{Store: live.store.Store, Throttle: live.store.Store.(store.Throttle)}
	live.store.Store = turn
	svc.untouched(t, func() {
		turn.turned.Store(true)
		live.store.advance(2 * svc.life)
		_, err := access(t, sales, connector.AccessRequest{})
		wantCode(t, err, connector.StoreNotAdopted)
		turn.broken.Store(true)
		if _, err := access(t, sales, connector.AccessRequest{}); !errors.Is(err, connector.StoreUnavailable) {
			t.Errorf("from a store that doesn't tell: %v", err)
		}
	})
	turn.turned.Store(false)
	turn.broken.Store(false)
	wantAccess(t, sales, "access-2")
}
