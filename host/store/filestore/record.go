package filestore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key store.Key) (*store.Record, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	return s.get(key)
}

// Create implements [store.Store].
func (s *Store) Create(ctx context.Context, r *store.Record) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if err := checkRecord(r); err != nil {
		return err
	}
	s.sweep(ctx)
	name := recordName(r.Key)
	unlock, err := s.lock(ctx, lockFor(name))
	if err != nil {
		return err
	}
	defer unlock()

	// Whatever is there keeps the ID, be it damaged or expired.
	path := s.path(records, name)
	switch _, err := os.Lstat(path); {
	case err == nil:
		return connector.Errorf(connector.ConnectionExists, connector.OriginHost,
			"The ID %q was used before.", r.Key.Connection).Suggest("Use a new one.")
	case !errors.Is(err, fs.ErrNotExist):
		return readFault(path, err)
	}

	next := *r
	next.Revision = 1
	next.UpdatedAt = s.clock.now()
	if next.CreatedAt.IsZero() {
		next.CreatedAt = next.UpdatedAt
	}
	next.Lease, next.Interrupted = nil, nil
	if err := s.put(ctx, &next, ""); err != nil {
		return err
	}
	r.Revision, r.CreatedAt, r.UpdatedAt = next.Revision, next.CreatedAt, next.UpdatedAt
	return nil
}

// Update implements [store.Store]. It keeps the stored CreatedAt, Lease and
// Interrupted.
func (s *Store) Update(ctx context.Context, r *store.Record) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if err := checkRecord(r); err != nil {
		return err
	}
	unlock, err := s.lock(ctx, lockFor(recordName(r.Key)))
	if err != nil {
		return err
	}
	defer unlock()

	stored, err := s.get(r.Key)
	if err != nil {
		return err
	}
	if stored.Revision != r.Revision {
		return changed(r.Key)
	}
	next := *r
	next.Revision = stored.Revision + 1
	next.UpdatedAt = s.clock.now()
	next.CreatedAt, next.Lease, next.Interrupted = stored.CreatedAt, stored.Lease, stored.Interrupted
	if err := s.put(ctx, &next, claim(stored)); err != nil {
		return err
	}
	r.Revision, r.UpdatedAt = next.Revision, next.UpdatedAt
	return nil
}

// Delete implements [store.Store]. A record that isn't a draft is UsageWrong.
func (s *Store) Delete(ctx context.Context, key store.Key, revision uint64) error {
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

	stored, err := s.get(key)
	switch {
	case err != nil:
		return err
	case stored.Revision != revision:
		return changed(key)
	case stored.State != store.StateDraft:
		return connector.Errorf(connector.UsageWrong, connector.OriginHost,
			"Connection %q isn't a draft, so it can't be removed without a trace.", key.Connection)
	}
	return s.remove(s.path(records, name))
}

// get reads a record. A draft whose time is over is as good as removed.
func (s *Store) get(key store.Key) (*store.Record, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	r, err := s.load(recordName(key))
	switch {
	case errors.Is(err, errAbsent):
		return nil, notFound(key)
	case err != nil:
		return nil, err
	case expired(r, s.clock.now()):
		return nil, notFound(key)
	}
	return r, nil
}

// load reads a record's file, which is known to be that of its key.
func (s *Store) load(name string) (*store.Record, error) {
	path := s.path(records, name)
	r := new(store.Record)
	if err := s.read(path, kindRecord, r); err != nil {
		return nil, err
	}
	if recordName(r.Key) != name {
		return nil, damagedFault(path, "it holds another connection than its name says", nil)
	}
	if r.Sealed == nil {
		r.Sealed = map[store.Field][]byte{}
	}
	return r, nil
}

// put writes a record whose lock the caller holds. held is the claim on a name
// that the record has already.
func (s *Store) put(ctx context.Context, r *store.Record, held string) error {
	if want := claim(r); want != "" && want != held {
		unlock, err := s.lock(ctx, lockNames)
		if err != nil {
			return err
		}
		defer unlock()
		if err := s.checkName(r); err != nil {
			return err
		}
	}
	return s.write(s.path(records, recordName(r.Key)), kindRecord, r)
}

// checkName refuses a name that another record holds. The caller holds
// lockNames, so that nobody else takes a name meanwhile. A record that can't
// be read holds no name: one bad file must not stop all others.
func (s *Store) checkName(r *store.Record) error {
	names, err := s.names(records)
	if err != nil {
		return err
	}
	own, prefix := recordName(r.Key), recordPrefix(r.Key.Owner, r.Key.Environment)
	for _, name := range names {
		if name == own || !strings.HasPrefix(name, prefix) {
			continue
		}
		if other, err := s.glance(name); err == nil && claim(other) == claim(r) {
			return connector.Errorf(connector.ConnectionExists, connector.OriginHost,
				"There is a connection named %q already.", r.Name).Suggest("Choose another name.")
		}
	}
	return nil
}

// claim returns the name that a record holds within its owner's environment,
// or "" for none.
func claim(r *store.Record) string {
	if r.State != store.StateSaved {
		return ""
	}
	return r.Name
}

func expired(r *store.Record, now time.Time) bool {
	return r.State == store.StateDraft && !r.ExpiresAt.IsZero() && !now.Before(r.ExpiresAt)
}

func checkRecord(r *store.Record) error {
	if err := checkKey(r.Key); err != nil {
		return err
	}
	return checkText("name", r.Name, false)
}
