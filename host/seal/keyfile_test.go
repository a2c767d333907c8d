package seal_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// visitVariable makes the test binary open or make the key file at its value.
const visitVariable = "SEAL_VISIT"

// visit prints the primary key's ID.
func visit(path string) (code int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	k, err := seal.OpenOrCreate(ctx, path, false)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(k.Primary())
	return 0
}

func keyFile(t testing.TB) string { return filepath.Join(t.TempDir(), "keys", "keyset.json") }

func openOrCreate(t testing.TB, path string, dataExists bool) *seal.Keyring {
	t.Helper()
	k, err := seal.OpenOrCreate(t.Context(), path, dataExists)
	if err != nil {
		t.Fatalf("OpenOrCreate: %v", err)
	}
	return k
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	path := keyFile(t)
	k := openOrCreate(t, path, false)
	value := sealed(t, k, "secret")
	again := openOrCreate(t, path, true)
	opens(t, again, value, "secret")
	for path, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want && runtime.GOOS != "windows" {
			t.Errorf("%s has mode %v, want %v", path, got, want)
		}
	}
}

// A new key beside old data would hide that the old one is lost. The key that
// comes back opens everything.
func TestMissingKeyBesideData(t *testing.T) {
	t.Parallel()
	path := keyFile(t)
	value := sealed(t, openOrCreate(t, path, false), "secret")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	_, err := seal.OpenOrCreate(t.Context(), path, true)
	if d := diagnostic(t, "without the key", err, connector.SealingKeyMissing); !strings.Contains(d.Summary, path) {
		t.Errorf("the diagnostic doesn't name the file: %v", d)
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("a new key was made")
	}
	other := openOrCreate(t, path, false)
	_, err = other.Open(t.Context(), testKey, store.FieldCredential, value)
	if d := diagnostic(t, "with another key", err, connector.SealingKeyWrong); !strings.Contains(d.Summary, path) {
		t.Errorf("the diagnostic doesn't name the file: %v", d)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	opens(t, openOrCreate(t, path, true), value, "secret")
}

func TestDamagedKeyFile(t *testing.T) {
	t.Parallel()
	path := keyFile(t)
	openOrCreate(t, path, false)
	for _, size := range []int64{0, 10} {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		for _, dataExists := range []bool{false, true} {
			_, err := seal.OpenOrCreate(t.Context(), path, dataExists)
			if d := diagnostic(t, "a damaged key file", err, connector.StoreDamaged); !strings.Contains(d.Summary, path) {
				t.Errorf("the diagnostic doesn't name the file: %v", d)
			}
		}
		if info, err := os.Stat(path); err != nil || info.Size() != size {
			t.Errorf("the damaged file was replaced: %v, %v", info, err)
		}
	}
}

func TestModesOfTheKey(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("it has no such modes")
	}
	path := keyFile(t)
	openOrCreate(t, path, false)
	for _, c := range []struct {
		path    string
		mode    os.FileMode
		private os.FileMode
		fine    bool
	}{
		{path, 0o640, 0o600, false},
		{path, 0o604, 0o600, false},
		{path, 0o660, 0o600, false},
		{path, 0o400, 0o600, true},
		{filepath.Dir(path), 0o770, 0o700, false},
		{filepath.Dir(path), 0o702, 0o700, false},
		{filepath.Dir(path), 0o755, 0o700, true},
	} {
		if err := os.Chmod(c.path, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := seal.OpenOrCreate(t.Context(), path, true)
		if c.fine && err != nil {
			t.Errorf("%s with mode %v: %v", c.path, c.mode, err)
		}
		if !c.fine {
			if d := diagnostic(t, c.mode.String(), err, connector.StoreUnsuitable); !strings.Contains(d.Suggestion, "chmod") {
				t.Errorf("the diagnostic doesn't say what to run: %v", d)
			}
		}
		if err := os.Chmod(c.path, c.private); err != nil {
			t.Fatal(err)
		}
	}
	folder := t.TempDir()
	_, err := seal.OpenOrCreate(t.Context(), folder, true)
	wantCode(t, "a folder", err, connector.StoreUnsuitable)
}

// Whoever starts at the same moment ends up with the same key.
func TestCreatedAtOnce(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := keyFile(t)
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			if i%2 == 0 {
				cmd := exec.CommandContext(t.Context(), self)
				cmd.Env = append(os.Environ(), visitVariable+"="+path)
				out, err := cmd.Output()
				if err != nil {
					t.Errorf("a process: %v: %s", err, out)
				}
				ids[i] = strings.TrimSpace(string(out))
				return
			}
			k, err := seal.OpenOrCreate(t.Context(), path, false)
			if err != nil {
				t.Errorf("OpenOrCreate: %v", err)
				return
			}
			ids[i] = k.Primary().String()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("the keys are %q", ids)
		}
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// A rotation by one process is seen by the others without a restart, and takes
// no value away.
func TestRotate(t *testing.T) {
	t.Parallel()
	path := keyFile(t)
	k, other := openOrCreate(t, path, false), openOrCreate(t, path, true)
	before := sealed(t, k, "before")
	id, err := k.Rotate(t.Context())
	if err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	after := sealed(t, k, "after")
	if with, _ := seal.SealedWith(after); with != id || k.Primary() != id {
		t.Errorf("sealed with %v, primary %v, want %v", with, k.Primary(), id)
	}
	for _, keyring := range []*seal.Keyring{k, other, openOrCreate(t, path, true)} {
		opens(t, keyring, before, "before")
		opens(t, keyring, after, "after")
		if got := len(keyring.KeyIDs()); got != 2 {
			t.Errorf("%d keys, want 2", got)
		}
	}
	var wg sync.WaitGroup
	for _, keyring := range []*seal.Keyring{k, other} {
		wg.Go(func() {
			if _, err := keyring.Rotate(t.Context()); err != nil {
				t.Errorf("Rotate: %v", err)
			}
		})
	}
	wg.Wait()
	if got := len(openOrCreate(t, path, true).KeyIDs()); got != 4 {
		t.Errorf("%d keys after two rotations at once, want 4", got)
	}
}

// Another key file in the place of this one takes no key from a running process.
func TestForeignKeyFileLater(t *testing.T) {
	t.Parallel()
	path := keyFile(t)
	k := openOrCreate(t, path, false)
	value := sealed(t, k, "secret")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	foreign := openOrCreate(t, path, false)
	opens(t, k, sealed(t, foreign, "theirs"), "theirs")
	opens(t, k, value, "secret")
	_, err := k.Rotate(t.Context())
	wantCode(t, "Rotate", err, connector.SealingKeyWrong)
	opens(t, k, value, "secret")
}

func TestBusyKeyFile(t *testing.T) {
	t.Parallel()
	path := keyFile(t)
	k := openOrCreate(t, path, false)
	lock := flock.New(path + ".lock")
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := k.Rotate(ctx)
	if d := connector.Diagnose(err, connector.OriginHost); d == nil || d.Code != connector.StoreBusy || !strings.Contains(d.Summary, lock.Path()) {
		t.Errorf("Rotate: %v, want a diagnostic %s that names the lock", err, connector.StoreBusy)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Rotate(t.Context()); err != nil {
		t.Errorf("Rotate once the lock is free: %v", err)
	}
}
