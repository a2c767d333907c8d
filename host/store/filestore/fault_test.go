package filestore_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/filestore"
	"github.com/boxconnection/connector/proto/connector"
)

// faults are what a disk answers when it can't write, and at which step.
var faults = []struct {
	step string
	err  error
}{
	{filestore.StepCreate, &fs.PathError{Op: "open", Path: "x", Err: syscall.EROFS}},
	{filestore.StepCreate, &fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}},
	{filestore.StepCreate, &fs.PathError{Op: "open", Path: "x", Err: syscall.ENOSPC}},
	{filestore.StepWrite, &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}},
	{filestore.StepWrite, &fs.PathError{Op: "write", Path: "x", Err: syscall.EDQUOT}},
	{filestore.StepSync, &fs.PathError{Op: "sync", Path: "x", Err: syscall.EIO}},
	{filestore.StepSync, &fs.PathError{Op: "sync", Path: "x", Err: syscall.ENOSPC}},
	{filestore.StepRename, &os.LinkError{Op: "rename", Old: "x", New: "y", Err: syscall.EBUSY}},
	{filestore.StepRename, &os.LinkError{Op: "rename", Old: "x", New: "y", Err: syscall.EPERM}},
}

// A disk that fails in the middle of a write leaves the old version whole, says
// why, and takes nothing from a holder: the renewed credential can be written
// as soon as the disk is mended.
func TestFaultKeepsTheOldVersion(t *testing.T) {
	t.Parallel()
	summaries := map[string]syscall.Errno{}
	for _, f := range faults {
		folder, d := newFolder(t), &filestore.Disk{}
		s := openOn(t, folder, d)
		create(t, s)
		r := acquire(t, s)
		before := readFile(t, filestore.RecordPath(folder, testKey))

		d.Break(f.step, f.err)
		_, err := s.Commit(t.Context(), testKey, r.Lease, renew)
		got := diagnostic(t, f.step, err, connector.StoreUnwritable)
		cause, _ := errors.AsType[syscall.Errno](f.err)
		if !errors.Is(err, cause) {
			t.Errorf("%s: %v doesn't unwrap to %v", f.step, err, cause)
		}
		if !strings.Contains(got.Summary, folder) {
			t.Errorf("%s: the diagnostic doesn't name the path: %v", f.step, got)
		}
		summaries[strings.ReplaceAll(got.Summary, folder, "")] = cause
		wantCode(t, f.step, s.Update(t.Context(), get(t, s)), connector.StoreUnwritable)
		if !bytes.Equal(before, readFile(t, filestore.RecordPath(folder, testKey))) {
			t.Errorf("%s: the file changed", f.step)
		}
		noTemps(t, folder)
		if _, held, err := openFolder(t, folder).Acquire(t.Context(), testKey, request); err != nil || held == nil {
			t.Errorf("%s: the lease isn't held any more (error %v)", f.step, err)
		}

		d.Break(f.step, nil)
		if _, err := s.Commit(t.Context(), testKey, r.Lease, renew); err != nil {
			t.Errorf("%s: Commit on the mended disk: %v", f.step, err)
		}
	}
	// Full, read-only, not permitted, not replaceable and broken are told apart.
	if len(summaries) < 5 {
		t.Errorf("the summaries are too few to tell the causes apart: %v", summaries)
	}
}

// A lease is proof that the store can be written: on a broken disk there is
// none, so nobody spends a token that can't be replaced.
func TestNoLeaseOnABrokenDisk(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		folder, d := newFolder(t), &filestore.Disk{}
		s := openOn(t, folder, d)
		create(t, s)
		d.Break(f.step, f.err)
		r, held, err := s.Acquire(t.Context(), testKey, request)
		wantCode(t, f.step, err, connector.StoreUnwritable)
		if r != nil || held != nil {
			t.Errorf("%s: got record %v and lease %v", f.step, r, held)
		}
		if f.step != filestore.StepRename {
			wantCode(t, f.step+": Writable", s.Writable(t.Context()), connector.StoreUnwritable)
		}
		if left, err := os.ReadDir(filepath.Join(folder, "leases")); err != nil || len(left) != 0 {
			t.Errorf("%s: the lease left %v, %v", f.step, left, err)
		}
		if _, err := s.List(t.Context(), store.Query{}); err != nil {
			t.Errorf("%s: List: %v", f.step, err)
		}
		d.Break(f.step, nil)
		if got := acquire(t, s); got.Interrupted != nil {
			t.Errorf("%s: a lease that was never taken counts as interrupted: %v", f.step, got.Interrupted)
		}
		if err := s.Writable(t.Context()); err != nil {
			t.Errorf("%s: Writable on the mended disk: %v", f.step, err)
		}
	}
}

// If the folder can't be synced, nobody knows whether the write will last. It
// is reported, and what is there is whole.
func TestFaultAfterTheRename(t *testing.T) {
	t.Parallel()
	folder, d := newFolder(t), &filestore.Disk{}
	s := openOn(t, folder, d)
	create(t, s)
	r := acquire(t, s)
	d.Break(filestore.StepSyncDir, syscall.EIO)
	_, err := s.Commit(t.Context(), testKey, r.Lease, renew)
	wantCode(t, "Commit", err, connector.StoreUnwritable)
	d.Break(filestore.StepSyncDir, nil)
	if got := get(t, s); got.Generation != 1 && got.Generation != 2 {
		t.Errorf("generation %d", got.Generation)
	}
}

// One durable change costs two syncs: of the file and of the folder.
func TestSyncs(t *testing.T) {
	t.Parallel()
	d := &filestore.Disk{}
	s := openOn(t, newFolder(t), d)
	if err := s.PutFlow(t.Context(), store.Flow{ID: "warm up", Key: testKey}); err != nil {
		t.Fatal(err)
	}
	d.Syncs()
	count := func(what string, want int) {
		t.Helper()
		if got := d.Syncs(); got != want {
			t.Errorf("%s made %d syncs, want %d", what, got, want)
		}
	}
	r := create(t, s)
	count("Create", 2)
	if err := s.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	count("Update", 2)
	r = acquire(t, s)
	count("Acquire", 2)
	if _, err := s.Commit(t.Context(), testKey, r.Lease, renew); err != nil {
		t.Fatal(err)
	}
	count("Commit", 2)
	get(t, s)
	count("Get", 0)
}

func noTemps(t testing.TB, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".new" {
			t.Errorf("%s was left behind", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
