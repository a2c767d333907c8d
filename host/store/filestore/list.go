package filestore

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// List implements [store.Store]. A record that can't be read is listed
// wherever its file's name fits the query, since nothing else is known of it.
func (s *Store) List(ctx context.Context, q store.Query) ([]store.Listed, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	var listed []store.Listed
	names, err := s.names(records)
	if err != nil {
		return nil, err
	}
	now := s.clock.now()
	for _, name := range names {
		if !nameFits(name, q) {
			continue
		}
		if err := s.enter(ctx); err != nil {
			return nil, err
		}
		switch r, err := s.load(name); {
		case errors.Is(err, errAbsent): // removed since
		case err != nil:
			listed = append(listed, store.Listed{Key: keyOf(name), Err: connector.Diagnose(err, connector.OriginHost)})
		case fits(r, q) && !expired(r, now):
			listed = append(listed, store.Listed{Key: r.Key, Record: r})
		}
	}
	slices.SortFunc(listed, func(a, b store.Listed) int {
		return cmp.Or(cmp.Compare(nameOf(a), nameOf(b)), compareKeys(a.Key, b.Key))
	})
	return listed, nil
}

// Due implements [store.Store].
func (s *Store) Due(ctx context.Context, limit int) ([]store.Key, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	s.sweep(ctx)
	now := s.clock.now()
	names, err := s.names(records)
	if err != nil {
		return nil, err
	}
	s.index.keep(names)
	var due []*store.Record
	for _, name := range names {
		if err := s.enter(ctx); err != nil {
			return nil, err
		}
		// What can't be read can't be worked on; List tells of it.
		if r, err := s.glance(name); err == nil && !r.DueAt.IsZero() && !now.Before(r.DueAt) && !expired(r, now) {
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(a, b *store.Record) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), compareKeys(a.Key, b.Key))
	})
	keys := make([]store.Key, 0, max(0, min(limit, len(due))))
	for _, r := range due[:cap(keys)] {
		keys = append(keys, r.Key)
	}
	return keys, nil
}

// nameFits tells by a file's name whether its record can be what is asked for.
// A name that isn't a record's fits everything.
func nameFits(name string, q store.Query) bool {
	owner, environment, connection, ok := nameParts(name)
	return !ok || (q.Owner == "" || owner == escape(q.Owner)) &&
		(q.Connection == "" || connection == escape(q.Connection)) &&
		(q.Environment == "" || environment == escape(q.Environment))
}

func fits(r *store.Record, q store.Query) bool {
	return (q.Owner == "" || r.Key.Owner == q.Owner) &&
		(q.Connection == "" || r.Key.Connection == q.Connection) &&
		(q.Environment == "" || r.Key.Environment == q.Environment) &&
		(q.Name == "" || r.Name == q.Name) &&
		(q.State == "" || r.State == q.State) &&
		(q.Base == "" || r.Base == q.Base)
}

func nameOf(l store.Listed) string {
	if l.Record == nil {
		return ""
	}
	return l.Record.Name
}

func compareKeys(a, b store.Key) int {
	return cmp.Or(
		cmp.Compare(a.Owner, b.Owner),
		cmp.Compare(a.Connection, b.Connection),
		cmp.Compare(a.Environment, b.Environment),
	)
}
