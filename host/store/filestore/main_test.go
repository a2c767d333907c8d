package filestore_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/filestore"
	"github.com/boxconnection/connector/host/store/storetest"
	"github.com/boxconnection/connector/proto/connector"
)

func TestMain(m *testing.M) {
	if code, ok := storetest.Worker(open); ok {
		os.Exit(code)
	}
	if place, ok := os.LookupEnv(visitVariable); ok {
		os.Exit(visit(place))
	}
	goleak.VerifyTestMain(m)
}

func open(ctx context.Context, place string) (store.Store, error) {
	return filestore.Open(ctx, place)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		New:         newFolder,
		Open:        open,
		SensesDeath: true,
		Damage: func(t testing.TB, place string, key store.Key) {
			if err := os.Truncate(filestore.RecordPath(place, key), 100); err != nil {
				t.Fatal(err)
			}
		},
		Copy: copyFolder,
	})
}

// copyFolder copies a folder as a backup tool does.
func copyFolder(t testing.TB, folder string) string {
	t.Helper()
	to := newFolder(t)
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", folder, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	return to
}

func newFolder(t testing.TB) string { return filepath.Join(t.TempDir(), "store") }

func openOn(t testing.TB, folder string, d *filestore.Disk) *filestore.Store {
	t.Helper()
	s, err := filestore.OpenOn(t.Context(), folder, d)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openFolder(t testing.TB, folder string) *filestore.Store {
	t.Helper()
	return openOn(t, folder, &filestore.Disk{})
}

var testKey = store.Key{Owner: "local", Connection: "c1", Environment: "default"}

func record() *store.Record {
	return &store.Record{
		Key: testKey, State: store.StateSaved, Name: "sales", Connector: "box", Generation: 1,
		Sealed: map[store.Field][]byte{store.FieldCredential: []byte("sealed credential")},
	}
}

func create(t testing.TB, s *filestore.Store) *store.Record {
	t.Helper()
	r := record()
	if err := s.Create(t.Context(), r); err != nil {
		t.Fatalf("Create: %v", err)
	}
	return r
}

func get(t testing.TB, s *filestore.Store) *store.Record {
	t.Helper()
	r, err := s.Get(t.Context(), testKey)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return r
}

func acquire(t testing.TB, s *filestore.Store) *store.Record {
	t.Helper()
	r, held, err := s.Acquire(t.Context(), testKey, request)
	if err != nil || held != nil {
		t.Fatalf("Acquire: held %v, error %v", held, err)
	}
	return r
}

var request = store.LeaseRequest{Holder: "test", Intent: "renew", For: time.Hour}

func renew(r *store.Record) error {
	r.Generation++
	r.Sealed[store.FieldCredential] = []byte("renewed")
	return nil
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
	if d.Summary == "" || d.Suggestion == "" && code != connector.ConnectionNotFound {
		t.Errorf("%s: the diagnostic doesn't say what to do: %v", what, d)
	}
	return d
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func writeFile(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
