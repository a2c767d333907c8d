// Package storetest holds the tests that every [store.Store] must pass. They
// open one place through several handles and from several processes, and kill
// and freeze those processes.
//
// A store's own test package needs two functions:
//
//	func TestMain(m *testing.M) {
//		if code, ok := storetest.Worker(open); ok {
//			os.Exit(code)
//		}
//		os.Exit(m.Run())
//	}
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Harness{New: ..., Open: open})
//	}
package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// OpenFunc opens a place. It is called in the test's process and in others.
type OpenFunc func(ctx context.Context, place string) (store.Store, error)

// Harness says how a store is tested.
type Harness struct {
	// New makes a new, empty place and returns how Open finds it: a path, a
	// connection string. It removes the place when the test ends.
	New func(t testing.TB) (place string)
	// Open opens a place; each call gives another handle.
	Open OpenFunc
	// SensesDeath says that the lease of a dead process is free at once. Without
	// it, it must be free at its deadline.
	SensesDeath bool
	// Damage spoils the record of a key so that it can't be read. Nil leaves out
	// the tests of damaged records.
	Damage func(t testing.TB, place string, key store.Key)
	// Copy makes a copy of a place, as a restored backup is, and returns how
	// Open finds it. Nothing has the place open meanwhile.
	Copy func(t testing.TB, place string) string
}

// patience bounds everything that should happen soon. It is long, since the
// machine may be busy; no passing test waits for it.
const patience = 30 * time.Second

// Run runs all tests as subtests of t, in parallel.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"record", recordTests},
		{"name", nameTests},
		{"list", listTests},
		{"lease", leaseTests},
		{"flow", flowTests},
		{"throttle", throttleTests},
		{"identity", identityTests},
		{"context", contextTests},
		{"process", processTests},
		{"model", modelTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					test.run(t, newPlace(t, h))
				})
			}
		})
	}
}

// test is one behaviour of a store, tried in a place of its own.
type test struct {
	name string
	run  func(t *testing.T, p *place)
}

// place is where a test's records are.
type place struct {
	Harness

	at string
}

func newPlace(t testing.TB, h Harness) *place {
	t.Helper()
	return &place{Harness: h, at: h.New(t)}
}

// open returns another handle, which is closed when the test ends.
func (p *place) open(t testing.TB) store.Store {
	t.Helper()
	s, err := p.Open(t.Context(), p.at)
	if err != nil {
		t.Fatalf("opening the store: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return s
}

func key(connection string) store.Key {
	return store.Key{Owner: "local", Connection: connection, Environment: "default"}
}

func saved(connection, name string) *store.Record {
	return &store.Record{
		Key: key(connection), State: store.StateSaved, Name: name, Connector: "box", Generation: 1, SettingsRevision: 1,
		Sealed: map[store.Field][]byte{store.FieldCredential: []byte("sealed"), store.FieldSettings: []byte("sealed too")},
	}
}

func draft(connection string) *store.Record {
	r := saved(connection, "")
	r.State = store.StateDraft
	r.ExpiresAt = time.Now().Add(time.Hour)
	return r
}

func create(t testing.TB, s store.Store, r *store.Record) *store.Record {
	t.Helper()
	if err := s.Create(t.Context(), r); err != nil {
		t.Fatalf("Create(%v): %v", r.Key, err)
	}
	return r
}

func get(t testing.TB, s store.Store, k store.Key) *store.Record {
	t.Helper()
	r, err := s.Get(t.Context(), k)
	if err != nil {
		t.Fatalf("Get(%v): %v", k, err)
	}
	return r
}

func update(t testing.TB, s store.Store, r *store.Record) {
	t.Helper()
	if err := s.Update(t.Context(), r); err != nil {
		t.Fatalf("Update(%v): %v", r.Key, err)
	}
}

func now(t testing.TB, s store.Store) time.Time {
	t.Helper()
	at, err := s.Now(t.Context())
	if err != nil {
		t.Fatalf("Now: %v", err)
	}
	return at
}

// acquire takes a lease that must be free.
func acquire(t testing.TB, s store.Store, k store.Key, span time.Duration) *store.Record {
	t.Helper()
	r, held, err := s.Acquire(t.Context(), k, request(span))
	if err != nil {
		t.Fatalf("Acquire(%v): %v", k, err)
	}
	if held != nil {
		t.Fatalf("Acquire(%v): held by %s until %v", k, held.Holder, held.Until)
	}
	return r
}

func request(span time.Duration) store.LeaseRequest {
	return store.LeaseRequest{Holder: "storetest", Intent: "renew", For: span}
}

// wantCode fails the test unless err is a diagnostic with the code.
func wantCode(t testing.TB, what string, err error, code connector.Code) {
	t.Helper()
	d, ok := errors.AsType[*connector.Diagnostic](err)
	if !ok || d.Code != code {
		t.Fatalf("%s: got error %v, want a diagnostic %s", what, err, code)
	}
}

// eventually asks until the answer is true, and fails the test if that takes
// too long.
func eventually(t testing.TB, what string, ask func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// eventuallyAcquire takes a lease as soon as it is free.
func eventuallyAcquire(t testing.TB, s store.Store, k store.Key, span time.Duration) *store.Record {
	t.Helper()
	var r *store.Record
	eventually(t, "acquiring the lease", func() bool {
		got, held, err := s.Acquire(t.Context(), k, request(span))
		if err != nil {
			t.Fatalf("Acquire: %v", err)
		}
		r = got
		return held == nil
	})
	return r
}
