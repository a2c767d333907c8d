package filestore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"strings"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// The marks of a place. A copied folder has another number and another date, a
// copied disk in another machine another machine. The snapshot of a machine
// that is started beside it has the same ones.
const (
	markMachine = "machine" // a digest of the system's machine-id
	markFolder  = "folder"  // the folder's inode number
	markMade    = "made"    // when the folder was made
)

// machineIDs are where Linux keeps the machine-id.
var machineIDs = []string{"/etc/machine-id", "/var/lib/dbus/machine-id"}

// Identity implements [store.Store].
func (s *Store) Identity(ctx context.Context) (store.Identity, error) {
	if err := s.enter(ctx); err != nil {
		return store.Identity{}, err
	}
	i, _, err := s.identity()
	if err != nil || i.Recorded.Marks != nil && !i.Moved() {
		return i, err
	}
	recorded, err := s.recordPlace(ctx, func(i store.Identity) (bool, error) {
		if i.Recorded.Marks == nil {
			return true, nil
		}
		used, err := s.HasData(ctx)
		return !used && i.Moved(), err
	}, 0)
	if errors.Is(err, connector.StoreUnwritable) {
		return i, nil // nothing can be renewed here either
	}
	return recorded, err
}

// Adopt implements [store.Store].
func (s *Store) Adopt(ctx context.Context) (store.Identity, error) {
	if err := s.enter(ctx); err != nil {
		return store.Identity{}, err
	}
	return s.recordPlace(ctx, func(store.Identity) (bool, error) { return true, nil }, 1)
}

// recordPlace writes the actual place into store.json if want says so of what
// is there.
func (s *Store) recordPlace(ctx context.Context, want func(store.Identity) (bool, error), adoptions uint64) (store.Identity, error) {
	unlock, err := s.lock(ctx, lockStore)
	if err != nil {
		return store.Identity{}, err
	}
	defer unlock()
	i, body, err := s.identity()
	if err != nil {
		return i, err
	}
	if wanted, err := want(i); err != nil || !wanted {
		return i, err
	}
	body.Place = &i.Actual
	body.Adoptions += adoptions
	if err := s.write(s.path(storeFile), kindStore, body); err != nil {
		return store.Identity{}, err
	}
	i.Recorded, i.Adoptions = i.Actual, body.Adoptions
	return i, nil
}

func (s *Store) identity() (store.Identity, *storeFormat, error) {
	body := new(storeFormat)
	path := s.path(storeFile)
	err := s.read(path, kindStore, body)
	if errors.Is(err, errAbsent) {
		err = damagedFault(path, "it is gone", nil)
	}
	if err != nil {
		return store.Identity{}, nil, err
	}
	marks, err := s.marks()
	if err != nil {
		return store.Identity{}, nil, err
	}
	i := store.Identity{Actual: store.Place{Site: s.site, Marks: marks}, Adoptions: body.Adoptions}
	if body.Place != nil {
		i.Recorded = *body.Place
	}
	return i, body, nil
}

// marks are those of the folder as it is now: it may have been replaced since
// it was opened.
func (s *Store) marks() (map[string]string, error) {
	marks, err := folderMarks(s.root)
	if err != nil {
		return nil, readFault(s.root, err)
	}
	for _, path := range machineIDs {
		id, err := os.ReadFile(path)
		if text := strings.TrimSpace(string(id)); err == nil && len(text) >= 32 {
			// The ID itself isn't for others to see.
			sum := sha256.Sum256([]byte(magic + " " + text))
			marks[markMachine] = hex.EncodeToString(sum[:8])
			break
		}
	}
	return marks, nil
}
