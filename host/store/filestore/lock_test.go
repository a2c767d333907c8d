package filestore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"pgregory.net/rapid"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/filestore"
	"github.com/boxconnection/connector/proto/connector"
)

// What a crashed program of another kind left in a lock's place, a file or a
// folder, doesn't lock anybody out, and still locks.
func TestLockNamesTaken(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(path string) error{
		"an empty file":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a lost file":     func(path string) error { return os.WriteFile(path, []byte("4711\n"), 0o000) },
		"an empty folder": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		folder := newFolder(t)
		if err := os.MkdirAll(filepath.Join(folder, "locks"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, path := range filestore.LockPaths(folder) {
			if err := take(path); err != nil {
				t.Fatal(err)
			}
		}
		s, other := openFolder(t, folder), openFolder(t, folder)
		create(t, s)
		r := acquire(t, s)
		entered, leave, done := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			_, err := s.Commit(context.WithoutCancel(t.Context()), testKey, r.Lease, func(r *store.Record) error {
				close(entered)
				<-leave
				return renew(r)
			})
			done <- err
		}()
		<-entered
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		wantCode(t, name, other.Update(ctx, r), connector.StoreBusy)
		cancel()
		close(leave)
		if err := <-done; err != nil {
			t.Errorf("%s: Commit: %v", name, err)
		}
	}
}

// A wait for a lock ends in time, names the lock, and doesn't say that nothing
// is there.
func TestBusyNamesTheLock(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	s := openFolder(t, folder)
	r := create(t, s)
	lock := flock.New(filestore.LockPath(folder, testKey))
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := s.Update(ctx, r)
	d := diagnostic(t, "Update", err, connector.StoreBusy)
	if !strings.Contains(d.Summary, lock.Path()) || d.Disposition != connector.Retry || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the diagnostic is %v, disposition %q", d, d.Disposition)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), r); err != nil {
		t.Errorf("Update once the lock is free: %v", err)
	}
}

// What killed processes left behind is removed, and nothing else.
func TestTidy(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	s := openFolder(t, folder)
	create(t, s)
	live := filestore.LeasePath(folder, acquire(t, s).Lease.ID)
	record := filestore.RecordPath(folder, testKey)
	left := []string{
		filestore.TempPath(record),
		filestore.TempPath(filestore.FlowPath(folder, "f")),
		filestore.LeasePath(folder, strings.Repeat("0", 32)),
	}
	for _, path := range left {
		writeFile(t, path, []byte("half"))
	}
	openFolder(t, folder)
	for _, path := range left {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there (error %v)", path, err)
		}
	}
	for _, path := range []string{live, record} {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s is gone: %v", path, err)
		}
	}
	// A writer that meets such a file isn't held up either.
	writeFile(t, left[0], []byte("half"))
	if err := s.Update(t.Context(), get(t, s)); err != nil {
		t.Errorf("Update: %v", err)
	}
	noTemps(t, folder)
}

// Drafts and flows whose time is over leave the folder with the next writes.
func TestSweep(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	first := openFolder(t, folder)
	old := record()
	old.State, old.ExpiresAt = store.StateDraft, time.Now().Add(-time.Hour)
	if err := first.Create(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if err := first.PutFlow(t.Context(), store.Flow{ID: "old", Key: testKey, ExpiresAt: time.Now().Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if err := first.PutFlow(t.Context(), store.Flow{ID: "new", Key: testKey, ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	s := openFolder(t, folder)
	next := record()
	next.Key.Connection = "next"
	if err := s.Create(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		filestore.RecordPath(folder, old.Key):  false,
		filestore.RecordPath(folder, next.Key): true,
		filestore.FlowPath(folder, "old"):      false,
		filestore.FlowPath(folder, "new"):      true,
	} {
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s: error %v, want it there: %v", path, err, want)
		}
	}
}

// A handle that is closed gives up its leases, as a process that ends does.
func TestCloseFreesLeases(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	s, other := openFolder(t, folder), openFolder(t, folder)
	create(t, s)
	r := acquire(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := acquire(t, other); got.Interrupted == nil || got.Interrupted.ID != r.Lease.ID {
		t.Errorf("the interrupted lease is %v", got.Interrupted)
	}
}

// Leases leave no files once they ended.
func TestLeasesLeaveNothing(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	s := openFolder(t, folder)
	create(t, s)
	r := acquire(t, s)
	if _, err := s.Commit(t.Context(), testKey, r.Lease, renew); err != nil {
		t.Fatal(err)
	}
	r = acquire(t, s)
	if err := s.Release(t.Context(), testKey, r.Lease); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(folder, "leases")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		part := string(rapid.SliceOf(rapid.Byte()).Draw(t, "part"))
		got := filestore.Escape(part)
		if strings.Trim(got, "abcdefghijklmnopqrstuvwxyz0123456789-_%=") != "" || len(got) > 60 {
			t.Fatalf("Escape(%q) = %q", part, got)
		}
		if back := filestore.Unescape(got); back != part && !strings.HasPrefix(got, "=") {
			t.Fatalf("Escape(%q) = %q, and back %q", part, got, back)
		}
	})
}

func TestClock(t *testing.T) {
	t.Parallel()
	var c filestore.Clock
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, step := range []struct{ machine, want time.Time }{
		{noon, noon},
		{noon.Add(-time.Second), noon},
		{noon.Add(time.Second), noon.Add(time.Second)},
		{noon.Add(-time.Hour), noon.Add(-time.Hour)}, // it was wrong before
		{noon, noon},
	} {
		if got := c.At(step.machine); !got.Equal(step.want) {
			t.Errorf("at %v the clock says %v, want %v", step.machine, got, step.want)
		}
	}
}

// What a handle remembers of records never outlives a change by somebody else.
func TestIndexSeesChanges(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	s, other := openFolder(t, folder), openFolder(t, folder)
	r := create(t, s)
	old := time.Now().Add(-time.Hour)
	// due tells what is due after a change that is as old as the one before, so
	// that both are remembered.
	due := func(at time.Time) int {
		t.Helper()
		r.DueAt = at
		if err := other.Update(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filestore.RecordPath(folder, testKey), old, old); err != nil {
			t.Fatal(err)
		}
		var keys []store.Key
		for range 2 {
			var err error
			if keys, err = s.Due(t.Context(), 10); err != nil {
				t.Fatal(err)
			}
		}
		return len(keys)
	}
	for range 3 {
		if got := due(time.Now().Add(-time.Minute)); got != 1 {
			t.Fatalf("%d are due, want 1", got)
		}
		if got := due(time.Now().Add(time.Minute)); got != 0 {
			t.Fatalf("%d are due, want none", got)
		}
	}
	if get(t, s).Sealed == nil {
		t.Error("the sealed values are gone")
	}
}
