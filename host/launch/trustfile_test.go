//go:build unix

package launch_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/proto/connector"
)

func TestTrustFileKeepsWhatIsTrusted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "trust.json")
	f := launch.TrustFileAt(path)
	if d, err := f.Lookup("/opt/a", "a"); err != nil || !d.IsZero() {
		t.Fatalf("an absent file trusts %v, %v", d, err)
	}
	one, two := launch.DigestOf([32]byte{1}), launch.DigestOf([32]byte{2})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for key, digest := range map[string]launch.Digest{"/opt/a": one, "b": two} {
		if err := f.Trust(key, digest, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		path, name string
		want       launch.Digest
	}{{"/opt/a", "b", one}, {"/else/b", "b", two}, {"/else/a", "a", launch.Digest{}}} {
		if got, err := launch.TrustFileAt(path).Lookup(c.path, c.name); err != nil || got != c.want {
			t.Errorf("%s, %s: %v, %v", c.path, c.name, got, err)
		}
	}
	all, err := f.All()
	if err != nil || len(all) != 2 || !all["b"].TrustedAt.Equal(at) {
		t.Errorf("all: %v, %v", all, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", info.Mode(), err)
	}
	if err := f.Forget("b"); err != nil {
		t.Fatal(err)
	}
	if d, err := f.Lookup("/else/b", "b"); err != nil || !d.IsZero() {
		t.Errorf("a forgotten plugin: %v, %v", d, err)
	}
}

// Changes by several processes at once are all kept.
func TestTrustFileLosesNoChange(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "trust.json")
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			err := launch.TrustFileAt(path).Trust(fmt.Sprint("p", i), launch.DigestOf([32]byte{byte(i)}), time.Now())
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if entries, err := launch.TrustFileAt(path).All(); err != nil || len(entries) != 10 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

func TestTrustFileThatCantBeUsed(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		code    connector.Code
	}{
		"not JSON":        {"{", 0o600, connector.StoreDamaged},
		"empty":           {"", 0o600, connector.StoreDamaged},
		"no version":      {`{"plugins":{}}`, 0o600, connector.StoreDamaged},
		"newer":           {`{"version":2}`, 0o600, connector.StoreVersionNewer},
		"bad digest":      {`{"version":1,"plugins":{"a":{"sha256":"12"}}}`, 0o600, connector.StoreDamaged},
		"too large":       {`{"version":1}` + strings.Repeat(" ", 1<<20), 0o600, connector.StoreDamaged},
		"anybody's":       {`{"version":1,"plugins":{"a":{"sha256":"` + digits + `"}}}`, 0o666, connector.StoreUnsuitable},
		"a folder around": {"", os.ModeDir, connector.StoreDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "trust.json")
			err := os.WriteFile(path, []byte(c.content), 0o600)
			if c.mode.IsDir() {
				_ = os.Remove(path)
				err = os.Mkdir(path, 0o700)
			} else if err == nil {
				err = os.Chmod(path, c.mode)
			}
			if err != nil {
				t.Fatal(err)
			}
			f := launch.TrustFileAt(path)
			_, err = f.Lookup("/a", "a")
			wantCode(t, err, c.code)
			wantCode(t, f.Trust("a", launch.DigestOf([32]byte{1}), time.Now()), c.code)
			if raw, _ := os.ReadFile(path); string(raw) != c.content && !c.mode.IsDir() {
				t.Error("a file that couldn't be read was changed")
			}
		})
	}
	absent := launch.TrustFileAt(filepath.Join(t.TempDir(), "absent", "trust.json"))
	wantCode(t, absent.Trust("a", launch.DigestOf([32]byte{1}), time.Now()), connector.StoreUnwritable)
}

func TestTrustFileFormat(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "trust.json")
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	if err := launch.TrustFileAt(path).Trust("/opt/a", launch.DigestOf([32]byte{0xab}), at); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	want := `{"plugins":{"/opt/a":{"sha256":"ab` + strings.Repeat("0", 62) + `","trusted_at":"2026-01-02T02:04:05Z"}},"version":1}`
	if compact, _ := json.Marshal(got); string(compact) != want {
		t.Errorf("got  %s\nwant %s", compact, want)
	}
}
