package filestore

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/gofrs/flock"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// Acquire implements [store.Store]. A lease needs an open file until it ends.
func (s *Store) Acquire(ctx context.Context, key store.Key, want store.LeaseRequest) (*store.Record, *store.Lease, error) {
	if err := s.enter(ctx); err != nil {
		return nil, nil, err
	}
	if err := want.CheckID(); err != nil {
		return nil, nil, err
	}
	unlock, err := s.lock(ctx, lockFor(recordName(key)))
	if err != nil {
		return nil, nil, err
	}
	defer unlock()

	r, err := s.get(key)
	if err != nil {
		return nil, nil, err
	}
	now := s.clock.now()
	last := r.Lease
	own := last != nil && last.ID == want.ID
	if last != nil && !own && now.Before(last.Until) && s.alive(last.ID) {
		return nil, last, nil
	}
	s.drop(want.ID)
	id, err := s.hold(ctx, want.ID)
	if err != nil {
		return nil, nil, err
	}
	if last != nil && !own {
		r.Interrupted = last
	}
	r.Lease = &store.Lease{
		ID: id, Holder: want.Holder, Intent: want.Intent, Generation: r.Generation,
		Since: now, Until: now.Add(want.For),
	}
	r.Revision++
	if err := s.put(ctx, r, claim(r)); err != nil {
		s.drop(id)
		return nil, nil, err
	}
	if last != nil && !own {
		// A frozen holder keeps the lock on a file without a name.
		_ = os.Remove(s.leasePath(last.ID))
	}
	return r, nil, nil
}

// Commit implements [store.Store]. It calls change while it holds the record's
// lock, so change must not call the Store.
func (s *Store) Commit(ctx context.Context, key store.Key, lease *store.Lease, change func(*store.Record) error) (*store.Record, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	if lease == nil {
		return nil, noLease()
	}
	unlock, err := s.lock(ctx, lockFor(recordName(key)))
	if err != nil {
		return nil, err
	}
	defer unlock()

	stored, err := s.get(key)
	if err != nil {
		return nil, err
	}
	if stored.Generation != lease.Generation {
		return nil, changed(key)
	}
	next := *stored
	next.Lease, next.Interrupted = copyOf(stored.Lease), copyOf(stored.Interrupted)
	if err := change(&next); err != nil {
		return nil, err
	}
	next.Key, next.CreatedAt = stored.Key, stored.CreatedAt
	next.Revision = stored.Revision + 1
	next.UpdatedAt = s.clock.now()
	next.Lease = stored.Lease
	if next.Lease != nil && next.Lease.ID == lease.ID {
		next.Lease = nil
	}
	if next.Generation != stored.Generation {
		next.Interrupted = nil
	}
	if err := checkRecord(&next); err != nil {
		return nil, err
	}
	if err := s.put(ctx, &next, claim(stored)); err != nil {
		return nil, err
	}
	s.drop(lease.ID)
	return &next, nil
}

// Release implements [store.Store]. Even if it fails, the holder is seen as
// gone.
func (s *Store) Release(ctx context.Context, key store.Key, lease *store.Lease) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if lease == nil {
		return noLease()
	}
	unlock, err := s.lock(ctx, lockFor(recordName(key)))
	if err != nil {
		return err
	}
	defer unlock()
	defer s.drop(lease.ID)

	r, err := s.get(key)
	switch {
	case errors.Is(err, connector.ConnectionNotFound):
		return nil
	case err != nil:
		return err
	case r.Lease == nil || r.Lease.ID != lease.ID:
		return nil
	}
	r.Lease = nil
	r.Revision++
	return s.put(ctx, r, claim(r))
}

// hold takes a new lock that shows that a lease's holder lives, and returns its
// ID: the one that the caller chose, if any.
func (s *Store) hold(ctx context.Context, chosen string) (string, error) {
	for {
		if err := s.enter(ctx); err != nil {
			return "", err
		}
		id := chosen
		if id == "" {
			id = store.NewLeaseID()
		}
		path := s.leasePath(id)
		lock, err := tryLock(path)
		if err != nil {
			return "", writeFault(s.path(leases), err)
		}
		if lock == nil || !named(lock, path) {
			// Somebody who tidies up took the file for a dead holder's.
			continue
		}
		// Under a strict umask others couldn't ask whether it is locked; then
		// the lease lasts until its deadline, which is no reason to fail.
		_ = os.Chmod(path, fileMode)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			_ = lock.Close()
			return "", s.closedFault()
		}
		s.held[id] = lock
		return id, nil
	}
}

// named reports whether a locked file still has its name. It closes one that
// has not.
func named(lock *flock.Flock, path string) bool {
	mine, err := lock.Stat()
	if err == nil {
		if current, statErr := os.Stat(path); statErr == nil && os.SameFile(mine, current) {
			return true
		}
	}
	_ = lock.Close()
	return false
}

// drop ends what hold began. It may be called for a lease that isn't held.
func (s *Store) drop(id string) {
	s.mu.Lock()
	lock := s.held[id]
	delete(s.held, id)
	s.mu.Unlock()
	if lock == nil {
		return
	}
	// First the name, so that nobody finds the file unlocked.
	_ = os.Remove(s.leasePath(id))
	_ = lock.Close()
}

// alive reports whether a lease's holder still has its lock. If that can't be
// told, the lease lasts until its deadline.
func (s *Store) alive(id string) bool {
	// A shared lock, so that several who ask at once don't see each other. No
	// O_CREATE: a lock that was removed has no holder.
	probe := flock.New(s.leasePath(id), flock.SetFlag(os.O_RDONLY))
	free, err := probe.TryRLock()
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	_ = probe.Close()
	return !free
}

func noLease() error {
	return connector.Errorf(connector.UsageWrong, connector.OriginHost, "No lease was given.")
}

func (s *Store) leasePath(id string) string { return s.path(leases, escape(id)) }

func copyOf(lease *store.Lease) *store.Lease {
	if lease == nil {
		return nil
	}
	c := *lease
	return &c
}
