package filestore

import (
	"context"
	"errors"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// PutFlow implements [store.Store].
func (s *Store) PutFlow(ctx context.Context, f store.Flow) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if err := checkText("sign-in's ID", f.ID, true); err != nil {
		return err
	}
	if err := checkKey(f.Key); err != nil {
		return err
	}
	s.sweep(ctx)
	name := flowName(f.ID)
	unlock, err := s.lock(ctx, lockFor(name))
	if err != nil {
		return err
	}
	defer unlock()
	return s.write(s.path(flows, name), kindFlow, f)
}

// PeekFlow implements [store.Store].
func (s *Store) PeekFlow(ctx context.Context, id string) (*store.Flow, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	return s.flow(id)
}

// TakeFlow implements [store.Store].
func (s *Store) TakeFlow(ctx context.Context, id string) (*store.Flow, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	name := flowName(id)
	unlock, err := s.lock(ctx, lockFor(name))
	if err != nil {
		return nil, err
	}
	defer unlock()
	f, err := s.flow(id)
	if err != nil {
		return nil, err
	}
	if err := s.remove(s.path(flows, name)); err != nil {
		return nil, err
	}
	return f, nil
}

// Flows implements [store.Store].
func (s *Store) Flows(ctx context.Context) ([]store.Flow, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	names, err := s.names(flows)
	if err != nil {
		return nil, err
	}
	now := s.clock.now()
	var waiting []store.Flow
	for _, name := range names {
		if err := s.enter(ctx); err != nil {
			return nil, err
		}
		var f store.Flow
		if err := s.read(s.path(flows, name), kindFlow, &f); err == nil && now.Before(f.ExpiresAt) {
			waiting = append(waiting, f)
		}
	}
	return waiting, nil
}

func (s *Store) flow(id string) (*store.Flow, error) {
	f := new(store.Flow)
	path := s.path(flows, flowName(id))
	err := s.read(path, kindFlow, f)
	switch {
	case errors.Is(err, errAbsent), err == nil && !s.clock.now().Before(f.ExpiresAt):
		return nil, connector.Errorf(connector.ConnectionNotFound, connector.OriginHost, "There is no such sign-in, or no longer.").
			Suggest("Begin the sign-in again.")
	case err != nil:
		return nil, err
	case f.ID != id:
		return nil, damagedFault(path, "it holds another sign-in than its name says", nil)
	}
	return f, nil
}

func flowName(id string) string { return escape(id) + suffix }
