package host

import (
	"bytes"
	"context"
	"errors"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// Overrides is how an environment differs from its base. It holds no secret.
type Overrides struct {
	// Settings names the settings and secrets that are overridden or cleared, in
	// alphabetical order.
	Settings []string `json:"settings"`
	// Network says that proxy and certificates are the environment's own.
	Network bool `json:"network"`
	// Withheld names secrets that must be given again.
	Withheld []string `json:"withheld,omitempty"`
}

// Override drafts a change of how the connection of that name differs in this
// tenant's environment from [DefaultEnvironment]'s, its base. What isn't
// overridden is the base's, now and after each change of the base. Where the
// environment doesn't have the connection yet, saving the draft makes it: with
// the base's ID and name, and with a credential, an account and a state of its
// own. An empty Edit overrides nothing.
//
// A connection of that name which has no base is connector.ConnectionExists.
func (t *Tenant) Override(ctx context.Context, name string, e Edit) (*Connection, error) {
	if t.environment == DefaultEnvironment {
		return nil, connector.Errorf(connector.UsageWrong, connector.OriginHost, "The environment %q is the base: it overrides nothing.", DefaultEnvironment).
			Suggest("Name another environment, or edit the connection.")
	}
	r, err := t.find(ctx, name)
	if err == nil && !derived(r) {
		return nil, connector.Errorf(connector.ConnectionExists, connector.OriginHost,
			"The environment %q has a connection %s of its own, without a base.", t.environment, quoted(name)).
			Suggest("Edit that one, or delete it first.")
	}
	if is(err, connector.ConnectionNotFound) {
		var base *store.Record
		if base, err = t.host.Tenant(t.owner, DefaultEnvironment, t.actor).find(ctx, name); err == nil {
			r = &store.Record{Key: base.Key, Plugin: base.Plugin, Connector: base.Connector}
			r.Key.Environment = t.environment
		}
	}
	if err == nil && r.State == store.StateSaved {
		r, err = t.host.current(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	conn, err := t.host.connectorOf(ctx, r)
	if err != nil {
		return nil, err
	}
	return t.override(ctx, conn, r, e)
}

// override drafts a change of an environment's overrides. A record without a
// state is one that isn't there yet.
func (t *Tenant) override(ctx context.Context, conn *Connector, r *store.Record, e Edit) (*Connection, error) {
	fresh, o, err := t.overridden(ctx, conn, r, e)
	if err != nil {
		return nil, err
	}
	return t.draftOf(ctx, conn, r, fresh, o)
}

// overridden returns what an edit makes of an environment's record, or of a
// draft of it: the merged settings, and the overrides that led to them.
func (t *Tenant) overridden(ctx context.Context, conn *Connector, r *store.Record, e Edit) (config, *overrides, error) {
	key := r.Key
	if r.State == store.StateDraft {
		key.Connection = r.Base
	}
	base, err := t.host.base(ctx, key)
	if err != nil {
		return config{}, nil, err
	}
	from, err := t.host.vault.config(ctx, base)
	if err != nil {
		return config{}, nil, err
	}
	var o overrides
	old := from
	if derived(r) {
		if _, err = t.host.vault.get(ctx, r, store.FieldOverrides, &o); err == nil {
			old, err = t.host.vault.config(ctx, r)
		}
		if err != nil {
			return config{}, nil, err
		}
	}
	o.change(e, old.network)
	o.BaseRevision = base.SettingsRevision
	fresh, err := o.merge(conn, from)
	if err != nil {
		return config{}, nil, err
	}
	guarded := o.unguarded(conn, from, old, fresh, e)
	normal, _, err := conn.normalise(ctx, fresh.settings)
	if broken, ok := errors.AsType[*InvalidSettings](err); ok && len(guarded) > 0 {
		// A secret that isn't there any more is told once.
		err = invalid(append(without(broken.Problems, guarded), guarded...))
	} else if err == nil {
		err = invalid(guarded)
	}
	if err != nil {
		return config{}, nil, named(t.environment, err)
	}
	fresh.settings = normal
	return fresh, &o, nil
}

// derived reports whether the record is an environment's, which inherits.
func derived(r *store.Record) bool { return len(r.Sealed[store.FieldOverrides]) > 0 }

// base returns the record that an environment's record inherits from.
func (h *Host) base(ctx context.Context, key store.Key) (*store.Record, error) {
	environment := key.Environment
	key.Environment = DefaultEnvironment
	r, err := h.store.Get(ctx, key)
	if is(err, connector.ConnectionNotFound) || err == nil && r.State != store.StateSaved {
		return nil, connector.Errorf(connector.ConnectionNotFound, connector.OriginHost,
			"The connection that the environment %q inherits from was deleted.", environment).
			Suggest("Delete it in this environment, too, and create another one.")
	}
	return r, err
}

// current returns the record of an environment as it is after the last change
// of its base; any other record as it is.
func (h *Host) current(ctx context.Context, r *store.Record) (*store.Record, error) {
	if !derived(r) || r.State != store.StateSaved {
		return r, nil
	}
	base, err := h.base(ctx, r.Key)
	if err != nil {
		return nil, err
	}
	var o overrides
	if _, err := h.vault.get(ctx, r, store.FieldOverrides, &o); err != nil {
		return nil, err
	}
	if o.BaseRevision >= base.SettingsRevision {
		return r, nil
	}
	conn, err := h.connectorOf(ctx, r)
	if err != nil {
		return nil, err
	}
	generation := r.Generation
	r, err = h.update(ctx, r.Key, func(r *store.Record) error {
		if !derived(r) || r.State != store.StateSaved {
			return nil
		}
		return h.inherit(ctx, conn, r, base)
	})
	if err != nil {
		return nil, err
	}
	h.forget(r.Key)
	if r.Generation != generation {
		h.moved(ctx, r)
	}
	return r, nil
}

// inherit merges the base anew into r. Where that moves a destination the
// credential is put up for revocation, at the old one.
func (h *Host) inherit(ctx context.Context, conn *Connector, r, base *store.Record) error {
	old, err := h.vault.config(ctx, r)
	if err != nil {
		return err
	}
	from, err := h.vault.config(ctx, base)
	if err != nil {
		return err
	}
	var o overrides
	if _, err := h.vault.get(ctx, r, store.FieldOverrides, &o); err != nil {
		return err
	}
	if o.BaseRevision >= base.SettingsRevision {
		return nil // another host has seen a newer base than this one
	}
	fresh, moved, err := o.follow(conn, old, from)
	if err != nil {
		return named(r.Key.Environment, err)
	}
	now, err := h.store.Now(ctx)
	if err != nil {
		return err
	}
	o.BaseRevision = base.SettingsRevision
	if err := h.vault.put(ctx, r, store.FieldOverrides, o); err != nil {
		return err
	}
	if bytes.Equal(old.settings, fresh.settings) && sameNetwork(old.network, fresh.network) {
		return nil
	}
	signedIn := len(r.Sealed[store.FieldCredential]) > 0
	if signedIn && len(moved) > 0 {
		if _, err := h.orphan(ctx, r, old); err != nil {
			return err
		}
	}
	if err := h.vault.putConfig(ctx, r, fresh.settings, fresh.network); err != nil {
		return err
	}
	r.SettingsRevision++
	if why := o.stopped(r.Key.Environment, signedIn, moved); why != nil {
		r.Verdict = &store.Verdict{Generation: r.Generation, SettingsRevision: r.SettingsRevision, At: now, Diagnostic: why}
	}
	return nil
}

// withheld fails while a secret of the record must be given again.
func (v vault) withheld(ctx context.Context, r *store.Record) error {
	var o overrides
	if _, err := v.get(ctx, r, store.FieldOverrides, &o); err != nil || len(o.Withheld) == 0 {
		return err
	}
	return invalid(in(r.Key.Environment, o.repeat()))
}
