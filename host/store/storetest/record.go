package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

var recordTests = []test{
	{"a record comes back as it was written", testRoundTrip},
	{"a record is a copy", testCopies},
	{"keys that look alike are apart", testKeys},
	{"a key that was used isn't used again", testCreateTwice},
	{"an update needs the stored revision", testCompareAndSwap},
	{"an update by many loses nothing", testManyUpdates},
	{"an update leaves the lease alone", testUpdateIgnoresLease},
	{"a draft can be deleted and nothing else", testDelete},
	{"a draft ends at its time", testExpiredDraft},
	{"a key that can't be meant is refused", testWrongKey},
	{"times are on the store's clock", testClock},
	{"a closed handle refuses", testClose},
}

func testRoundTrip(t *testing.T, p *place) {
	s := p.open(t)
	at := time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC)
	want := &store.Record{
		Key:        store.Key{Owner: "Größe & <Co>", Connection: "c-1", Environment: "test"},
		Generation: 7, State: store.StateSaved, Name: "Ünïcode \"name\"\n", Base: "base", Connector: "box", Plugin: "/opt/box",
		CredentialFormat: 3, SettingsRevision: 5, OpenedWith: 4,
		Account: &connector.Account{ID: "1", Login: "a@example.com", Name: "A"},
		Verdict: &store.Verdict{
			Generation: 7, SettingsRevision: 5, At: at,
			Diagnostic: connector.Errorf(connector.GrantInvalid, connector.OriginService, "dead").With(connector.SignInAgain),
		},
		Sealed: map[store.Field][]byte{
			store.FieldSettings: {0, 1, 2, 0xff, '\n', '"'}, store.FieldCredential: []byte(strings.Repeat("x", 64<<10)),
		},
		ExpiresAt: at, SignedInAt: at, RenewedAt: at, TestedAt: at, TestPassed: true,
		AccessExpiresAt: at, LapsesAt: at, DueAt: at,
		HeldUntil: 3, Unrevoked: connector.Errorf(connector.StoreNotAdopted, connector.OriginHost, "left"),
	}
	create(t, s, want)
	if want.Revision != 1 || want.CreatedAt.IsZero() || want.UpdatedAt.IsZero() {
		t.Fatalf("Create set revision %d, created %v, updated %v; want 1 and times", want.Revision, want.CreatedAt, want.UpdatedAt)
	}
	for name, handle := range map[string]store.Store{"the same handle": s, "another handle": p.open(t)} {
		if diff := cmp.Diff(want, get(t, handle, want.Key), ignoreCause); diff != "" {
			t.Errorf("read through %s (-written +read):\n%s", name, diff)
		}
	}
	delete(want.Sealed, store.FieldSettings)
	want.Verdict = nil
	update(t, s, want)
	if diff := cmp.Diff(want, get(t, s, want.Key), ignoreCause); diff != "" {
		t.Errorf("after an update (-written +read):\n%s", diff)
	}
	_, err := s.Get(t.Context(), key("none"))
	wantCode(t, "Get of nothing", err, connector.ConnectionNotFound)
}

// ignoreCause compares diagnostics by what is written of them.
var ignoreCause = cmp.Comparer(func(a, b *connector.Diagnostic) bool {
	return a == b || a != nil && b != nil && a.Error() == b.Error() && a.Disposition == b.Disposition && a.Origin == b.Origin
})

func testCopies(t *testing.T, p *place) {
	s := p.open(t)
	r := create(t, s, saved("c", "n"))
	r.Sealed[store.FieldCredential][0] = 'X'
	first := get(t, s, r.Key)
	first.Sealed[store.FieldSettings][0] = 'X'
	first.Name = "changed"
	if diff := cmp.Diff(saved("c", "n").Sealed, get(t, s, r.Key).Sealed); diff != "" {
		t.Errorf("somebody else's change shows (-want +got):\n%s", diff)
	}
}

func testKeys(t *testing.T, p *place) {
	s := p.open(t)
	parts := []string{
		"a", "A", "a,b", "a.b", "..", ".", "../a", "/", "a/b", `a\b`, "a%2fb", "%61", "=a", "-", "con", "Größe/../x", "Gro\u0308ße",
		"nul\x00byte", "line\nfeed", " ", "a ", strings.Repeat("l", 300), strings.Repeat("l", 301), strings.Repeat("ü", 200), "*?", "'; --",
	}
	var keys []store.Key
	for i, part := range parts {
		keys = append(
			keys,
			store.Key{Owner: part, Connection: "c", Environment: "e"},
			store.Key{Owner: "o", Connection: part, Environment: "e"},
			store.Key{Owner: "o", Connection: "c", Environment: part},
			store.Key{Owner: part, Connection: part, Environment: parts[(i+1)%len(parts)]},
		)
	}
	for i, k := range keys {
		if strings.Contains(k.Owner+k.Connection+k.Environment, "\x00") {
			// A store may refuse it, but must not mistake it for another.
			if err := s.Create(t.Context(), &store.Record{Key: k, State: store.StateSaved, Generation: uint64(i)}); err != nil {
				wantCode(t, "Create with a zero byte", err, connector.UsageWrong)
				keys[i] = store.Key{}
			}
			continue
		}
		create(t, s, &store.Record{Key: k, State: store.StateSaved, Generation: uint64(i)})
	}
	for i, k := range keys {
		if k == (store.Key{}) {
			continue
		}
		if got := get(t, s, k); got.Key != k || got.Generation != uint64(i) {
			t.Errorf("Get(%q) gave %q, generation %d, want %d", k, got.Key, got.Generation, i)
		}
	}
}

func testCreateTwice(t *testing.T, p *place) {
	s := p.open(t)
	r := create(t, s, saved("c", "one"))
	again := saved("c", "two")
	wantCode(t, "a second Create", s.Create(t.Context(), again), connector.ConnectionExists)
	if again.Revision != 0 {
		t.Errorf("the refused record got revision %d", again.Revision)
	}
	r.State, r.Sealed = store.StateTombstone, nil
	update(t, s, r)
	wantCode(t, "Create over a tombstone", s.Create(t.Context(), saved("c", "three")), connector.ConnectionExists)
	got := get(t, s, r.Key)
	if got.State != store.StateTombstone || len(got.Sealed) != 0 {
		t.Errorf("the tombstone is %s with %d sealed values", got.State, len(got.Sealed))
	}
	if got.Sealed == nil {
		t.Error("a record without sealed values has no map for them")
	}
}

func testCompareAndSwap(t *testing.T, p *place) {
	s, other := p.open(t), p.open(t)
	r := create(t, s, saved("c", "n"))
	mine, theirs := get(t, s, r.Key), get(t, other, r.Key)
	theirs.Plugin = "theirs"
	update(t, other, theirs)
	if theirs.Revision != 2 || theirs.UpdatedAt.Before(r.UpdatedAt) {
		t.Errorf("the update set revision %d, updated %v", theirs.Revision, theirs.UpdatedAt)
	}
	mine.Plugin = "mine"
	wantCode(t, "the second Update", s.Update(t.Context(), mine), connector.ConnectionChanged)
	if mine.Revision != 1 {
		t.Errorf("the lost update set revision %d", mine.Revision)
	}
	if got := get(t, s, r.Key); got.Plugin != "theirs" || got.Revision != 2 {
		t.Errorf("got %q at revision %d, want theirs at 2", got.Plugin, got.Revision)
	}
	ahead := get(t, s, r.Key)
	ahead.Revision++
	wantCode(t, "an Update from the future", s.Update(t.Context(), ahead), connector.ConnectionChanged)
	wantCode(t, "an Update of nothing", s.Update(t.Context(), saved("none", "x")), connector.ConnectionNotFound)
}

func testManyUpdates(t *testing.T, p *place) {
	const writers, each = 8, 8
	handles := []store.Store{p.open(t), p.open(t), p.open(t)}
	r := create(t, handles[0], saved("c", "n"))
	var wg sync.WaitGroup
	for i := range writers {
		s := handles[i%len(handles)]
		wg.Go(func() {
			for done := 0; done < each; {
				got, err := s.Get(t.Context(), r.Key)
				if err != nil {
					t.Errorf("Get: %v", err)
					return
				}
				got.SettingsRevision++
				switch err := s.Update(t.Context(), got); {
				case err == nil:
					done++
				case !errors.Is(err, connector.ConnectionChanged):
					t.Errorf("Update: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	got := get(t, handles[0], r.Key)
	if want := r.SettingsRevision + writers*each; got.SettingsRevision != want || got.Revision != 1+writers*each {
		t.Errorf("%d changes at revision %d, want %d at %d", got.SettingsRevision, got.Revision, want, 1+writers*each)
	}
}

func testUpdateIgnoresLease(t *testing.T, p *place) {
	s, other := p.open(t), p.open(t)
	forged := saved("c", "n")
	forged.Lease = &store.Lease{ID: "forged", Until: time.Now().Add(time.Hour)}
	create(t, s, forged)
	if got := get(t, s, forged.Key); got.Lease != nil {
		t.Fatalf("Create stored the lease %v", got.Lease)
	}
	r := acquire(t, s, forged.Key, time.Hour)
	theirs := get(t, other, r.Key)
	theirs.Lease = nil
	theirs.Plugin = "theirs"
	update(t, other, theirs)
	got := get(t, s, r.Key)
	if got.Lease == nil || got.Lease.ID != r.Lease.ID || got.Plugin != "theirs" {
		t.Errorf("after an Update under a lease: lease %v, plugin %q", got.Lease, got.Plugin)
	}
	if _, err := s.Commit(t.Context(), r.Key, r.Lease, func(r *store.Record) error { r.Generation++; return nil }); err != nil {
		t.Errorf("Commit after an Update that left the generation: %v", err)
	}
}

func testDelete(t *testing.T, p *place) {
	s := p.open(t)
	d := create(t, s, draft("d"))
	wantCode(t, "Delete of another revision", s.Delete(t.Context(), d.Key, d.Revision+1), connector.ConnectionChanged)
	if err := s.Delete(t.Context(), d.Key, d.Revision); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	_, err := s.Get(t.Context(), d.Key)
	wantCode(t, "Get of a deleted draft", err, connector.ConnectionNotFound)
	wantCode(t, "a second Delete", s.Delete(t.Context(), d.Key, d.Revision), connector.ConnectionNotFound)

	c := create(t, s, saved("c", "n"))
	wantCode(t, "Delete of a connection", s.Delete(t.Context(), c.Key, c.Revision), connector.UsageWrong)
	get(t, s, c.Key)
}

func testExpiredDraft(t *testing.T, p *place) {
	s, other := p.open(t), p.open(t)
	d := draft("d")
	d.ExpiresAt = now(t, s).Add(250 * time.Millisecond)
	create(t, s, d)
	stays := create(t, s, draft("stays"))
	connection := saved("c", "n")
	connection.ExpiresAt = now(t, s).Add(-time.Hour)
	create(t, s, connection)

	for _, handle := range []store.Store{s, other} {
		eventually(t, "the end of the draft", func() bool {
			before := now(t, handle)
			_, err := handle.Get(t.Context(), d.Key)
			if err == nil {
				return false
			}
			wantCode(t, "Get of an expired draft", err, connector.ConnectionNotFound)
			if after := now(t, handle); after.Before(d.ExpiresAt) {
				t.Fatalf("the draft ended before its time: %v (asked at %v) < %v", after, before, d.ExpiresAt)
			}
			return true
		})
	}
	wantCode(t, "Update of an expired draft", s.Update(t.Context(), d), connector.ConnectionNotFound)
	_, _, err := s.Acquire(t.Context(), d.Key, request(time.Minute))
	wantCode(t, "Acquire of an expired draft", err, connector.ConnectionNotFound)
	if got := connections(t, s, store.Query{}); !cmp.Equal(got, []string{"stays", "c"}) {
		t.Errorf("listed %q, want the other draft and the connection", got)
	}
	get(t, s, stays.Key)
	get(t, s, connection.Key)
}

func testWrongKey(t *testing.T, p *place) {
	s := p.open(t)
	nameless := saved("c", "\xff")
	wantCode(t, "Create with a name that isn't UTF-8", s.Create(t.Context(), nameless), connector.UsageWrong)
	for _, k := range []store.Key{{}, {Owner: "\xff", Connection: "c", Environment: "e"}, {Connection: "c", Environment: "e"}, {Owner: "o", Environment: "e"}, {Owner: "o", Connection: "c"}} {
		r := saved("c", "n")
		r.Key = k
		wantCode(t, fmt.Sprintf("Create(%v)", k), s.Create(t.Context(), r), connector.UsageWrong)
		_, err := s.Get(t.Context(), k)
		wantCode(t, fmt.Sprintf("Get(%v)", k), err, connector.UsageWrong)
	}
	if got := connections(t, s, store.Query{}); len(got) != 0 {
		t.Errorf("listed %q, want nothing", got)
	}
}

func testClock(t *testing.T, p *place) {
	s := p.open(t)
	before := now(t, s)
	r := create(t, s, saved("c", "n"))
	between := now(t, s)
	leased := acquire(t, s, r.Key, time.Minute)
	after := now(t, s)
	for what, span := range map[string][3]time.Time{
		"created":     {before, r.CreatedAt, between},
		"updated":     {before, r.UpdatedAt, between},
		"lease since": {between, leased.Lease.Since, after},
	} {
		if span[1].Before(span[0]) || span[1].After(span[2]) {
			t.Errorf("%s %v, want from %v to %v", what, span[1], span[0], span[2])
		}
	}
	if got := leased.Lease.Until.Sub(leased.Lease.Since); got != time.Minute {
		t.Errorf("the lease lasts %v, want the minute that was asked for", got)
	}
	if got := get(t, s, r.Key); !got.CreatedAt.Equal(r.CreatedAt) {
		t.Errorf("created at %v, want %v as Create said", got.CreatedAt, r.CreatedAt)
	}
}

func testClose(t *testing.T, p *place) {
	s, other := p.open(t), p.open(t)
	r := create(t, s, saved("c", "n"))
	if err := other.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	_, err := other.Get(t.Context(), r.Key)
	wantCode(t, "Get after Close", err, connector.StoreUnavailable)
	wantCode(t, "Update after Close", other.Update(t.Context(), r), connector.StoreUnavailable)
	get(t, s, r.Key)
}
