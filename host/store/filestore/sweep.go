package filestore

import (
	"context"
	"os"
	"time"

	"github.com/gofrs/flock"

	"github.com/boxconnection/connector/host/store"
)

// sweepEvery is the pause between two sweeps of expired drafts and flows. They
// are invisible anyway, so this only keeps the folder small.
const sweepEvery = time.Minute

// tidyWait bounds the wait for a lock while tidying up; the next one does it
// otherwise.
const tidyWait = 100 * time.Millisecond

// tidy removes what killed processes left behind: half-written files and the
// lease locks of the dead. What can't be removed does no harm.
func (s *Store) tidy(ctx context.Context) {
	for _, folder := range []string{records, flows, waits} {
		temps, err := s.list(folder, func(name string) bool { _, ok := tempTarget(name); return ok })
		if err != nil {
			continue
		}
		for _, temp := range temps {
			target, _ := tempTarget(temp)
			s.withLock(ctx, target, func() { _ = s.disk.remove(s.path(folder, temp)) })
		}
	}
	left, err := s.list(leases, func(name string) bool { return len(name) == len(randomID()) })
	if err != nil {
		return
	}
	for _, name := range left {
		// Whoever is just taking a lease meets this lock and takes another one.
		lock := flock.New(s.path(leases, name), flock.SetFlag(os.O_RDONLY))
		if ok, err := lock.TryLock(); ok && err == nil {
			_ = s.disk.remove(s.path(leases, name))
			_ = lock.Close()
		}
	}
}

// sweep removes drafts and flows whose time is over, at most once a minute.
func (s *Store) sweep(ctx context.Context) {
	now := s.clock.now()
	s.mu.Lock()
	wait := now.Sub(s.lastSweep)
	due := wait < 0 || wait >= sweepEvery
	if due {
		s.lastSweep = now
	}
	s.mu.Unlock()
	if !due {
		return
	}
	if names, err := s.names(records); err == nil {
		for _, name := range names {
			over := func() bool { r, err := s.glance(name); return err == nil && expired(r, now) }
			s.removeIf(ctx, records, name, over)
		}
	}
	if names, err := s.names(flows); err == nil {
		for _, name := range names {
			over := func() bool {
				var f store.Flow
				err := s.read(s.path(flows, name), kindFlow, &f)
				return err == nil && !now.Before(f.ExpiresAt)
			}
			s.removeIf(ctx, flows, name, over)
		}
	}
	if names, err := s.names(waits); err == nil {
		for _, name := range names {
			s.removeIf(ctx, waits, name, func() bool { return s.readWaits(name).over(now) })
		}
	}
}

// removeIf looks before it takes the lock, and again under it.
func (s *Store) removeIf(ctx context.Context, folder, name string, over func() bool) {
	if s.enter(ctx) != nil || !over() {
		return
	}
	s.withLock(ctx, name, func() {
		if over() {
			_ = s.disk.remove(s.path(folder, name)) // it is invisible anyway
		}
	})
}

func (s *Store) withLock(ctx context.Context, name string, do func()) {
	ctx, cancel := context.WithTimeout(ctx, tidyWait)
	defer cancel()
	unlock, err := s.lock(ctx, lockFor(name))
	if err != nil {
		return
	}
	defer unlock()
	do()
}
