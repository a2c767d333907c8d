package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

var leaseTests = []test{
	{"an acquired lease is recorded", testAcquire},
	{"a lease has one holder", testExclusion},
	{"a lease passes among many, one at a time", testContention},
	{"a commit writes and ends the lease", testCommit},
	{"a commit can't change what the store keeps", testCommitProtects},
	{"a commit may tell that its holder was interrupted", testCommitInterrupted},
	{"an error of the change leaves all as it was", testCommitChangeFails},
	{"a commit fails once the generation moved", testCommitOutdated},
	{"a commit works after the lease ran out", testCommitLate},
	{"a late commit leaves the next holder's lease", testCommitUnderForeignLease},
	{"a lease is free at its deadline, not before", testTakeover},
	{"an interrupted lease is remembered", testInterrupted},
	{"a lease isn't held against its own holder", testOwnLease},
	{"a release ends the lease", testRelease},
	{"a release of a lost lease does nothing", testReleaseLost},
	{"a lease needs a record", testLeaseOfNothing},
}

// short is a lease that a test waits for.
const short = 200 * time.Millisecond

func renew(r *store.Record) error {
	r.Generation++
	r.Sealed[store.FieldCredential] = []byte("renewed")
	return nil
}

func commit(t testing.TB, s store.Store, lease *store.Lease, k store.Key, change func(*store.Record) error) *store.Record {
	t.Helper()
	r, err := s.Commit(t.Context(), k, lease, change)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return r
}

func testAcquire(t *testing.T, p *place) {
	s := p.open(t)
	r := create(t, s, saved("c", "n"))
	got := acquire(t, s, r.Key, time.Minute)
	l := got.Lease
	if l == nil || l.ID == "" || l.Holder != "storetest" || l.Intent != "renew" || l.Generation != r.Generation {
		t.Fatalf("the lease is %+v", l)
	}
	if got.Revision != r.Revision+1 {
		t.Errorf("revision %d after Acquire, want %d: the record changed", got.Revision, r.Revision+1)
	}
	// The intent is there for whoever finds this holder dead.
	if diff := cmp.Diff(got, get(t, p.open(t), r.Key)); diff != "" {
		t.Errorf("another handle reads something else (-acquired +read):\n%s", diff)
	}
	// The record as it is under the lease can be updated.
	got.Plugin = "changed"
	update(t, s, got)
	second := acquire(t, s, create(t, s, saved("d", "m")).Key, time.Minute)
	if second.Lease.ID == l.ID {
		t.Error("two leases have one ID")
	}
}

func testExclusion(t *testing.T, p *place) {
	s, other := p.open(t), p.open(t)
	r := create(t, s, saved("c", "n"))
	create(t, s, saved("free", "free"))
	mine := acquire(t, s, r.Key, time.Hour)
	for name, handle := range map[string]store.Store{"the same handle": s, "another handle": other} {
		got, held, err := handle.Acquire(t.Context(), r.Key, request(time.Hour))
		if err != nil || got != nil {
			t.Fatalf("%s: got record %v and error %v of a held lease", name, got, err)
		}
		if diff := cmp.Diff(mine.Lease, held); diff != "" {
			t.Errorf("%s: the holder's lease (-want +got):\n%s", name, diff)
		}
	}
	acquire(t, other, key("free"), time.Hour)
}

func testContention(t *testing.T, p *place) {
	const workers, each = 6, 4
	handles := []store.Store{p.open(t), p.open(t), p.open(t)}
	r := create(t, handles[0], saved("c", "n"))
	var holders atomic.Int32
	var wg sync.WaitGroup
	for i := range workers {
		s := handles[i%len(handles)]
		wg.Go(func() {
			for done := 0; done < each; {
				got, held, err := s.Acquire(t.Context(), r.Key, request(time.Hour))
				if err != nil {
					t.Errorf("Acquire: %v", err)
					return
				}
				if held != nil {
					continue
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d holders at once", n)
				}
				holders.Add(-1)
				if _, err := s.Commit(t.Context(), r.Key, got.Lease, renew); err != nil {
					t.Errorf("Commit: %v", err)
					return
				}
				done++
			}
		})
	}
	wg.Wait()
	if got := get(t, handles[0], r.Key); got.Generation != r.Generation+workers*each || got.Lease != nil || got.Interrupted != nil {
		t.Errorf("generation %d, lease %v, interrupted %v; want %d and none", got.Generation, got.Lease, got.Interrupted, r.Generation+workers*each)
	}
}

func testCommit(t *testing.T, p *place) {
	s := p.open(t)
	r := acquire(t, s, create(t, s, saved("c", "n")).Key, time.Hour)
	got := commit(t, s, r.Lease, r.Key, renew)
	if got.Lease != nil || got.Generation != r.Generation+1 || got.Revision != r.Revision+1 || got.UpdatedAt.Before(r.UpdatedAt) {
		t.Errorf("committed: lease %v, generation %d, revision %d", got.Lease, got.Generation, got.Revision)
	}
	if diff := cmp.Diff(got, get(t, p.open(t), r.Key)); diff != "" {
		t.Errorf("another handle reads something else (-committed +read):\n%s", diff)
	}
	acquire(t, p.open(t), r.Key, time.Hour)
}

func testCommitProtects(t *testing.T, p *place) {
	s := p.open(t)
	r := acquire(t, s, create(t, s, saved("c", "n")).Key, time.Hour)
	got := commit(t, s, r.Lease, r.Key, func(r *store.Record) error {
		r.Key = key("other")
		r.Revision = 99
		r.Lease.Until = r.Lease.Until.Add(time.Hour)
		r.UpdatedAt = time.Time{}
		return nil
	})
	if got.Key != r.Key || got.Revision != r.Revision+1 || got.Lease != nil || got.UpdatedAt.IsZero() {
		t.Errorf("committed %v at revision %d, lease %v, updated %v", got.Key, got.Revision, got.Lease, got.UpdatedAt)
	}
	_, err := s.Get(t.Context(), key("other"))
	wantCode(t, "Get of the other key", err, connector.ConnectionNotFound)
}

// A holder that doesn't know what came of its intent says so, and the next
// credential ends it.
func testCommitInterrupted(t *testing.T, p *place) {
	s := p.open(t)
	r := acquire(t, s, create(t, s, saved("c", "n")).Key, time.Hour)
	lease := *r.Lease
	commit(t, s, r.Lease, r.Key, func(r *store.Record) error {
		r.Interrupted = &lease
		return nil
	})
	if got := get(t, p.open(t), r.Key); got.Interrupted == nil || got.Interrupted.ID != lease.ID {
		t.Errorf("interrupted is %v, want the lease", got.Interrupted)
	}
	r = acquire(t, s, r.Key, time.Hour)
	commit(t, s, r.Lease, r.Key, renew)
	if got := get(t, p.open(t), r.Key); got.Interrupted != nil {
		t.Errorf("interrupted is %v after a new credential", got.Interrupted)
	}
}

func testCommitChangeFails(t *testing.T, p *place) {
	s, other := p.open(t), p.open(t)
	r := acquire(t, s, create(t, s, saved("c", "n")).Key, time.Hour)
	cause := errors.New("the change's own")
	_, err := s.Commit(t.Context(), r.Key, r.Lease, func(r *store.Record) error {
		_ = renew(r)
		return cause
	})
	if err != cause { //nolint:errorlint // it must be this one, not wrapped
		t.Fatalf("Commit returned %v, want the change's error", err)
	}
	if diff := cmp.Diff(r, get(t, other, r.Key)); diff != "" {
		t.Errorf("the record changed (-before +after):\n%s", diff)
	}
	if _, held, err := other.Acquire(t.Context(), r.Key, request(time.Hour)); err != nil || held == nil {
		t.Errorf("the lease isn't held any more (error %v)", err)
	}
	commit(t, s, r.Lease, r.Key, renew)
}

func testCommitOutdated(t *testing.T, p *place) {
	s, other := p.open(t), p.open(t)
	r := acquire(t, s, create(t, s, saved("c", "n")).Key, time.Hour)
	deleted := get(t, other, r.Key)
	deleted.State, deleted.Sealed = store.StateTombstone, nil
	deleted.Generation++
	update(t, other, deleted)

	called := false
	_, err := s.Commit(t.Context(), r.Key, r.Lease, func(*store.Record) error { called = true; return nil })
	wantCode(t, "a late Commit", err, connector.ConnectionChanged)
	if called {
		t.Error("the change was called although the generation moved")
	}
	if got := get(t, s, r.Key); got.State != store.StateTombstone || got.Revision != deleted.Revision {
		t.Errorf("the tombstone is %s at revision %d", got.State, got.Revision)
	}
}

func testCommitLate(t *testing.T, p *place) {
	s := p.open(t)
	r := acquire(t, s, create(t, s, saved("c", "n")).Key, time.Nanosecond)
	eventually(t, "the end of the lease", func() bool { return now(t, s).After(r.Lease.Until) })
	if got := commit(t, s, r.Lease, r.Key, renew); got.Lease != nil || got.Generation != r.Generation+1 {
		t.Errorf("committed: lease %v, generation %d", got.Lease, got.Generation)
	}
}

func testCommitUnderForeignLease(t *testing.T, p *place) {
	s, other := p.open(t), p.open(t)
	k := create(t, s, saved("c", "n")).Key
	first := acquire(t, s, k, time.Nanosecond)
	second := eventuallyAcquire(t, other, k, time.Hour)

	// A verdict doesn't move the generation, so both may still commit.
	got := commit(t, s, first.Lease, k, func(r *store.Record) error { r.Plugin = "late"; return nil })
	if diff := cmp.Diff(second.Lease, got.Lease); diff != "" {
		t.Errorf("a late commit changed the next holder's lease (-want +got):\n%s", diff)
	}
	got = commit(t, s, first.Lease, k, renew)
	if got.Lease == nil || got.Lease.ID != second.Lease.ID {
		t.Errorf("the next holder's lease became %v", got.Lease)
	}
	if _, held, err := s.Acquire(t.Context(), k, request(time.Hour)); err != nil || held == nil {
		t.Errorf("the next holder's lease isn't held any more (error %v)", err)
	}
	_, err := other.Commit(t.Context(), k, second.Lease, renew)
	wantCode(t, "the next holder's Commit", err, connector.ConnectionChanged)
	if err := other.Release(t.Context(), k, second.Lease); err != nil {
		t.Errorf("Release: %v", err)
	}
	acquire(t, s, k, time.Hour)
}

func testTakeover(t *testing.T, p *place) {
	s, other := p.open(t), p.open(t)
	first := acquire(t, s, create(t, s, saved("c", "n")).Key, short)
	second := eventuallyAcquire(t, other, first.Key, time.Hour)
	if second.Lease.Since.Before(first.Lease.Until) {
		t.Errorf("taken over at %v, before the deadline %v", second.Lease.Since, first.Lease.Until)
	}
	if second.Lease.ID == first.Lease.ID {
		t.Error("the next lease has the same ID")
	}
}

func testInterrupted(t *testing.T, p *place) {
	s := p.open(t)
	k := create(t, s, saved("c", "n")).Key
	first := acquire(t, s, k, time.Nanosecond)
	second := eventuallyAcquire(t, s, k, time.Nanosecond)
	if diff := cmp.Diff(first.Lease, second.Interrupted); diff != "" {
		t.Errorf("the interrupted lease (-want +got):\n%s", diff)
	}
	got := commit(t, s, second.Lease, k, func(r *store.Record) error { r.Plugin = "tried"; return nil })
	if got.Interrupted == nil || got.Interrupted.ID != first.Lease.ID {
		t.Errorf("a commit of the same generation made it %v", got.Interrupted)
	}
	third := acquire(t, s, k, time.Hour)
	if third.Interrupted == nil || third.Interrupted.ID != first.Lease.ID {
		t.Errorf("a lease that ended in order made it %v", third.Interrupted)
	}
	if got := commit(t, s, third.Lease, k, renew); got.Interrupted != nil {
		t.Errorf("a new generation left it at %v", got.Interrupted)
	}
}

// The answer of an Acquire is lost: the holder has a lease that it doesn't know
// of. It asks again with the ID that it chose, and doesn't wait for itself.
func testOwnLease(t *testing.T, p *place) {
	s, other := p.open(t), p.open(t)
	k := create(t, s, saved("c", "n")).Key
	want := request(time.Hour)
	want.ID = store.NewLeaseID()
	first, held, err := s.Acquire(t.Context(), k, want)
	if err != nil || held != nil || first.Lease.ID != want.ID {
		t.Fatalf("Acquire: %v, held %v, error %v; want the lease %s", first, held, err, want.ID)
	}
	again, held, err := s.Acquire(t.Context(), k, want)
	if err != nil || held != nil {
		t.Fatalf("its own lease: held %v, error %v", held, err)
	}
	if again.Lease.ID != want.ID || again.Interrupted != nil || again.Lease.Until.Before(first.Lease.Until) {
		t.Errorf("the lease is %+v, interrupted %v; it was until %v", again.Lease, again.Interrupted, first.Lease.Until)
	}
	if _, held, err := other.Acquire(t.Context(), k, request(time.Hour)); err != nil || held == nil || held.ID != want.ID {
		t.Errorf("for another the lease is %v (error %v), want that one", held, err)
	}
	commit(t, s, again.Lease, k, renew)
	acquire(t, other, k, time.Hour)
	want.ID = "../" + want.ID[3:]
	_, _, err = s.Acquire(t.Context(), k, want)
	wantCode(t, "Acquire with an ID of another form", err, connector.UsageWrong)
}

func testRelease(t *testing.T, p *place) {
	s, other := p.open(t), p.open(t)
	r := acquire(t, s, create(t, s, saved("c", "n")).Key, time.Hour)
	for range 2 { // the second time it is no longer held
		if err := s.Release(t.Context(), r.Key, r.Lease); err != nil {
			t.Fatalf("Release: %v", err)
		}
	}
	got := get(t, other, r.Key)
	if got.Lease != nil || got.Generation != r.Generation {
		t.Errorf("after a release: lease %v, generation %d", got.Lease, got.Generation)
	}
	if next := acquire(t, other, r.Key, time.Hour); next.Interrupted != nil {
		t.Errorf("a released lease counts as interrupted: %v", next.Interrupted)
	}
}

func testReleaseLost(t *testing.T, p *place) {
	s, other := p.open(t), p.open(t)
	k := create(t, s, saved("c", "n")).Key
	first := acquire(t, s, k, time.Nanosecond)
	second := eventuallyAcquire(t, other, k, time.Hour)
	if err := s.Release(t.Context(), k, first.Lease); err != nil {
		t.Fatalf("Release: %v", err)
	}
	if _, held, err := s.Acquire(t.Context(), k, request(time.Hour)); err != nil || held == nil || held.ID != second.Lease.ID {
		t.Errorf("after somebody else's release the lease is %v (error %v)", held, err)
	}
	d := create(t, s, draft("d"))
	leased := acquire(t, s, d.Key, time.Hour)
	if err := s.Delete(t.Context(), d.Key, leased.Revision); err != nil {
		t.Fatalf("Delete under a lease: %v", err)
	}
	if err := s.Release(t.Context(), d.Key, leased.Lease); err != nil {
		t.Errorf("Release of a deleted draft's lease: %v", err)
	}
}

func testLeaseOfNothing(t *testing.T, p *place) {
	s := p.open(t)
	_, _, err := s.Acquire(t.Context(), key("none"), request(time.Hour))
	wantCode(t, "Acquire", err, connector.ConnectionNotFound)
	_, err = s.Commit(t.Context(), key("none"), &store.Lease{ID: "x"}, func(*store.Record) error { return nil })
	wantCode(t, "Commit", err, connector.ConnectionNotFound)
}
