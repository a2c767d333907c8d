package filestore_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/filestore"
	"github.com/boxconnection/connector/proto/connector"
)

func openSite(t testing.TB, folder, site string) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(t.Context(), folder, filestore.WithSite(site))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func identity(t testing.TB, s *filestore.Store) store.Identity {
	t.Helper()
	i, err := s.Identity(t.Context())
	if err != nil {
		t.Fatalf("Identity: %v", err)
	}
	return i
}

// The site that a store was first used under must be named ever after, until
// it is adopted under another one.
func TestSite(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	first := openSite(t, folder, "berlin")
	if identity(t, first).Moved() {
		t.Error("the first use under a site's name isn't at home")
	}
	create(t, first)
	for site, moved := range map[string]bool{"berlin": false, "": true, "Berlin": true} {
		if got := identity(t, openSite(t, folder, site)).Moved(); got != moved {
			t.Errorf("under the site %q: moved %t, want %t", site, got, moved)
		}
	}
	if _, err := openSite(t, folder, "paris").Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if identity(t, openSite(t, folder, "paris")).Moved() || !identity(t, openSite(t, folder, "berlin")).Moved() {
		t.Error("the adoption didn't change the site")
	}
	_, err := filestore.Open(t.Context(), folder, filestore.WithSite("line\nfeed"))
	wantCode(t, "a site that can't be shown", err, connector.UsageWrong)
}

// A copy that is put in the folder's place is noticed by a process that has
// the store open.
func TestReplacedWhileOpen(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	s := openFolder(t, folder)
	create(t, s)
	identity(t, s)
	backup := copyFolder(t, folder)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, folder); err != nil {
		t.Fatal(err)
	}
	if !identity(t, s).Moved() {
		t.Error("the copy is taken for the original")
	}
}

// A folder that is renamed stays the store that it was.
func TestRenamedFolder(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	identity(t, openFolder(t, folder))
	to := filepath.Join(filepath.Dir(folder), "renamed")
	if err := os.Rename(folder, to); err != nil {
		t.Fatal(err)
	}
	if i := identity(t, openFolder(t, to)); i.Moved() {
		t.Errorf("a renamed folder is taken for a copy: %+v", i)
	}
}

// A store whose place can't be recorded yet isn't taken for a copy.
func TestPlaceNotRecorded(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	d := &filestore.Disk{}
	s := openOn(t, folder, d)
	d.Break(filestore.StepCreate, os.ErrPermission)
	if i := identity(t, s); i.Moved() || i.Recorded.Marks != nil {
		t.Errorf("on a disk that can't be written: %+v", i)
	}
	d.Break(filestore.StepCreate, nil)
	if i := identity(t, s); i.Recorded.Marks == nil {
		t.Errorf("on the mended disk: %+v", i)
	}
}

// A store whose store.json is gone or damaged isn't taken for a new one.
func TestDamagedPlace(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	s := openFolder(t, folder)
	identity(t, s)
	file := filepath.Join(folder, "store.json")
	if err := os.Truncate(file, 40); err != nil {
		t.Fatal(err)
	}
	_, err := s.Identity(t.Context())
	wantCode(t, "with a torn file", err, connector.StoreDamaged)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	_, err = s.Identity(t.Context())
	wantCode(t, "without the file", err, connector.StoreDamaged)
	_, err = s.Adopt(t.Context())
	wantCode(t, "adopting it", err, connector.StoreDamaged)
}
