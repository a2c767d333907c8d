package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

var listTests = []test{
	{"a query selects", testQuery},
	{"a list is ordered by name and key", testListOrder},
	{"a bad record is listed and hides nothing", testBadRecord},
	{"what is due comes in order", testDue},
}

// connections returns the IDs of what a query lists.
func connections(t testing.TB, s store.Store, q store.Query) []string {
	t.Helper()
	listed, err := s.List(t.Context(), q)
	if err != nil {
		t.Fatalf("List(%+v): %v", q, err)
	}
	ids := []string{}
	for _, l := range listed {
		if l.Err != nil || l.Record == nil {
			t.Fatalf("List(%+v): %v: %v", q, l.Key, l.Err)
		}
		if l.Key != l.Record.Key {
			t.Errorf("listed %v with the record of %v", l.Key, l.Record.Key)
		}
		ids = append(ids, l.Key.Connection)
	}
	return ids
}

func testQuery(t *testing.T, p *place) {
	s := p.open(t)
	if got := connections(t, s, store.Query{}); len(got) != 0 {
		t.Errorf("an empty store lists %q", got)
	}
	create(t, s, saved("a", "1"))
	create(t, s, draft("b"))
	elsewhere := saved("c", "2")
	elsewhere.Key.Owner = "other"
	create(t, s, elsewhere)
	trial := saved("d", "3")
	trial.Key.Environment = "test"
	create(t, s, trial)
	edit := draft("e")
	edit.Base = "a"
	create(t, s, edit)
	dead := saved("f", "4")
	dead.State = store.StateTombstone
	create(t, s, dead)

	for _, c := range []struct {
		query store.Query
		want  []string
	}{
		{store.Query{}, []string{"b", "e", "a", "c", "d", "f"}},
		{store.Query{Owner: "other"}, []string{"c"}},
		{store.Query{Owner: "nobody"}, []string{}},
		{store.Query{Environment: "test"}, []string{"d"}},
		{store.Query{Name: "1"}, []string{"a"}},
		{store.Query{Connection: "c"}, []string{"c"}},
		{store.Query{Connection: "a", Environment: "test"}, []string{}},
		{store.Query{State: store.StateDraft}, []string{"b", "e"}},
		{store.Query{State: store.StateTombstone}, []string{"f"}},
		{store.Query{Base: "a"}, []string{"e"}},
		{store.Query{Owner: "local", Environment: "default", State: store.StateSaved}, []string{"a"}},
		{store.Query{Owner: "local", Name: "2"}, []string{}},
	} {
		if diff := cmp.Diff(c.want, connections(t, s, c.query)); diff != "" {
			t.Errorf("List(%+v) (-want +got):\n%s", c.query, diff)
		}
	}
}

func testListOrder(t *testing.T, p *place) {
	s := p.open(t)
	for _, c := range [][2]string{{"c3", "b"}, {"c1", "c"}, {"c2", "a"}, {"c9", ""}, {"c8", ""}} {
		create(t, s, saved(c[0], c[1]))
	}
	if diff := cmp.Diff([]string{"c8", "c9", "c2", "c3", "c1"}, connections(t, s, store.Query{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// One record that can't be read must not stop the others from being listed,
// opened, saved or deleted, nor be taken for one that isn't there.
func testBadRecord(t *testing.T, p *place) {
	if p.Damage == nil {
		t.Skip("the harness can't damage a record of this store")
	}
	s := p.open(t)
	create(t, s, saved("good", "good"))
	bad := saved("bad", "bad")
	bad.DueAt = now(t, s).Add(-time.Hour)
	create(t, s, bad)
	p.Damage(t, p.at, bad.Key)
	s = p.open(t)

	listed, err := s.List(t.Context(), store.Query{})
	if err != nil || len(listed) != 2 {
		t.Fatalf("List gave %d entries and error %v, want 2 and none", len(listed), err)
	}
	for _, l := range listed {
		switch l.Key {
		case key("good"):
			if l.Err != nil || l.Record == nil {
				t.Errorf("the good record is listed with error %v", l.Err)
			}
		case bad.Key:
			if l.Err == nil || l.Record != nil || l.Err.Code != connector.StoreDamaged {
				t.Errorf("the bad record is listed with error %v, want %s", l.Err, connector.StoreDamaged)
			}
		default:
			t.Errorf("listed %v", l.Key)
		}
	}
	_, err = s.Get(t.Context(), bad.Key)
	wantCode(t, "Get", err, connector.StoreDamaged)
	wantCode(t, "Update", s.Update(t.Context(), bad), connector.StoreDamaged)
	_, _, err = s.Acquire(t.Context(), bad.Key, request(time.Minute))
	wantCode(t, "Acquire", err, connector.StoreDamaged)
	wantCode(t, "Create", s.Create(t.Context(), saved("bad", "new")), connector.ConnectionExists)

	if _, err := s.Due(t.Context(), 10); err != nil {
		t.Errorf("Due beside a bad record: %v", err)
	}
	acquire(t, s, key("good"), time.Minute)
	create(t, s, saved("third", "third"))
	d := create(t, s, draft("fourth"))
	if err := s.Delete(t.Context(), d.Key, d.Revision); err != nil {
		t.Errorf("Delete beside a bad record: %v", err)
	}
}

func testDue(t *testing.T, p *place) {
	s := p.open(t)
	at := now(t, s)
	for id, due := range map[string]time.Time{
		"second": at.Add(-2 * time.Hour), "first": at.Add(-3 * time.Hour), "third": at.Add(-time.Second),
		"later": at.Add(time.Hour), "never": {},
	} {
		r := saved(id, id)
		r.DueAt = due
		create(t, s, r)
	}
	dead := saved("dead", "dead")
	dead.State, dead.DueAt = store.StateTombstone, at.Add(-4*time.Hour)
	create(t, s, dead)

	for _, c := range []struct {
		limit int
		want  []store.Key
	}{
		{10, []store.Key{dead.Key, key("first"), key("second"), key("third")}},
		{2, []store.Key{dead.Key, key("first")}},
		{0, nil},
	} {
		got, err := s.Due(t.Context(), c.limit)
		if err != nil {
			t.Fatalf("Due(%d): %v", c.limit, err)
		}
		if len(got) != len(c.want) || len(got) > 0 && !cmp.Equal(got, c.want) {
			t.Errorf("Due(%d) = %v, want %v", c.limit, got, c.want)
		}
	}
	done := get(t, s, key("first"))
	done.DueAt = time.Time{}
	update(t, s, done)
	if got, err := s.Due(t.Context(), 2); err != nil || !cmp.Equal(got, []store.Key{dead.Key, key("second")}) {
		t.Errorf("after an update Due = %v, %v", got, err)
	}
}
