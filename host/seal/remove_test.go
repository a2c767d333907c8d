package seal_test

import (
	"os"
	"strings"
	"testing"

	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// A key that was removed opens nothing any more, which is told with its time;
// the others are as they were, in every process that has the file open.
func TestRemove(t *testing.T) {
	t.Parallel()
	path := keyFile(t)
	k, idle := openOrCreate(t, path, false), openOrCreate(t, path, true)
	first := k.Primary()
	before := sealed(t, k, "before")
	if _, err := k.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "removing the primary key", k.Remove(t.Context(), k.Primary()), connector.UsageWrong)
	for range 2 {
		if err := k.Remove(t.Context(), first); err != nil {
			t.Fatalf("Remove: %v", err)
		}
	}
	after := sealed(t, k, "after")
	for name, keyring := range map[string]*seal.Keyring{"the remover": k, "a new one": openOrCreate(t, path, true)} {
		opens(t, keyring, after, "after")
		_, err := keyring.Open(t.Context(), testKey, store.FieldCredential, before)
		if d := diagnostic(t, name, err, connector.SealingKeyWrong); !strings.Contains(d.Summary, "removed from "+path) {
			t.Errorf("%s doesn't say that the key was removed: %v", name, d)
		}
	}
	// A process that has met nothing new seals with the new key, and rotates the
	// file that is there.
	opens(t, k, sealed(t, idle, "idle"), "idle")
	if _, err := idle.Rotate(t.Context()); err != nil {
		t.Errorf("Rotate: %v", err)
	}
	if list, err := os.ReadFile(path + ".retired"); err != nil || !strings.HasPrefix(string(list), first.String()+" 20") {
		t.Errorf("the list of removed keys: %q, %v", list, err)
	}
}

// A rotation is followed by a process that only seals.
func TestSealFollowsARotation(t *testing.T) {
	t.Parallel()
	path := keyFile(t)
	k, other := openOrCreate(t, path, false), openOrCreate(t, path, true)
	id, err := k.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if with, _ := seal.SealedWith(sealed(t, other, "x")); with != id {
		t.Errorf("sealed with %v, want %v", with, id)
	}
}

func TestRemoveNeedsAFile(t *testing.T) {
	t.Parallel()
	set, err := seal.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	k, err := seal.Parse(set)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "Remove", k.Remove(t.Context(), 1), connector.UsageWrong)
	_, err = k.ChangedAt()
	wantCode(t, "ChangedAt", err, connector.UsageWrong)
}
