// Package filestore keeps connections in a folder on a local disk, for any
// number of processes of one machine.
package filestore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// Store is a [store.Store] in a folder:
//
//	store.json      who the store is and where it belongs
//	records/        a file per record: OWNER,ENVIRONMENT,CONNECTION.json
//	waits/          a file per record whose service has asked to wait; advice only
//	flows/          a file per sign-in that waits for its callback: ID.json
//	locks/          kernel locks, held while something is written; never renamed
//	leases/         a kernel lock per lease, held by the lease's holder
//
// Folders have mode 0700 and files 0600, whatever the umask. In a file's name
// all but a-z, 0-9, "-" and "_" stands as "%" and two hexadecimal digits per
// byte, and a part that would get longer than 60 characters as "=" and 40
// digits of its SHA-256. So no name can leave the folder, and none depends on
// upper and lower case.
//
// Format version 1 of every file with data: a header line
//
//	boxconnection-store VERSION KIND LENGTH sha256:DIGEST
//
// and then LENGTH bytes of JSON. KIND is "store", "record", "flow" or "waits". DIGEST is
// of the line up to LENGTH with a line feed in place of the rest, followed by
// the JSON. Later versions keep the header, so that a file that is newer and a
// file that is damaged are told apart.
//
// A write goes to a hidden file beside the old one, is synced, renamed over it,
// and the folder is synced: two syncs per change. Reads take no lock, work in a
// folder that can't be written, and never change a damaged file.
//
// A lease lasts as long as its holder's lock in leases/ and at most until its
// deadline. The kernel drops the lock of a process that died, so its lease is
// free at once; one that is frozen loses its lease at the deadline. A process
// that is frozen while it writes keeps a lock in locks/ meanwhile, and others
// get StoreBusy for a 256th of the records.
//
// A call whose context ends while it waits for a lock writes nothing; once it
// has the lock it finishes.
type Store struct {
	root  string
	id    string
	site  string
	disk  disk
	clock clock
	gates gates
	index index

	mu        sync.Mutex
	closed    bool
	held      map[string]*flock.Flock // by lease ID
	lastSweep time.Time
}

var _ store.Store = (*Store)(nil)

// storeFormat is the body of store.json.
type storeFormat struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	// Place is where a host first used the store, or where it was adopted last.
	Place     *store.Place `json:"place,omitempty"`
	Adoptions uint64       `json:"adoptions,omitempty"`
}

// Option changes how a store is opened.
type Option func(*Store)

// WithSite names the installation that opens the store; the default is no
// name. A store that was first used or adopted under another name is a copy;
// see [store.Identity].
func WithSite(name string) Option { return func(s *Store) { s.site = name } }

// Open opens the store in a folder and makes what is missing. A folder that
// can be read but not written opens too; [Store.Writable] tells. It fails with
// StoreUnsuitable (a network file system, not a folder, a folder that others
// can read and that isn't a store), StoreUnwritable (nothing there and it can't
// be made), StoreDamaged, StoreVersionNewer, StoreUnavailable, StoreBusy or
// UsageWrong for a site that can't be one.
func Open(ctx context.Context, folder string, opts ...Option) (*Store, error) {
	return open(ctx, folder, osDisk{}, opts...)
}

func open(ctx context.Context, folder string, d disk, opts ...Option) (*Store, error) {
	root, err := filepath.Abs(folder)
	if err != nil {
		return nil, readFault(folder, err)
	}
	s := &Store{root: root, disk: d, gates: newGates(), held: map[string]*flock.Flock{}}
	for _, opt := range opts {
		opt(s)
	}
	if err := store.CheckSite(s.site); err != nil {
		return nil, err
	}
	if err := s.prepareRoot(); err != nil {
		return nil, err
	}
	if err := s.identify(ctx); err != nil {
		return nil, err
	}
	s.tidy(ctx)
	return s, nil
}

// ID returns the store's random identity. A copy of the folder has the same.
func (s *Store) ID() string { return s.id }

// Now implements [store.Store]: the machine's clock, in UTC. Steps back of less
// than a minute are held back; a longer one is followed.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	if err := s.enter(ctx); err != nil {
		return time.Time{}, err
	}
	return s.clock.now(), nil
}

// HasData reports whether there is any record or flow, readable or not. Where
// there is, a missing sealing key must not be replaced by a new one.
func (s *Store) HasData(ctx context.Context) (bool, error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	for _, kind := range []string{records, flows} {
		names, err := s.names(kind)
		if err != nil {
			return false, err
		}
		if len(names) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// Writable fails with StoreUnwritable, naming the path, unless a file can be
// written durably in the store now. Rotating refresh tokens need such a place.
func (s *Store) Writable(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	folder := filepath.Join(s.root, records)
	probe := filepath.Join(folder, tempName("probe-"+randomID()))
	err := s.writeTemp(probe, []byte("\n"))
	if removeErr := s.disk.remove(probe); err == nil && removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
		err = writeFault(probe, removeErr)
	}
	return err
}

// Close implements [store.Store]. Leases that were taken through this Store
// are free from then on, as if the process had ended.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for id, lock := range s.held {
		_ = lock.Close() // the descriptor is gone either way
		delete(s.held, id)
	}
	return nil
}

// enter refuses a call on a closed store, or whose context has ended.
func (s *Store) enter(ctx context.Context) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return s.closedFault()
	}
	if err := ctx.Err(); err != nil {
		return connector.Errorf(connector.StoreUnavailable, connector.OriginHost,
			"The caller's time was over before the store was asked.").With(connector.Retry).Because(err)
	}
	return nil
}

func (s *Store) closedFault() error {
	return connector.Errorf(connector.StoreUnavailable, connector.OriginHost, "The store %s was closed.", s.root)
}

// prepareRoot makes the folder, or checks the one that is there.
func (s *Store) prepareRoot() error {
	info, err := os.Stat(s.root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := makeFolder(s.root); err != nil {
			return writeFault(s.root, err)
		}
		if err := s.disk.syncDir(filepath.Dir(s.root)); err != nil {
			return writeFault(filepath.Dir(s.root), err)
		}
	case err != nil:
		return readFault(s.root, err)
	case !info.IsDir():
		return connector.Errorf(connector.StoreUnsuitable, connector.OriginHost, "%s isn't a folder.", s.root).
			Suggest("Name a folder of its own for the store.")
	case openToOthers(info):
		if err := s.closeToOthers(info); err != nil {
			return err
		}
	}
	return s.checkFileSystem()
}

// closeToOthers makes a folder private that is empty or a store's already. A
// folder with other things in it was hardly meant.
func (s *Store) closeToOthers(info fs.FileInfo) error {
	entries, err := os.ReadDir(s.root)
	if err != nil {
		return readFault(s.root, err)
	}
	if _, err := os.Lstat(s.path(storeFile)); len(entries) > 0 && err != nil {
		return connector.Errorf(connector.StoreUnsuitable, connector.OriginHost,
			"Others can use the folder %s (mode %04o), and it holds something that isn't a store.", s.root, info.Mode().Perm()).
			Suggest("Name a folder of its own for the store, or run: chmod 700 %q", s.root)
	}
	// A read-only store can't be mended and can still be read.
	_ = os.Chmod(s.root, folderMode)
	return nil
}

func (s *Store) checkFileSystem() error {
	name, err := s.disk.remoteFileSystem(s.root)
	if err != nil {
		return readFault(s.root, err)
	}
	if name == "" {
		return nil
	}
	return connector.Errorf(connector.StoreUnsuitable, connector.OriginHost,
		"%s is on a file system of type %s, where locks and durable writes can't be relied on.", s.root, name).
		Suggest("Put the store on a local disk, or use a PostgreSQL store to share it between machines.")
}

// identify reads store.json, or writes it into a new store.
func (s *Store) identify(ctx context.Context) error {
	var body storeFormat
	path := s.path(storeFile)
	err := s.read(path, kindStore, &body)
	if errors.Is(err, errAbsent) {
		err = s.create(ctx, &body)
	}
	if err != nil {
		return err
	}
	if body.ID == "" {
		return damagedFault(path, "it names no store", nil)
	}
	s.id = body.ID
	for _, folder := range subfolders {
		// What can't be made now is told by the first call that needs it.
		_ = makeFolder(s.path(folder))
	}
	return nil
}

// create makes a new store, or reads the one that another process made
// meanwhile.
func (s *Store) create(ctx context.Context, body *storeFormat) error {
	for _, folder := range subfolders {
		if err := makeFolder(s.path(folder)); err != nil {
			return writeFault(s.path(folder), err)
		}
	}
	unlock, err := s.lock(ctx, lockStore)
	if err != nil {
		return err
	}
	defer unlock()
	path := s.path(storeFile)
	if err := s.read(path, kindStore, body); !errors.Is(err, errAbsent) {
		return err
	}
	for _, folder := range []string{records, flows} {
		names, err := s.names(folder)
		if err != nil {
			return err
		}
		if len(names) > 0 {
			return connector.Errorf(connector.StoreDamaged, connector.OriginHost,
				"The store %s has lost its file %s.", s.root, storeFile).
				Suggest("Put %s back from a backup.", path)
		}
	}
	*body = storeFormat{ID: randomID(), CreatedAt: s.clock.now()}
	return s.write(path, kindStore, body)
}

func (s *Store) path(elements ...string) string {
	return filepath.Join(append([]string{s.root}, elements...)...)
}
