package host

import (
	"context"
	"errors"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// Adoption says what Adopt does beside taking the store over.
type Adoption struct {
	// Actor is whom the audit names.
	Actor string
	// WithoutSignIns drops every credential that came with the copy or the
	// import, so that its original isn't harmed even if it goes on. The
	// connections stay, and must be signed in to again.
	WithoutSignIns bool
	// KeepRevocations keeps what the original had still to revoke when it was
	// copied: its outbox, unconfirmed sign-ins and drafts. Without it they are
	// dropped, since the original revokes them itself, or has come to live
	// from them.
	KeepRevocations bool
}

// Adopted is what Adopt did.
type Adopted struct {
	// Changed is false if the store was adopted already and held no import.
	Changed bool `json:"changed"`
	// Was is where the store belonged, Is where it belongs now.
	Was store.Place `json:"was"`
	Is  store.Place `json:"is"`
	// Connections counts those that are this store's from now on.
	Connections int `json:"connections"`
	// Dropped counts the records of which something was dropped that is left
	// at the service.
	Dropped int `json:"dropped"`
	// Bad are the records that can't be read. They were left as they are.
	Bad []BadValue `json:"bad"`
}

// Adopt makes a copy the real store, and what was imported the store's own:
// from then on it is renewed and revoked here. The original must not be used
// any more, unless the sign-ins are dropped: both would spend the same refresh
// tokens. Adopt itself revokes nothing. It can be repeated, and does nothing
// where nothing is left to adopt.
func (h *Host) Adopt(ctx context.Context, a Adoption) (Adopted, error) {
	done, err := h.takeOver(ctx, a)
	if !done.Changed && err == nil {
		return done, nil
	}
	if aerr := h.record(ctx, audit.Event{Actor: a.Actor, Action: audit.ActionAdopt, Subject: done.Is.String()}, err); err == nil {
		err = aerr
	}
	return done, err
}

func (h *Host) takeOver(ctx context.Context, a Adoption) (Adopted, error) {
	i, err := h.store.Identity(ctx)
	done := Adopted{Was: i.Recorded, Is: i.Actual, Changed: i.Moved(), Bad: []BadValue{}}
	if err != nil {
		return done, err
	}
	listed, err := h.store.List(ctx, store.Query{})
	if err != nil {
		return done, err
	}
	// All that is to be dropped is dropped while the store still is a copy:
	// whatever ends this early, nothing of it is ever revoked.
	for _, l := range listed {
		if l.Err != nil {
			done.Bad = append(done.Bad, BadValue{Key: l.Key, Err: l.Err})
			continue
		}
		if refusal(i, l.Record) == nil {
			continue
		}
		done.Changed = true
		dropped, err := h.disown(ctx, l.Record.Key, i, a)
		switch {
		case is(err, connector.ConnectionNotFound): // ended meanwhile
			continue
		case err != nil:
			return done, err
		case dropped != nil:
			done.Dropped++
			h.forget(dropped.Key)
			h.auditUnrevoked(ctx, a.Actor, dropped)
		}
		if l.Record.State == store.StateSaved {
			done.Connections++
		}
	}
	if !done.Changed {
		return done, nil
	}
	i, err = h.store.Adopt(ctx)
	done.Is = i.Actual
	return done, err
}

// disown drops from a record what isn't to become this store's. It returns the
// record if there was something.
func (h *Host) disown(ctx context.Context, key store.Key, i store.Identity, a Adoption) (*store.Record, error) {
	var dropped bool
	r, err := h.update(ctx, key, func(r *store.Record) error {
		dropped = false
		signIn := a.WithoutSignIns || r.State == store.StateDraft && !a.KeepRevocations
		fields := map[store.Field]bool{
			store.FieldCredential: signIn, store.FieldPrevious: signIn,
			store.FieldCandidate: !a.KeepRevocations, store.FieldRevocation: !a.KeepRevocations,
		}
		for field, unwanted := range fields {
			dropped = dropped || unwanted && len(r.Sealed[field]) > 0
		}
		if dropped {
			r.Unrevoked = refusal(i, r)
		} else if len(r.Sealed[store.FieldRevocation]) == 0 {
			return errOutdated
		}
		if signIn && len(r.Sealed[store.FieldCredential]) > 0 {
			dropCredential(r)
		}
		for field, unwanted := range fields {
			if unwanted {
				delete(r.Sealed, field)
			}
		}
		schedule(r, r.UpdatedAt)
		return nil
	})
	if errors.Is(err, errOutdated) || err == nil && !dropped {
		return nil, nil
	}
	return r, err
}
