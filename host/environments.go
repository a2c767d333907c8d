package host

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// Overrides returns how the connection differs from its base; nil for one that
// has none.
func (c *Connection) Overrides(ctx context.Context) (*Overrides, error) {
	r, err := c.load(ctx)
	if err != nil || !derived(r) {
		return nil, err
	}
	var o overrides
	if _, err := c.host.vault.get(ctx, r, store.FieldOverrides, &o); err != nil {
		return nil, err
	}
	return &Overrides{Settings: slices.Sorted(maps.Keys(o.Settings)), Network: o.Network != nil, Withheld: o.Withheld}, nil
}

// Environments returns what inherits from the connection, by environment. One
// that can't be read is in it, with its Err.
func (c *Connection) Environments(ctx context.Context) ([]Info, error) {
	listed, err := c.host.environments(ctx, c.key)
	infos := make([]Info, 0, len(listed))
	for _, l := range listed {
		infos = append(infos, infoOfListed(l))
	}
	return infos, err
}

// environments lists the records that inherit from a connection.
func (h *Host) environments(ctx context.Context, base store.Key) ([]store.Listed, error) {
	if base.Environment != DefaultEnvironment {
		return nil, nil
	}
	listed, err := h.store.List(ctx, store.Query{Owner: base.Owner, Connection: base.Connection, State: store.StateSaved})
	return slices.DeleteFunc(listed, func(l store.Listed) bool {
		// A file whose name tells nothing may be anybody's.
		return l.Key.Environment == base.Environment || l.Key.Connection != base.Connection
	}), err
}

// findInherited finds an environment's connection by its base's name.
func (t *Tenant) findInherited(ctx context.Context, name string) (*store.Record, error) {
	base, err := t.host.Tenant(t.owner, DefaultEnvironment, t.actor).find(ctx, name)
	if is(err, connector.ConnectionNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	key := base.Key
	key.Environment = t.environment
	r, err := t.host.store.Get(ctx, key)
	if is(err, connector.ConnectionNotFound) || err == nil && r.State != store.StateSaved {
		return nil, connector.Errorf(connector.ConnectionNotFound, connector.OriginHost,
			"The environment %q has no connection %s; the environment %q has.", t.environment, quoted(name), DefaultEnvironment).
			Suggest("Override it in this environment, be it with nothing, to use it here with a sign-in of its own.")
	}
	return r, err
}

// free refuses a new connection in an environment under the name of one that
// can be inherited there: which of the two was meant would depend on the order
// in which they were made.
func (t *Tenant) free(ctx context.Context, name string) error {
	if t.environment == DefaultEnvironment {
		return nil
	}
	_, err := t.host.Tenant(t.owner, DefaultEnvironment, t.actor).find(ctx, name)
	switch {
	case err == nil:
		return connector.Errorf(connector.ConnectionExists, connector.OriginHost,
			"There is a connection %s in the environment %q.", quoted(name), DefaultEnvironment).
			Suggest("Override that one in the environment %s, or choose another name.", quoted(t.environment))
	case is(err, connector.ConnectionNotFound):
		return nil
	default:
		return err
	}
}

// suits fails unless a change of the base leaves the settings of all its
// environments valid.
func (h *Host) suits(ctx context.Context, conn *Connector, base store.Key, fresh config) error {
	listed, err := h.environments(ctx, base)
	if err != nil {
		return err
	}
	var problems connector.Diagnostics
	for _, l := range listed {
		if l.Record == nil || !derived(l.Record) {
			continue // it is told when it is used
		}
		err := h.wouldFollow(ctx, conn, l.Record, fresh)
		if broken, ok := errors.AsType[*InvalidSettings](err); ok {
			problems = append(problems, in(l.Key.Environment, broken.Problems)...)
		} else if err != nil {
			return err
		}
	}
	return invalid(problems)
}

// wouldFollow fails if an environment's settings would become invalid.
func (h *Host) wouldFollow(ctx context.Context, conn *Connector, r *store.Record, base config) error {
	var o overrides
	if _, err := h.vault.get(ctx, r, store.FieldOverrides, &o); err != nil {
		return err
	}
	old, err := h.vault.config(ctx, r)
	if err != nil {
		return err
	}
	fresh, _, err := o.follow(conn, old, base)
	if err != nil || len(o.Withheld) > 0 {
		return err // without the secret the connector has nothing to look at
	}
	_, _, err = conn.normalise(ctx, fresh.settings)
	return err
}

// spread brings what inherits from r up to date at once. What fails is done
// when it is used.
func (h *Host) spread(ctx context.Context, base *store.Record) {
	listed, err := h.environments(ctx, base.Key)
	for _, l := range listed {
		if l.Record == nil || !derived(l.Record) {
			continue
		}
		r, ferr := h.current(ctx, l.Record)
		if ferr == nil && r.Name != base.Name {
			_, ferr = h.update(ctx, r.Key, func(r *store.Record) error {
				if r.State == store.StateSaved {
					r.Name = base.Name
				}
				return nil
			})
		}
		err = errors.Join(err, ferr)
	}
	if err != nil {
		h.log.WarnContext(ctx, "an environment follows its base only when it is used", "connection", base.Key.Connection, "error", err)
	}
}

// unused refuses to delete what environments inherit from.
func (h *Host) unused(ctx context.Context, key store.Key) error {
	listed, err := h.environments(ctx, key)
	if err != nil || len(listed) == 0 {
		return err
	}
	var names []string
	for _, l := range listed {
		names = append(names, l.Key.Environment)
	}
	return connector.Errorf(connector.UsageWrong, connector.OriginHost, "The connection can't be deleted: other environments inherit from it (%s).", strings.Join(names, ", ")).
		Suggest("Delete it in these environments first.")
}

// renamable refuses a name that the connection's environments couldn't have.
func (c *Connection) renamable(ctx context.Context, draft *store.Record, base store.Key, name string) error {
	if name == "" {
		return nil
	}
	if derived(draft) {
		r, err := c.host.base(ctx, base)
		if err != nil || r.Name == name {
			return err
		}
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "An environment has its base's name, %s.", quoted(r.Name)).
			Suggest("Rename the connection in the environment %q.", DefaultEnvironment)
	}
	listed, err := c.host.environments(ctx, base)
	if err != nil {
		return err
	}
	for _, l := range listed {
		r, err := c.host.Tenant(base.Owner, l.Key.Environment, c.tenant.actor).find(ctx, name)
		switch {
		case err == nil && r.Key.Connection != base.Connection:
			return connector.Errorf(connector.ConnectionExists, connector.OriginHost,
				"The environment %q has another connection %s.", l.Key.Environment, quoted(name)).Suggest("Choose another name.")
		case err != nil && !is(err, connector.ConnectionNotFound):
			return err
		}
	}
	return nil
}

// establish saves the first draft of an environment. An environment that was
// deleted before goes on from its tombstone: with a newer generation, and with
// what is still to be revoked.
func (c *Connection) establish(ctx context.Context, conn *Connector, key store.Key, draft *store.Record, fresh config) (*store.Record, error) {
	base, err := c.host.base(ctx, key)
	if err != nil {
		return nil, err
	}
	r, err := c.host.store.Get(ctx, key)
	absent := is(err, connector.ConnectionNotFound)
	switch {
	case absent:
		r = &store.Record{Key: key}
	case err != nil:
		return nil, err
	default:
		r.Generation++
	}
	r.State, r.Name, r.Connector, r.Plugin = store.StateSaved, base.Name, base.Connector, base.Plugin
	if err := c.host.vault.putConfig(ctx, r, fresh.settings, fresh.network); err != nil {
		return nil, err
	}
	if _, err := c.host.applyDraft(ctx, conn, r, draft, fresh); err != nil {
		return nil, err
	}
	if absent {
		return r, c.host.store.Create(ctx, r)
	}
	return r, c.host.store.Update(ctx, r)
}

// named names the environment in the problems of invalid settings.
func named(environment string, err error) error {
	if broken, ok := errors.AsType[*InvalidSettings](err); ok {
		return &InvalidSettings{in(environment, broken.Problems)}
	}
	return err
}
