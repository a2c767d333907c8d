package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

var modelTests = []test{
	{"any sequence of calls ends as the interface says", testModel},
}

// model is what the interface says about the records of one owner.
type model struct {
	owner   string
	records map[string]*modelRecord
	// taken are all leases that were ever taken, oldest first.
	taken []takenLease
}

type modelRecord struct {
	revision, generation uint64
	state                store.State
	name                 string
	// lease and interrupted are IDs, or "" for none.
	lease, interrupted string
	// over says that the lease's deadline has passed.
	over bool
}

type takenLease struct {
	connection string
	lease      *store.Lease
}

func testModel(t *testing.T, p *place) {
	handles := []store.Store{p.open(t), p.open(t)}
	var owners atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{owner: fmt.Sprintf("owner-%d", owners.Add(1)), records: map[string]*modelRecord{}}
		step := func(do func(*rapid.T, store.Store)) func(*rapid.T) {
			return func(rt *rapid.T) { do(rt, handles[rapid.IntRange(0, len(handles)-1).Draw(rt, "handle")]) }
		}
		rt.Repeat(map[string]func(*rapid.T){
			"create":  step(func(rt *rapid.T, s store.Store) { m.create(t, rt, s) }),
			"update":  step(func(rt *rapid.T, s store.Store) { m.update(t, rt, s) }),
			"delete":  step(func(rt *rapid.T, s store.Store) { m.delete(t, rt, s) }),
			"acquire": step(func(rt *rapid.T, s store.Store) { m.acquire(t, rt, s) }),
			"commit":  step(func(rt *rapid.T, s store.Store) { m.commit(t, rt, s) }),
			"release": step(func(rt *rapid.T, s store.Store) { m.release(t, rt, s) }),
			"":        step(func(rt *rapid.T, s store.Store) { m.check(t, rt, s) }),
		})
	})
}

func (m *model) key(connection string) store.Key {
	return store.Key{Owner: m.owner, Connection: connection, Environment: "default"}
}

var (
	drawConnection = rapid.SampledFrom([]string{"a", "b", "c"})
	drawName       = rapid.SampledFrom([]string{"", "x", "y"})
	drawState      = rapid.SampledFrom([]store.State{store.StateDraft, store.StateSaved, store.StateTombstone})
)

// nameTaken says whether another saved record has the name.
func (m *model) nameTaken(connection, name string, state store.State) bool {
	for other, r := range m.records {
		if other != connection && state == store.StateSaved && name != "" && r.state == store.StateSaved && r.name == name {
			return true
		}
	}
	return false
}

// expect compares a call's outcome with the model's; "" means no error. It
// returns whether the call should have done something.
func expect(rt *rapid.T, what string, err error, want connector.Code) bool {
	got := connector.Code("")
	if err != nil {
		got = connector.Diagnose(err, connector.OriginHost).Code
	}
	if got != want {
		rt.Fatalf("%s: %q (%v), want %q", what, got, err, want)
	}
	return want == ""
}

func (m *model) create(t *testing.T, rt *rapid.T, s store.Store) {
	c, name, state := drawConnection.Draw(rt, "connection"), drawName.Draw(rt, "name"), drawState.Draw(rt, "state")
	want := connector.Code("")
	if m.records[c] != nil || m.nameTaken(c, name, state) {
		want = connector.ConnectionExists
	}
	r := &store.Record{Key: m.key(c), State: state, Name: name, Generation: 1}
	if expect(rt, "Create", s.Create(t.Context(), r), want) {
		m.records[c] = &modelRecord{revision: 1, generation: 1, state: state, name: name}
	}
}

func (m *model) update(t *testing.T, rt *rapid.T, s store.Store) {
	c, name, state := drawConnection.Draw(rt, "connection"), drawName.Draw(rt, "name"), drawState.Draw(rt, "state")
	stale, renewed := rapid.Bool().Draw(rt, "stale"), rapid.Bool().Draw(rt, "new generation")
	r := &store.Record{Key: m.key(c), State: state, Name: name}
	want := connector.Code("")
	known := m.records[c]
	switch {
	case known == nil:
		want = connector.ConnectionNotFound
	case stale:
		want = connector.ConnectionChanged
	case m.nameTaken(c, name, state):
		want = connector.ConnectionExists
	}
	if known != nil {
		r.Revision, r.Generation = known.revision, known.generation
	}
	if stale {
		r.Revision--
	}
	if renewed {
		r.Generation++
	}
	if expect(rt, "Update", s.Update(t.Context(), r), want) {
		known.revision++
		known.generation, known.state, known.name = r.Generation, state, name
	}
}

func (m *model) delete(t *testing.T, rt *rapid.T, s store.Store) {
	c := drawConnection.Draw(rt, "connection")
	want, revision := connector.ConnectionNotFound, uint64(1)
	if known := m.records[c]; known != nil {
		revision = known.revision
		want = connector.UsageWrong
		if known.state == store.StateDraft {
			want = ""
		}
	}
	if expect(rt, "Delete", s.Delete(t.Context(), m.key(c), revision), want) {
		delete(m.records, c)
		// A record of the same ID may come again, but its leases are lost.
		m.taken = nil
	}
}

func (m *model) acquire(t *testing.T, rt *rapid.T, s store.Store) {
	c, brief := drawConnection.Draw(rt, "connection"), rapid.Bool().Draw(rt, "brief")
	span := time.Hour
	if brief {
		span = time.Nanosecond
	}
	r, held, err := s.Acquire(t.Context(), m.key(c), request(span))
	known := m.records[c]
	if known == nil {
		expect(rt, "Acquire", err, connector.ConnectionNotFound)
		return
	}
	expect(rt, "Acquire", err, "")
	if known.lease != "" && !known.over {
		if r != nil || held == nil || held.ID != known.lease {
			rt.Fatalf("Acquire gave record %v and lease %v, want the lease %s", r, held, known.lease)
		}
		return
	}
	if held != nil || r == nil || r.Lease == nil {
		rt.Fatalf("Acquire gave record %v and lease %v of a free one", r, held)
	}
	if known.lease != "" {
		known.interrupted = known.lease
	}
	known.lease, known.over = r.Lease.ID, brief
	known.revision++
	m.taken = append(m.taken, takenLease{c, r.Lease})
	if brief {
		eventually(t, "the end of the lease", func() bool { return now(t, s).After(r.Lease.Until) })
	}
}

func (m *model) draw(rt *rapid.T) takenLease {
	if len(m.taken) == 0 {
		rt.Skip("no lease was taken yet")
	}
	return rapid.SampledFrom(m.taken).Draw(rt, "lease")
}

func (m *model) commit(t *testing.T, rt *rapid.T, s store.Store) {
	taken, renewed := m.draw(rt), rapid.Bool().Draw(rt, "new generation")
	known := m.records[taken.connection]
	want := connector.Code("")
	if known.generation != taken.lease.Generation {
		want = connector.ConnectionChanged
	}
	_, err := s.Commit(t.Context(), m.key(taken.connection), taken.lease, func(r *store.Record) error {
		if renewed {
			r.Generation++
		}
		return nil
	})
	if !expect(rt, "Commit", err, want) {
		return
	}
	known.revision++
	if known.lease == taken.lease.ID {
		known.lease = ""
	}
	if renewed {
		known.generation++
		known.interrupted = ""
	}
}

func (m *model) release(t *testing.T, rt *rapid.T, s store.Store) {
	taken := m.draw(rt)
	expect(rt, "Release", s.Release(t.Context(), m.key(taken.connection), taken.lease), "")
	if known := m.records[taken.connection]; known.lease == taken.lease.ID {
		known.lease = ""
		known.revision++
	}
}

// check compares all records with the model.
func (m *model) check(t *testing.T, rt *rapid.T, s store.Store) {
	listed, err := s.List(t.Context(), store.Query{Owner: m.owner})
	if err != nil || len(listed) != len(m.records) {
		rt.Fatalf("List gave %d records and error %v, want %d", len(listed), err, len(m.records))
	}
	for _, l := range listed {
		known, r := m.records[l.Key.Connection], l.Record
		if known == nil || r == nil {
			rt.Fatalf("listed %v: %v", l.Key, l.Err)
		}
		got := modelRecord{
			revision: r.Revision, generation: r.Generation, state: r.State, name: r.Name,
			lease: leaseID(r.Lease), interrupted: leaseID(r.Interrupted), over: known.over,
		}
		if got != *known {
			rt.Fatalf("record %s is %+v, want %+v", l.Key.Connection, got, *known)
		}
	}
}

func leaseID(l *store.Lease) string {
	if l == nil {
		return ""
	}
	return l.ID
}
