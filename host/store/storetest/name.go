package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

var nameTests = []test{
	{"two connections don't share a name", testNameTaken},
	{"drafts and tombstones hold no name", testNameFree},
	{"a commit can't take a name either", testNameByCommit},
	{"of many who want a name one gets it", testNameRace},
}

func testNameTaken(t *testing.T, p *place) {
	s, other := p.open(t), p.open(t)
	create(t, s, saved("one", "sales"))
	wantCode(t, "Create with a taken name", other.Create(t.Context(), saved("two", "sales")), connector.ConnectionExists)
	_, err := s.Get(t.Context(), key("two"))
	wantCode(t, "Get of the refused record", err, connector.ConnectionNotFound)

	d := draft("three")
	d.Name = "sales"
	create(t, s, d)
	d.State = store.StateSaved
	wantCode(t, "saving a draft under a taken name", other.Update(t.Context(), d), connector.ConnectionExists)
	if got := get(t, s, d.Key); got.State != store.StateDraft || got.Revision != 1 {
		t.Errorf("the refused draft is %s at revision %d", got.State, got.Revision)
	}
	d.Name = "marketing"
	update(t, other, d)
	d.Name = "sales"
	wantCode(t, "renaming to a taken name", s.Update(t.Context(), d), connector.ConnectionExists)

	for i, k := range []store.Key{
		{Owner: "other", Connection: "c", Environment: "default"},
		{Owner: "local", Connection: "c", Environment: "test"},
	} {
		r := saved("", "sales")
		r.Key = k
		if err := s.Create(t.Context(), r); err != nil {
			t.Errorf("the same name elsewhere (%d): %v", i, err)
		}
	}
	for i := range 2 {
		create(t, s, saved(fmt.Sprintf("nameless-%d", i), ""))
	}
}

func testNameFree(t *testing.T, p *place) {
	s := p.open(t)
	for i := range 2 {
		d := draft(fmt.Sprintf("draft-%d", i))
		d.Name = "sales"
		create(t, s, d)
	}
	r := create(t, s, saved("one", "sales"))
	r.Plugin = "changed" // its own name is no obstacle
	update(t, s, r)
	r.State = store.StateTombstone
	update(t, s, r)
	second := create(t, s, saved("two", "sales"))
	second.Name = "renamed"
	update(t, s, second)
	create(t, s, saved("three", "sales"))
}

func testNameByCommit(t *testing.T, p *place) {
	s := p.open(t)
	create(t, s, saved("one", "sales"))
	r := create(t, s, saved("two", "other"))
	leased := acquire(t, s, r.Key, patience)
	_, err := s.Commit(t.Context(), r.Key, leased.Lease, func(r *store.Record) error { r.Name = "sales"; return nil })
	wantCode(t, "Commit with a taken name", err, connector.ConnectionExists)
	if got := get(t, s, r.Key); got.Name != "other" {
		t.Errorf("the name is %q", got.Name)
	}
}

func testNameRace(t *testing.T, p *place) {
	const racers = 12
	handles := []store.Store{p.open(t), p.open(t), p.open(t)}
	drafts := make([]*store.Record, racers)
	for i := range drafts {
		drafts[i] = draft(fmt.Sprintf("c%d", i))
		if i%2 == 0 { // half of them are saved drafts, half new
			create(t, handles[0], drafts[i])
		}
		drafts[i].Name, drafts[i].State = "sales", store.StateSaved
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for i, r := range drafts {
		s := handles[i%len(handles)]
		wg.Go(func() {
			var err error
			if i%2 == 0 {
				err = s.Update(t.Context(), r)
			} else {
				err = s.Create(t.Context(), r)
			}
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, connector.ConnectionExists):
				t.Errorf("racer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if got := connections(t, handles[0], store.Query{Name: "sales", State: store.StateSaved}); won.Load() != 1 || len(got) != 1 {
		t.Errorf("%d racers were told that they won, and %q hold the name", won.Load(), got)
	}
}
