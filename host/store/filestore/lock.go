package filestore

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/boxconnection/connector/proto/connector"
)

const (
	// lockWait bounds the wait for a lock where the context doesn't. A holder
	// needs milliseconds; one that takes this long is frozen, or its disk is.
	lockWait = 10 * time.Second
	// firstPoll and lastPoll are the pauses between two tries for a lock.
	firstPoll = 500 * time.Microsecond
	lastPoll  = 16 * time.Millisecond
)

// lockID numbers the locks. Each file with data belongs to one of the first
// ones, by its name's hash. Who holds one of those may take lockNames too,
// but nothing else.
type lockID int

const (
	stripes          = 256
	lockNames lockID = stripes     // held while a record takes a name
	lockStore lockID = stripes + 1 // held while a store is made
)

// file is the lock's file name.
func (id lockID) file() string {
	switch id {
	case lockNames:
		return "names"
	case lockStore:
		return "store"
	}
	return fmt.Sprintf("%02x", int(id))
}

// lockFor returns the lock of a file with data.
func lockFor(name string) lockID {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	return lockID(h.Sum32() % stripes)
}

// gates let one goroutine of this Store at a time try for a kernel lock, so
// that they wait in a queue and don't poll against each other.
type gates []chan struct{}

func newGates() gates {
	g := make(gates, lockStore+1)
	for i := range g {
		g[i] = make(chan struct{}, 1)
	}
	return g
}

// lock takes a lock, waiting as long as the context allows and not longer than
// lockWait. The kernel drops it if the process dies.
func (s *Store) lock(ctx context.Context, id lockID) (unlock func(), err error) {
	path := s.path(locks, id.file())
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	select {
	case s.gates[id] <- struct{}{}:
	case <-ctx.Done():
		return nil, busy(path, ctx.Err())
	}
	kernel, err := lockFile(ctx, path)
	if err != nil {
		<-s.gates[id]
		return nil, err
	}
	return func() {
		_ = kernel.Close() // closing the descriptor drops the lock either way
		<-s.gates[id]
	}, nil
}

func lockFile(ctx context.Context, path string) (*flock.Flock, error) {
	pause := firstPoll
	for {
		kernel, err := tryLock(path)
		if kernel != nil {
			return kernel, nil
		}
		if err != nil {
			return nil, writeFault(path, err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, busy(path, ctx.Err())
		}
		pause = min(2*pause, lastPoll)
	}
}

// tryLock returns nil and no error if somebody else has the lock.
func tryLock(path string) (*flock.Flock, error) {
	kernel := flock.New(path, flock.SetPermissions(fileMode))
	ok, err := kernel.TryLock()
	switch {
	case errors.Is(err, syscall.EISDIR):
		// A folder in the lock's place locks as well as a file.
		kernel = flock.New(path, flock.SetFlag(os.O_RDONLY))
		ok, err = kernel.TryLock()
	case errors.Is(err, fs.ErrPermission) && os.Chmod(path, fileMode) == nil:
		// Another process made it under a strict umask.
		ok, err = kernel.TryLock()
	}
	if ok {
		return kernel, nil
	}
	return nil, errors.Join(err, kernel.Close())
}

func busy(path string, cause error) error {
	return connector.Errorf(connector.StoreBusy, connector.OriginHost,
		"The store's lock %s wasn't free in time: another process is writing, or is stopped.", path).
		Suggest("Try again. If it stays so, look for a stopped process that has the file open; the lock itself needs no cleaning up.").
		With(connector.Retry).Because(cause)
}
