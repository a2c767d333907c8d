package filestore

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/boxconnection/connector/host/store"
)

// The steps of a write that a Disk can break.
const (
	StepCreate  = "create"
	StepWrite   = "write"
	StepSync    = "sync"
	StepRename  = "rename"
	StepSyncDir = "sync of the folder"
	StepRemove  = "remove"
)

// Disk is the real one, but breaks on demand and counts its steps.
type Disk struct {
	osDisk

	mu     sync.Mutex
	broken map[string]error
	done   map[string]int
	remote string
}

// OpenOn opens a store on a disk.
func OpenOn(ctx context.Context, folder string, d *Disk) (*Store, error) { return open(ctx, folder, d) }

// Break makes a step fail from now on; nil mends it.
func (d *Disk) Break(step string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken == nil {
		d.broken = map[string]error{}
	}
	d.broken[step] = err
}

// Remote makes the disk say that its file system is of this type.
func (d *Disk) Remote(fileSystem string) { d.remote = fileSystem }

// Syncs returns how often files and folders were synced since the last call.
func (d *Disk) Syncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.done[StepSync] + d.done[StepSyncDir]
	d.done = nil
	return n
}

func (d *Disk) step(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == nil {
		d.done = map[string]int{}
	}
	d.done[name]++
	return d.broken[name]
}

func (d *Disk) create(path string) (file, error) {
	if err := d.step(StepCreate); err != nil {
		return nil, err
	}
	f, err := d.osDisk.create(path)
	if err != nil {
		return nil, err
	}
	return &diskFile{file: f, disk: d}, nil
}

func (d *Disk) rename(from, to string) error {
	if err := d.step(StepRename); err != nil {
		return err
	}
	return d.osDisk.rename(from, to)
}

func (d *Disk) remove(path string) error {
	if err := d.step(StepRemove); err != nil {
		return err
	}
	return d.osDisk.remove(path)
}

func (d *Disk) syncDir(path string) error {
	if err := d.step(StepSyncDir); err != nil {
		return err
	}
	return d.osDisk.syncDir(path)
}

func (d *Disk) remoteFileSystem(string) (string, error) { return d.remote, nil }

type diskFile struct {
	file

	disk *Disk
}

// Write writes half of it when it is broken, as a full disk does.
func (f *diskFile) Write(b []byte) (int, error) {
	if err := f.disk.step(StepWrite); err != nil {
		n, _ := f.file.Write(b[:len(b)/2])
		return n, err
	}
	return f.file.Write(b)
}

func (f *diskFile) Sync() error {
	if err := f.disk.step(StepSync); err != nil {
		return err
	}
	return f.file.Sync()
}

// RecordPath returns where a record is.
func RecordPath(root string, key store.Key) string {
	return filepath.Join(root, records, recordName(key))
}

// FlowPath returns where a flow is.
func FlowPath(root, id string) string { return filepath.Join(root, flows, flowName(id)) }

// LockPath returns the lock of a record.
func LockPath(root string, key store.Key) string {
	return filepath.Join(root, locks, lockFor(recordName(key)).file())
}

// LockPaths returns all locks.
func LockPaths(root string) []string {
	var paths []string
	for id := range lockStore + 1 {
		paths = append(paths, filepath.Join(root, locks, id.file()))
	}
	return paths
}

// LeasePath returns the lock of a lease's holder.
func LeasePath(root, id string) string { return filepath.Join(root, leases, id) }

// TempPath returns where the next content of a file is written.
func TempPath(path string) string {
	folder, name := filepath.Split(path)
	return filepath.Join(folder, tempName(name))
}

// Escape and Unescape are how names become file names and back.
var Escape, Unescape = escape, unescape

// Encode writes a file's content.
func Encode(kind string, value any) ([]byte, error) { return encode(kind, value) }

// Reversion makes of a file's content what another version would have written.
func Reversion(content []byte, number string) []byte {
	line, body, _ := bytes.Cut(content, []byte("\n"))
	fields := strings.Split(string(line), " ")
	fields[1] = number
	head := strings.Join(fields[:4], " ")
	return append([]byte(head+" sha256:"+digest(head, body)+"\n"), body...)
}

// Decode reads a file's content.
func Decode(content []byte, kind string, value any) error {
	return decode("file", kind, content, value)
}

// Clock is the store's, fed with a time.
type Clock struct{ c clock }

// At returns what the clock says at a time of the machine's.
func (c *Clock) At(now time.Time) time.Time { return c.c.at(now) }
