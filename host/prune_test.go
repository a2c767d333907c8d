package host_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// keyFile gives a place keys in a file, and returns its path.
func (p *place) keyFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	p.keys = openKeys(t, path)
	return path
}

func openKeys(t testing.TB, path string) *seal.Keyring {
	t.Helper()
	keys, err := seal.OpenOrCreate(t.Context(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// age makes the key file look as if it hadn't been changed for an hour.
func age(t testing.TB, path string) {
	t.Helper()
	at := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func rotate(t testing.TB, keys *seal.Keyring) (old seal.KeyID) {
	t.Helper()
	old = keys.Primary()
	if _, err := keys.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return old
}

func (r *rig) prune(path string) host.Pruned {
	r.t.Helper()
	age(r.t, path)
	done, err := r.Prune(r.t.Context(), "tester")
	if err != nil {
		r.t.Fatal(err)
	}
	return done
}

// An old key goes when nothing is sealed with it any more: no credential, no
// revocation that is due, and no sign-in that waits. Nobody signs in again.
func TestOldKeysAreRemovedOnceUnused(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	path := p.keyFile(t)
	idle := openKeys(t, path) // of a process that sleeps through it all
	r := newRig(t, p, svc)
	r.ready("sales")
	svc.fails("RevokeAuthorization", retryable(connector.ServiceUnavailable))
	if err := r.ready("gone").Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	waiting := r.create("waiting")
	begun, err := waiting.BeginSignIn(t.Context(), redirectURI)
	if err != nil {
		t.Fatal(err)
	}
	here := store.Key{Owner: "local", Connection: "x", Environment: "default"}
	backup, err := p.keys.Seal(t.Context(), here, store.FieldCredential, []byte("old"))
	if err != nil {
		t.Fatal(err)
	}
	old := rotate(t, p.keys)
	_, err = r.Prune(t.Context(), "tester")
	if d := wantCode(t, err, connector.StoreBusy); d.RetryAfter <= 0 || d.Disposition != connector.Retry {
		t.Errorf("right after the rotation: %v", d)
	}
	if done := r.prune(path); len(done.Removed) != 0 || !slices.Equal(done.Kept, []host.KeptKey{{Key: old.String(), Values: 1}}) || len(done.Bad) != 0 {
		t.Fatalf("while a sign-in waits: %+v", done)
	}
	if _, err := r.CompleteSignIn(t.Context(), callback(t, begun), begun.Binding); err != nil {
		t.Fatal(err)
	}
	if done := r.prune(path); !slices.Equal(done.Removed, []string{old.String()}) || len(done.Kept) != 0 {
		t.Fatalf("with nothing left: %+v", done)
	}
	if done := r.prune(path); len(done.Removed) != 0 {
		t.Errorf("once more: %+v", done)
	}
	if got := p.audit.outcomes(audit.ActionPrune); !slices.Equal(got, []string{audit.OutcomeOK}) {
		t.Errorf("audit: %v", got)
	}

	// The keys that are left open everything, and the process that slept
	// doesn't seal with the one that is gone.
	p.keys = openKeys(t, path)
	after := newRig(t, p, svc)
	if v, err := after.Verify(t.Context()); err != nil || len(v.Bad) != 0 || len(v.Keys) != 1 {
		t.Fatalf("%+v, %v", v, err)
	}
	wantAccess(t, after.open("sales"), "access-1")
	after.store.advance(day)
	if sum := after.keepAlive(); sum.Revoked != 1 {
		t.Errorf("the outbox: %+v", sum)
	}
	value, err := idle.Seal(t.Context(), here, store.FieldCredential, []byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := p.keys.Open(t.Context(), here, store.FieldCredential, value); err != nil || string(plain) != "new" {
		t.Errorf("what the idle process sealed: %q, %v", plain, err)
	}
	_, err = p.keys.Open(t.Context(), here, store.FieldCredential, backup)
	wantCode(t, err, connector.SealingKeyWrong)
}

// The key of a value that is damaged is kept, and no other for its sake. A
// record of which nothing can be read keeps them all.
func TestKeysOfBadValuesAreKept(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	path := p.keyFile(t)
	r := newRig(t, p, svc)
	a, b := r.ready("a"), r.ready("b")
	move(t, r, a, b)
	first := rotate(t, p.keys)
	if _, bad, err := r.Reseal(t.Context()); err != nil || len(bad) != 1 {
		t.Fatalf("bad %v, %v", bad, err)
	}
	second := rotate(t, p.keys)
	done := r.prune(path)
	if !slices.Equal(done.Removed, []string{second.String()}) || !slices.Equal(done.Kept, []host.KeptKey{{Key: first.String(), Values: 1}}) || len(done.Bad) != 1 {
		t.Fatalf("%+v", done)
	}
	wantAccess(t, newRig(t, p, svc).open("a"), "access-1")

	third := rotate(t, p.keys)
	record := filepath.Join(p.at, "records", "local,default,"+b.ID()+".json")
	if err := os.Truncate(record, 100); err != nil {
		t.Fatal(err)
	}
	done = r.prune(path)
	kept := []string{}
	for _, k := range done.Kept {
		kept = append(kept, k.Key)
	}
	if len(done.Removed) != 0 || len(kept) != 2 || !slices.Contains(kept, third.String()) || len(done.Bad) != 1 {
		t.Errorf("with a record that can't be read: %+v", done)
	}
}
