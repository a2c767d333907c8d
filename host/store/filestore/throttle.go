package filestore

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/boxconnection/connector/host/store"
)

var _ store.Throttle = (*Store)(nil)

// waitsFile is the body of a file in waits/.
type waitsFile struct {
	Key   store.Key `json:"key"`
	API   time.Time `json:"api,omitzero"`
	Token time.Time `json:"token,omitzero"`
}

func (f waitsFile) over(now time.Time) bool { return !f.API.After(now) && !f.Token.After(now) }

// Waits implements [store.Throttle]. A damaged file is as good as none.
func (s *Store) Waits(ctx context.Context, key store.Key) (store.Waits, error) {
	if err := s.enter(ctx); err != nil {
		return store.Waits{}, err
	}
	if err := checkKey(key); err != nil {
		return store.Waits{}, err
	}
	f, now := s.readWaits(recordName(key)), s.clock.now()
	return store.Waits{API: max(0, f.API.Sub(now)), Token: max(0, f.Token.Sub(now))}, nil
}

// ExtendWaits implements [store.Throttle]. It syncs nothing.
func (s *Store) ExtendWaits(ctx context.Context, key store.Key, w store.Waits) error {
	return s.changeWaits(ctx, key, func(name string) error {
		old, now := s.readWaits(name), s.clock.now()
		next := waitsFile{key, later(old.API, now, w.API), later(old.Token, now, w.Token)}
		if next.API.Equal(old.API) && next.Token.Equal(old.Token) {
			return nil
		}
		// Stores that were made before there were waits have no folder for them.
		if err := makeFolder(s.path(waits)); err != nil {
			return writeFault(s.path(waits), err)
		}
		return s.writeQuick(s.path(waits, name), kindWaits, next)
	})
}

// EndWaits implements [store.Throttle].
func (s *Store) EndWaits(ctx context.Context, key store.Key) error {
	return s.changeWaits(ctx, key, func(name string) error {
		path := s.path(waits, name)
		if err := s.disk.remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return writeFault(path, err)
		}
		return nil
	})
}

// changeWaits changes a key's file under its lock.
func (s *Store) changeWaits(ctx context.Context, key store.Key, change func(name string) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return err
	}
	name := recordName(key)
	unlock, err := s.lock(ctx, lockFor(name))
	if err != nil {
		return err
	}
	defer unlock()
	return change(name)
}

func (s *Store) readWaits(name string) waitsFile {
	var f waitsFile
	if s.read(s.path(waits, name), kindWaits, &f) != nil {
		return waitsFile{}
	}
	return f
}

func later(old, now time.Time, d time.Duration) time.Time {
	if until := now.Add(d); d > 0 && until.After(old) {
		return until
	}
	return old
}

// writeQuick replaces a file as a whole, but not durably: after a crash of the
// machine it may be damaged. The caller holds the file's lock.
func (s *Store) writeQuick(path, kind string, value any) error {
	content, err := encode(kind, value)
	if err != nil {
		return err
	}
	folder, name := filepath.Split(path)
	temp := filepath.Join(folder, tempName(name))
	_ = s.disk.remove(temp) // a process was killed here
	f, err := s.disk.create(temp)
	if err != nil {
		return writeFault(folder, err)
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Close()); err != nil {
		_ = s.disk.remove(temp) // the next writer does it otherwise
		return writeFault(folder, err)
	}
	if err := s.disk.rename(temp, path); err != nil {
		return writeFault(path, err)
	}
	return nil
}
