package seal_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/filestore"
	"github.com/boxconnection/connector/proto/connector"
)

func TestMain(m *testing.M) {
	if place, ok := os.LookupEnv(visitVariable); ok {
		os.Exit(visit(place))
	}
	goleak.VerifyTestMain(m)
}

var testKey = store.Key{Owner: "local", Connection: "c1", Environment: "default"}

var _ seal.Sealer = (*seal.Keyring)(nil)

func newKeyring(t testing.TB) *seal.Keyring {
	t.Helper()
	keyset, err := seal.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, keyset)
}

func parse(t testing.TB, keyset []byte) *seal.Keyring {
	t.Helper()
	k, err := seal.Parse(keyset)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return k
}

func sealed(t testing.TB, k seal.Sealer, plaintext string) []byte {
	t.Helper()
	got, err := k.Seal(t.Context(), testKey, store.FieldCredential, []byte(plaintext))
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	return got
}

func opens(t testing.TB, k seal.Sealer, value []byte, want string) {
	t.Helper()
	got, err := k.Open(t.Context(), testKey, store.FieldCredential, value)
	if err != nil || string(got) != want {
		t.Fatalf("Open = %q, %v, want %q", got, err, want)
	}
}

// wantCode fails the test unless err is a diagnostic with the code that says
// what to do.
func wantCode(t testing.TB, what string, err error, code connector.Code) {
	t.Helper()
	_ = diagnostic(t, what, err, code)
}

func diagnostic(t testing.TB, what string, err error, code connector.Code) *connector.Diagnostic {
	t.Helper()
	d, ok := errors.AsType[*connector.Diagnostic](err)
	if !ok || d.Code != code {
		t.Fatalf("%s: got error %v, want a diagnostic %s", what, err, code)
	}
	if d.Summary == "" || d.Suggestion == "" {
		t.Errorf("%s: the diagnostic doesn't say what to do: %v", what, d)
	}
	return d
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	for _, plaintext := range []string{"", "x", "refresh-token+/%&=Größe", strings.Repeat("long", 1<<16)} {
		first, second := sealed(t, k, plaintext), sealed(t, k, plaintext)
		if bytes.Equal(first, second) {
			t.Error("the same value is sealed alike twice")
		}
		opens(t, k, first, plaintext)
		if id, ok := seal.SealedWith(first); !ok || id != k.Primary() || !slices.Equal(k.KeyIDs(), []seal.KeyID{id}) {
			t.Errorf("sealed with key %v (%v), the primary is %v of %v", id, ok, k.Primary(), k.KeyIDs())
		}
	}
}

// A value that is moved to another owner, connection, environment or field
// doesn't open there, wherever the borders between their names are drawn.
func TestBoundToItsPlace(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	type place struct {
		key   store.Key
		field store.Field
	}
	places := []place{
		{store.Key{Owner: "a", Connection: "b", Environment: "c"}, "d"},
		{store.Key{Owner: "b", Connection: "a", Environment: "c"}, "d"},
		{store.Key{Owner: "a", Connection: "b", Environment: "d"}, "c"},
		{store.Key{Owner: "ab", Connection: "", Environment: "c"}, "d"},
		{store.Key{Owner: "", Connection: "ab", Environment: "c"}, "d"},
		{store.Key{Owner: "a", Connection: "b", Environment: "cd"}, ""},
		{store.Key{Owner: "a", Connection: "b", Environment: "c"}, "D"},
		{store.Key{Owner: "a\x00b", Connection: "", Environment: "c"}, "d"},
		{store.Key{Owner: "other", Connection: "b", Environment: "c"}, "d"},
		{store.Key{Owner: "a", Connection: "other", Environment: "c"}, "d"},
		{store.Key{Owner: "a", Connection: "b", Environment: "other"}, "d"},
	}
	for _, from := range places {
		value, err := k.Seal(t.Context(), from.key, from.field, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range places {
			got, err := k.Open(t.Context(), to.key, to.field, value)
			if from == to {
				if err != nil || string(got) != "secret" {
					t.Errorf("at home in %q: %q, %v", from, got, err)
				}
				continue
			}
			wantCode(t, "moved", err, connector.StoreDamaged)
		}
	}
}

// A wrong key, a damaged value and a newer format are told apart, and each
// value opens again once the right key is back.
func TestWhatIsWrong(t *testing.T) {
	t.Parallel()
	k, other := newKeyring(t), newKeyring(t)
	value := sealed(t, k, "refresh-token-sentinel")

	_, err := other.Open(t.Context(), testKey, store.FieldCredential, value)
	d := diagnostic(t, "another key", err, connector.SealingKeyWrong)
	if !strings.Contains(d.Summary, k.Primary().String()) {
		t.Errorf("the diagnostic doesn't name the key %s: %v", k.Primary(), d)
	}
	for i := range value {
		flipped := bytes.Clone(value)
		flipped[i] ^= 1 << (i % 8)
		_, err := k.Open(t.Context(), testKey, store.FieldCredential, flipped)
		want := connector.StoreDamaged
		switch {
		case i == 0 && flipped[0] > 1:
			want = connector.StoreVersionNewer
		case i >= 2 && i < 6:
			want = connector.SealingKeyWrong // the key's ID
		}
		if d := diagnostic(t, "a flipped bit", err, want); strings.Contains(d.Error(), "sentinel") {
			t.Errorf("the diagnostic shows the value: %v", d)
		}
	}
	for i := range value {
		_, err := k.Open(t.Context(), testKey, store.FieldCredential, value[:i])
		wantCode(t, "a cut value", err, connector.StoreDamaged)
	}
	newer := append([]byte{2}, value[1:]...)
	_, err = k.Open(t.Context(), testKey, store.FieldCredential, newer)
	wantCode(t, "a newer format", err, connector.StoreVersionNewer)
	opens(t, k, value, "refresh-token-sentinel")
}

func TestRotateKeyset(t *testing.T) {
	t.Parallel()
	keyset, err := seal.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := seal.RotateKeyset(keyset)
	if err != nil {
		t.Fatal(err)
	}
	old, k := parse(t, keyset), parse(t, rotated)
	if k.Primary() == old.Primary() || len(k.KeyIDs()) != 2 {
		t.Fatalf("primary %v of %v after %v", k.Primary(), k.KeyIDs(), old.Primary())
	}
	opens(t, k, sealed(t, old, "before"), "before")
	value := sealed(t, k, "after")
	opens(t, k, value, "after")
	_, err = old.Open(t.Context(), testKey, store.FieldCredential, value)
	wantCode(t, "the old keyring", err, connector.SealingKeyWrong)
	_, err = k.Rotate(t.Context())
	wantCode(t, "Rotate without a file", err, connector.UsageWrong)
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"nothing": "", "no JSON": "sealing key", "no keyset": `{"a": 1}`,
		"no keys": `{"primaryKeyId": 1, "key": []}`, "half": `{"primaryKeyId": 1, "key": [{"keyData": {`,
	} {
		_, err := seal.Parse([]byte(content))
		wantCode(t, name, err, connector.StoreDamaged)
	}
}

// Nothing that was sealed is in the store's files, whichever way it is looked
// at, nor is the key.
func TestNothingInClear(t *testing.T) {
	t.Parallel()
	const canary = `canary+/%&="Größe\` + "\n<token>"
	quoted, err := json.Marshal(canary)
	if err != nil {
		t.Fatal(err)
	}
	looks := map[string]string{
		"raw": canary, "a part": "canary", "in JSON": strings.Trim(string(quoted), `"`), "in a URL": url.QueryEscape(canary), "in a path": url.PathEscape(canary),
	}
	for i := range 3 { // wherever it would start in a longer text
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", i) + canary))
		looks["in base64 at "+string('0'+rune(i))] = encoded[4 : len(encoded)-4]
		encoded = base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("x", i) + canary))
		looks["in URL base64 at "+string('0'+rune(i))] = encoded[4 : len(encoded)-4]
	}

	root := filepath.Join(t.TempDir(), "store")
	s, err := filestore.Open(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	k, err := seal.OpenOrCreate(t.Context(), filepath.Join(root, "keys", "keyset.json"), false)
	if err != nil {
		t.Fatal(err)
	}
	r := &store.Record{Key: testKey, State: store.StateSaved, Name: "sales", Sealed: map[store.Field][]byte{}}
	for _, field := range []store.Field{store.FieldSettings, store.FieldCredential, store.FieldPrevious, store.FieldNetwork} {
		if r.Sealed[field], err = k.Seal(t.Context(), testKey, field, []byte(canary)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := s.PutFlow(t.Context(), store.Flow{ID: "f", Key: testKey, ExpiresAt: time.Now().Add(time.Hour), Sealed: sealed(t, k, canary)}); err != nil {
		t.Fatal(err)
	}
	seen := func() (found []string) {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			for look, text := range looks {
				if bytes.Contains(content, []byte(text)) || strings.Contains(path, text) {
					found = append(found, path+" holds it "+look)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if found := seen(); len(found) > 0 {
		t.Errorf("in clear: %q", found)
	}
	// The search itself finds what isn't sealed.
	r.Sealed[store.FieldSettings], r.Plugin = []byte("x"+canary), canary
	if err := s.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if found := seen(); len(found) < 2 {
		t.Errorf("the search finds only %q of what is in clear", found)
	}
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys", "keyset.json")
	k, err := seal.OpenOrCreate(t.Context(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	unknown := sealed(t, newKeyring(t), "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.Open(ctx, testKey, store.FieldCredential, unknown); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
	if _, err := k.Rotate(ctx); !errors.Is(err, context.Canceled) && err != nil {
		wantCode(t, "Rotate", err, connector.StoreBusy)
	}
}
