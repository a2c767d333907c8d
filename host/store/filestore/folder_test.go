package filestore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/filestore"
	"github.com/boxconnection/connector/proto/connector"
)

// visitVariable makes the test binary a visitor of the store at its value.
const visitVariable = "FILESTORE_VISIT"

// visit does one of everything in a store and prints what came of it, by call.
func visit(place string) (code int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	results := map[string]string{}
	told := func(what string, err error) bool {
		results[what] = "ok"
		if err != nil {
			d := connector.Diagnose(err, connector.OriginHost)
			results[what] = string(d.Code)
			results[what+" says"] = d.Summary
		}
		return err == nil
	}
	s, err := filestore.Open(ctx, place)
	if told("Open", err) {
		told("Create", s.Create(ctx, record()))
		_, err := s.Get(ctx, testKey)
		told("Get", err)
		_, err = s.List(ctx, store.Query{})
		told("List", err)
		told("Writable", s.Writable(ctx))
		told("PutFlow", s.PutFlow(ctx, store.Flow{ID: "f", Key: testKey, ExpiresAt: time.Now().Add(time.Hour)}))
		r, _, err := s.Acquire(ctx, testKey, request)
		if told("Acquire", err) {
			_, err := s.Commit(ctx, testKey, r.Lease, renew)
			told("Commit", err)
		}
		told("Close", s.Close())
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		return 1
	}
	return 0
}

// sendVisitor runs a visitor through a shell command with "exec "$0"" in it.
func sendVisitor(t testing.TB, place, shell string, change func(*exec.Cmd)) map[string]string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Others must be able to run it.
	binary := filepath.Join(t.TempDir(), "visitor")
	copyFile(t, self, binary)
	for _, folder := range []string{filepath.Dir(binary), filepath.Dir(filepath.Dir(binary))} {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", shell, binary)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), visitVariable+"="+place)
	cmd.Stderr = os.Stderr
	if change != nil {
		change(cmd)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the visitor: %v", err)
	}
	var results map[string]string
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("the visitor said %q: %v", out, err)
	}
	return results
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(in.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
}

// Files and folders are private under the usual umask, under none, and under
// one that would take everything away.
func TestModes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("it has no such modes")
	}
	for _, umask := range []string{"000", "022", "277", "777"} {
		place := newFolder(t)
		lend(t, filepath.Dir(place))
		for what, got := range sendVisitor(t, place, "umask "+umask+` && exec "$0"`, asNobody) {
			if got != "ok" {
				t.Errorf("umask %s: %s: %s", umask, what, got)
			}
		}
		err := filepath.WalkDir(place, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			want := fs.FileMode(0o600)
			if e.IsDir() {
				want = 0o700
			}
			if strings.Contains(path, "/locks/") {
				// Empty; what counts is that no other may open them.
				want = info.Mode().Perm() &^ 0o077
			}
			if info.Mode().Perm() != want {
				t.Errorf("umask %s: %s has mode %v, want %v", umask, path, info.Mode().Perm(), want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A store that can't be written is read as before; every write says so, and
// names the place.
func TestReadOnlyFolder(t *testing.T) {
	t.Parallel()
	place := newFolder(t)
	create(t, openFolder(t, place))
	lend(t, place)
	chmodAll(t, place, 0o500, 0o400)
	t.Cleanup(func() { chmodAll(t, place, 0o700, 0o600) })
	got := sendVisitor(t, place, `exec "$0"`, asNobody)
	for what, want := range map[string]connector.Code{
		"Open": "ok", "Get": "ok", "List": "ok", "Close": "ok",
		"Create": connector.ConnectionExists, "Writable": connector.StoreUnwritable,
		"PutFlow": connector.StoreUnwritable, "Acquire": connector.StoreUnwritable,
	} {
		if got[what] != string(want) {
			t.Errorf("%s: %s, want %s (%s)", what, got[what], want, got[what+" says"])
		}
		if want == connector.StoreUnwritable && !strings.Contains(got[what+" says"], place) {
			t.Errorf("%s doesn't name the path: %s", what, got[what+" says"])
		}
	}
}

// A single file made read-only is no obstacle, since it is replaced as a whole.
func TestReadOnlyFile(t *testing.T) {
	t.Parallel()
	place := newFolder(t)
	create(t, openFolder(t, place))
	lend(t, place)
	if err := os.Chmod(filestore.RecordPath(place, testKey), 0o400); err != nil {
		t.Fatal(err)
	}
	got := sendVisitor(t, place, `exec "$0"`, asNobody)
	if got["Commit"] != "ok" {
		t.Errorf("the visitor: %v", got)
	}
}

func TestNoPlaceForAStore(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	lend(t, parent)
	if err := os.Chmod(parent, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(parent, 0o700) })
	got := sendVisitor(t, filepath.Join(parent, "store"), `exec "$0"`, asNobody)
	if got["Open"] != string(connector.StoreUnwritable) || !strings.Contains(got["Open says"], parent) {
		t.Errorf("Open: %v", got)
	}
}

func TestUnsuitablePlaces(t *testing.T) {
	t.Parallel()
	d := &filestore.Disk{}
	d.Remote("nfs")
	_, err := filestore.OpenOn(t.Context(), newFolder(t), d)
	if got := diagnostic(t, "a network file system", err, connector.StoreUnsuitable); !strings.Contains(got.Summary, "nfs") {
		t.Errorf("the diagnostic doesn't name the type: %v", got)
	}

	file := newFolder(t)
	writeFile(t, file, nil)
	_, err = filestore.Open(t.Context(), file)
	wantCode(t, "a file", err, connector.StoreUnsuitable)

	// Somebody's home folder, named by mistake, is left as it is.
	home := newFolder(t)
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(home, "thesis.odt"), []byte("x"))
	_, err = filestore.Open(t.Context(), home)
	wantCode(t, "somebody's folder", err, connector.StoreUnsuitable)
	entries, err := os.ReadDir(home)
	if info, statErr := os.Stat(home); err != nil || statErr != nil || len(entries) != 1 || info.Mode().Perm() != 0o755 {
		t.Errorf("the folder was changed: %v, %v, %v", entries, err, statErr)
	}

	empty := newFolder(t)
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	openFolder(t, empty)
	if err := os.Chmod(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	openFolder(t, empty)
	if info, err := os.Stat(empty); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the store's folder has mode %v, error %v", info.Mode().Perm(), err)
	}
}

func TestHasData(t *testing.T) {
	t.Parallel()
	has := func(s *filestore.Store) bool {
		t.Helper()
		has, err := s.HasData(t.Context())
		if err != nil {
			t.Fatalf("HasData: %v", err)
		}
		return has
	}
	folder := newFolder(t)
	s := openFolder(t, folder)
	if has(s) {
		t.Error("a new store has data")
	}
	create(t, s)
	if !has(s) {
		t.Error("a store with a record has none")
	}
	writeFile(t, filestore.RecordPath(folder, testKey), []byte("damaged"))
	if !has(s) {
		t.Error("a store with a damaged record has none")
	}
	flows := openFolder(t, newFolder(t))
	if err := flows.PutFlow(t.Context(), store.Flow{ID: "f", Key: testKey, ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if !has(flows) {
		t.Error("a store with a flow has none")
	}
}

// Several processes that make a store at once make the same.
func TestCreatedAtOnce(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	ids := make(chan string)
	const openers = 8
	for range openers {
		go func() {
			s, err := filestore.Open(t.Context(), folder)
			if err != nil {
				ids <- fmt.Sprint(err)
				return
			}
			ids <- s.ID()
			_ = s.Close()
		}()
	}
	first := <-ids
	for range openers - 1 {
		if id := <-ids; id != first {
			t.Errorf("one opened %s, another %s", first, id)
		}
	}
}

func chmodAll(t testing.TB, root string, folders, files fs.FileMode) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := files
		if e.IsDir() {
			mode = folders | 0o100
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		t.Fatal(err)
	}
}
