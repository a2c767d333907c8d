package host

import (
	"bytes"
	"context"
	"slices"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// InvalidSettings is the error of settings that break a rule. It unwraps to
// the first problem.
type InvalidSettings struct {
	// Problems are all that is wrong, in the order of the form's fields.
	Problems connector.Diagnostics
}

// Error returns the first problem's text and how many more there are.
func (e *InvalidSettings) Error() string { return e.Problems.Err().Error() }

// Unwrap returns the first problem.
func (e *InvalidSettings) Unwrap() error { return e.Problems.Err() }

// invalid makes an error of problems, if one of them is an error.
func invalid(problems connector.Diagnostics) error {
	if problems.Err() == nil {
		return nil
	}
	return &InvalidSettings{problems}
}

// Edit is a change of a connection's settings.
type Edit struct {
	// Settings holds what changes: a value replaces, null clears, and what is
	// absent stays, secrets included.
	Settings descriptor.Settings
	// Network replaces the connection's own way to the service; nil keeps it.
	Network *connector.Network
	// ChangeNetwork changes a copy of the connection's own way instead, which
	// is the zero one if it has none; nil keeps it.
	ChangeNetwork func(*connector.Network)
	// DefaultNetwork drops it, so that the host's is used, or the base's in an
	// environment.
	DefaultNetwork bool
	// Inherit names settings that an environment doesn't override any more: the
	// base's count again. It is empty for a connection that has no base.
	Inherit []string
}

// network is what the edit makes of a connection's own way to the service. In
// an environment own is what it has, and seen what counts there.
func (e Edit) network(own, seen *connector.Network) *connector.Network {
	switch {
	case e.DefaultNetwork:
		return nil
	case e.Network != nil:
		return e.Network
	case e.ChangeNetwork != nil:
		n := connector.Network{}
		if seen != nil {
			n = *seen
		}
		e.ChangeNetwork(&n)
		return &n
	}
	return own
}

// Edit drafts a change of a saved connection. The draft uses the connection's
// credential, unless the change touches a destination: then every stored
// secret must be given again in the same edit, and the draft must be signed in
// to anew, so that neither secret nor credential goes where nobody meant it to.
//
// In an environment that inherits, what is given overrides the base's, and
// null clears it there. A change of the base has to suit all its environments;
// each of them has the destinations of its merged settings guarded in the same
// way.
func (c *Connection) Edit(ctx context.Context, e Edit) (*Connection, error) {
	conn, err := c.Connector()
	if err != nil {
		return nil, err
	}
	r, err := c.load(ctx)
	if err != nil {
		return nil, err
	}
	if derived(r) {
		return c.tenant.override(ctx, conn, r, e)
	}
	if len(e.Inherit) > 0 {
		return nil, connector.Errorf(connector.UsageWrong, connector.OriginHost, "The connection %s has no base to inherit from.", quoted(r.Name))
	}
	old, err := c.host.vault.config(ctx, r)
	if err != nil {
		return nil, err
	}
	fresh, _, err := c.edited(ctx, conn, old, e)
	if err != nil {
		return nil, err
	}
	if err := c.host.suits(ctx, conn, r.Key, fresh); err != nil {
		return nil, err
	}
	return c.tenant.draftOf(ctx, conn, r, fresh, nil)
}

// draftOf makes a draft of a connection's change: its merged settings, and in
// an environment the overrides that led to them.
func (t *Tenant) draftOf(ctx context.Context, conn *Connector, of *store.Record, fresh config, o *overrides) (*Connection, error) {
	r, err := t.newDraft(ctx, conn, fresh.settings, fresh.network)
	if err != nil {
		return nil, err
	}
	r.Base, r.Account, r.Plugin = of.Key.Connection, of.Account, of.Plugin
	if o != nil {
		if err := t.host.vault.put(ctx, r, store.FieldOverrides, o); err != nil {
			return nil, err
		}
	}
	if err := t.host.store.Create(ctx, r); err != nil {
		return nil, err
	}
	return t.handle(r, conn), nil
}

// destinationsChanged names the destinations that differ: fields, and
// "network" for the proxy and the certificates.
func destinationsChanged(c *Connector, a, b config) ([]string, error) {
	before, err := descriptor.Decode(a.settings)
	if err != nil {
		return nil, err
	}
	after, err := descriptor.Decode(b.settings)
	if err != nil {
		return nil, err
	}
	changed := descriptor.ChangedDestinations(c.descriptor.Destinations(before), c.descriptor.Destinations(after))
	if !sameNetwork(a.network, b.network) {
		changed = append(changed, "network")
	}
	return changed, nil
}

func sameNetwork(a, b *connector.Network) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ProxyURL == b.ProxyURL && slices.Equal(a.NoProxy, b.NoProxy) && bytes.Equal(a.ExtraCAs, b.ExtraCAs)
}

// secretsToRepeat returns a problem for each stored secret that the edit
// would silently send to a new destination.
func secretsToRepeat(c *Connector, stored, edit descriptor.Settings, changed []string) connector.Diagnostics {
	var problems connector.Diagnostics
	for _, name := range c.descriptor.SecretsSet(stored) {
		if _, given := edit[name]; !given {
			problems = append(problems, secretToRepeat(name, changed))
		}
	}
	return problems
}

func secretToRepeat(name string, changed []string) *connector.Diagnostic {
	return connector.Errorf(connector.DestinationChanged, connector.OriginSettings,
		"The destination changed (%v), so this secret must be given again.", changed).
		At("/"+name).With(connector.FixSettings).
		Suggest("Give %s together with the new destination, if you trust it, and sign in again.", name)
}

// apply saves the draft of an existing connection onto it.
func (c *Connection) apply(ctx context.Context, name string) (*store.Record, error) {
	conn, err := c.Connector()
	if err != nil {
		return nil, err
	}
	draft, err := c.load(ctx)
	if err != nil {
		return nil, err
	}
	fresh, err := c.host.vault.config(ctx, draft)
	if err != nil {
		return nil, err
	}
	baseKey := c.key
	baseKey.Connection = c.base
	if err := c.renamable(ctx, draft, baseKey, name); err != nil {
		return nil, err
	}
	var moved []string
	r, err := c.host.update(ctx, baseKey, func(r *store.Record) error {
		if r.State != store.StateSaved {
			return notFound(c.base)
		}
		moved, err = c.host.applyDraft(ctx, conn, r, draft, fresh)
		if err == nil && name != "" {
			r.Name = name
		}
		return err
	})
	if derived(draft) && is(err, connector.ConnectionNotFound) {
		r, err = c.establish(ctx, conn, baseKey, draft, fresh)
	}
	if err != nil {
		return r, err
	}
	c.host.bury(c.key)
	c.host.forget(baseKey)
	if err := c.host.store.Delete(ctx, draft.Key, draft.Revision); err != nil {
		c.host.log.WarnContext(ctx, "a saved draft stays until it expires", "draft", draft.Key.Connection, "error", err)
	}
	c.key, c.base = baseKey, ""
	if len(moved) > 0 {
		c.host.moved(ctx, r)
	}
	c.host.spread(ctx, r)
	return r, nil
}

// moved ends what belonged to the service that a saved connection was at: its
// grant and its waits.
func (h *Host) moved(ctx context.Context, r *store.Record) {
	h.mu.Lock()
	waits := h.throttle(r.Key)
	h.mu.Unlock()
	waits.forget(ctx)
	_ = h.revokeAll(ctx, r) // what fails stays due
}

// applyDraft changes r into what draft says, and returns the destinations that
// moved. A credential that can't be used with the new settings is put up for
// revocation.
func (h *Host) applyDraft(ctx context.Context, conn *Connector, r, draft *store.Record, fresh config) ([]string, error) {
	old, err := h.vault.config(ctx, r)
	if err != nil {
		return nil, err
	}
	moved, err := destinationsChanged(conn, old, fresh)
	if err != nil {
		return nil, err
	}
	signedIn, err := h.vault.credential(ctx, draft, store.FieldCredential)
	if err != nil {
		return nil, err
	}
	if err := h.vault.putConfig(ctx, r, fresh.settings, fresh.network); err != nil {
		return nil, err
	}
	if sealed, ok, err := h.vault.move(ctx, draft, r.Key, store.FieldOverrides); err != nil {
		return nil, err
	} else if ok {
		r.Sealed[store.FieldOverrides] = sealed
	}
	r.SettingsRevision++
	r.TestedAt, r.TestPassed = draft.TestedAt, draft.TestPassed
	if !signedIn.IsZero() {
		if r.Account != nil && draft.Account != nil && !r.Account.Same(*draft.Account) {
			return nil, accountMismatch(*r.Account, *draft.Account)
		}
		r.Account, r.SignedInAt = draft.Account, draft.SignedInAt
		return moved, h.vault.putCredential(ctx, r, signedIn, draft.RenewedAt)
	}
	if len(moved) == 0 || len(r.Sealed[store.FieldCredential]) == 0 {
		return moved, nil
	}
	_, err = h.orphan(ctx, r, old)
	return moved, err
}
