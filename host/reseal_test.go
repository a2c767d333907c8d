package host_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// Keys are rotated under live connections: everything is sealed anew, opens,
// and nobody signs in again.
func TestKeysAreRotatedUnderLiveConnections(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	keys, err := seal.OpenOrCreate(t.Context(), filepath.Join(t.TempDir(), "keys.json"), false)
	if err != nil {
		t.Fatal(err)
	}
	p.keys = keys
	r := newRig(t, p, svc)
	r.ready("sales")
	r.ready("support")
	old := keys.Primary()
	if _, err := keys.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	changed, bad, err := r.Reseal(t.Context())
	if err != nil || changed != 2 || len(bad) != 0 {
		t.Fatalf("%d changed, bad %v, %v", changed, bad, err)
	}
	listed, err := r.store.List(t.Context(), store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range listed {
		for field, sealed := range l.Record.Sealed {
			if id, _ := seal.SealedWith(sealed); id == old {
				t.Errorf("%s of %v is sealed with the old key", field, l.Key)
			}
		}
	}
	if changed, _, err := r.Reseal(t.Context()); err != nil || changed != 0 {
		t.Fatalf("again: %d changed, %v", changed, err)
	}
	wantAccess(t, newRig(t, p, svc).open("sales"), "access-1")
}

// One value that was tampered with, or moved from another record, is named and
// hides no other.
func TestVerifyNamesEachBadValue(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	a, b := r.ready("a"), r.ready("b")
	if v, err := r.Verify(t.Context()); err != nil || len(v.Bad) != 0 || v.Records != 2 || v.Values != 4 {
		t.Fatalf("%+v, %v", v, err)
	}
	move(t, r, a, b)
	v, err := r.Verify(t.Context())
	if err != nil || len(v.Bad) != 1 || v.Values != 3 || v.Bad[0].Field != store.FieldCredential || v.Bad[0].Key.Connection != b.ID() {
		t.Fatalf("%+v, %v", v, err)
	}
	if v.Bad[0].Err.Code != connector.StoreDamaged {
		t.Fatalf("%v", v.Bad[0].Err)
	}
	_, err = access(t, newRig(t, p, svc).open("b"), connector.AccessRequest{})
	wantCode(t, err, connector.StoreDamaged)
	wantAccess(t, a, "access-1")
}

// move puts the ciphertext of one connection's credential into another's
// record.
func move(t *testing.T, r *rig, from, to *host.Connection) {
	t.Helper()
	ctx := context.Background()
	key := store.Key{Owner: "local", Connection: from.ID(), Environment: host.DefaultEnvironment}
	source, err := r.store.Get(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	key.Connection = to.ID()
	target, err := r.store.Get(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	target.Sealed[store.FieldCredential] = source.Sealed[store.FieldCredential]
	if err := r.store.Update(ctx, target); err != nil {
		t.Fatal(err)
	}
}
