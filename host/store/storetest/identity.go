package storetest

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/boxconnection/connector/host/store"
)

var identityTests = []test{
	{"the first use records the place", testFirstUse},
	{"many first uses record one place", testManyFirstUses},
	{"a copy is told until it is adopted", testCopy},
	{"an adoption counts and keeps the records", testAdopt},
	{"a store that was copied stays what it is", testOriginal},
	{"an empty copy is a store of its own", testEmptyCopy},
}

func testEmptyCopy(t *testing.T, p *place) {
	s, err := p.Open(t.Context(), p.at)
	if err != nil {
		t.Fatal(err)
	}
	identity(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	there := &place{Harness: p.Harness, at: p.Copy(t, p.at)}
	first := there.open(t)
	if i := identity(t, first); i.Moved() || i.Adoptions != 0 {
		t.Errorf("an empty copy: %+v", i)
	}
	create(t, first, saved("c", "n"))
	if i := identity(t, there.open(t)); i.Moved() {
		t.Errorf("once it holds something: %+v", i)
	}
}

func identity(t testing.TB, s store.Store) store.Identity {
	t.Helper()
	i, err := s.Identity(t.Context())
	if err != nil {
		t.Fatalf("Identity: %v", err)
	}
	return i
}

func testFirstUse(t *testing.T, p *place) {
	i := identity(t, p.open(t))
	if i.Moved() || i.Adoptions != 0 || i.Recorded.Marks == nil {
		t.Errorf("at the first use: %+v", i)
	}
	if diff := cmp.Diff(i, identity(t, p.open(t))); diff != "" {
		t.Errorf("at the second use (-first +second):\n%s", diff)
	}
}

func testManyFirstUses(t *testing.T, p *place) {
	handles := []store.Store{p.open(t), p.open(t), p.open(t)}
	var uses sync.WaitGroup
	for _, s := range handles {
		uses.Go(func() {
			if i, err := s.Identity(t.Context()); err != nil || i.Moved() || i.Recorded.Marks == nil {
				t.Errorf("Identity: %+v, %v", i, err)
			}
		})
	}
	uses.Wait()
}

// copied closes a store with a record and a recorded place, and copies it.
func copied(t *testing.T, p *place) string {
	t.Helper()
	s, err := p.Open(t.Context(), p.at)
	if err != nil {
		t.Fatal(err)
	}
	identity(t, s)
	create(t, s, saved("c", "n"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return p.Copy(t, p.at)
}

func testCopy(t *testing.T, p *place) {
	there := &place{Harness: p.Harness, at: copied(t, p)}
	s := there.open(t)
	i := identity(t, s)
	if !i.Moved() {
		t.Fatalf("a copy looks like the original: %+v", i)
	}
	if diff := cmp.Diff(identity(t, p.open(t)).Recorded, i.Recorded); diff != "" {
		t.Errorf("the copy's record of the place isn't the original's:\n%s", diff)
	}
	adopted, err := s.Adopt(t.Context())
	if err != nil || adopted.Moved() {
		t.Fatalf("Adopt: %+v, %v", adopted, err)
	}
	if diff := cmp.Diff(adopted, identity(t, there.open(t))); diff != "" {
		t.Errorf("read through another handle (-adopted +read):\n%s", diff)
	}
}

func testAdopt(t *testing.T, p *place) {
	s := p.open(t)
	r := create(t, s, saved("c", "n"))
	for want := uint64(1); want <= 2; want++ {
		i, err := s.Adopt(t.Context())
		if err != nil || i.Moved() || i.Adoptions != want {
			t.Fatalf("adoption %d: %+v, %v", want, i, err)
		}
	}
	if diff := cmp.Diff(r, get(t, s, r.Key)); diff != "" {
		t.Errorf("an adoption changed a record (-before +after):\n%s", diff)
	}
}

func testOriginal(t *testing.T, p *place) {
	there := &place{Harness: p.Harness, at: copied(t, p)}
	if _, err := there.open(t).Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if i := identity(t, p.open(t)); i.Moved() || i.Adoptions != 0 {
		t.Errorf("after its copy was adopted: %+v", i)
	}
}
