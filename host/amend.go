package host

import (
	"context"
	"encoding/json"
	"time"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// Amend changes the settings of a draft in place. What holds for
// [Connection.Edit] holds here: after a change of a destination every stored
// secret must be given again, and what the draft itself signed in to is taken
// back. The outcome of an earlier test no longer counts. A change that changes
// nothing leaves all as it is.
func (c *Connection) Amend(ctx context.Context, e Edit) error {
	r, err := c.amend(ctx, e)
	if aerr := c.tenant.audit(ctx, audit.ActionDraft, r, err); err == nil {
		err = aerr
	}
	return err
}

func (c *Connection) amend(ctx context.Context, e Edit) (*store.Record, error) {
	conn, err := c.Connector()
	if err != nil {
		return nil, err
	}
	r, err := c.load(ctx)
	if err != nil {
		return nil, err
	}
	if r.State != store.StateDraft {
		return r, connector.Errorf(connector.UsageWrong, connector.OriginHost, "Only a draft can be changed in place.").
			Suggest("Edit the connection, which makes a draft.")
	}
	old, err := c.host.vault.config(ctx, r)
	if err != nil {
		return r, err
	}
	fresh, o, changed, err := c.amended(ctx, conn, r, old, e)
	if err != nil || (len(changed) == 0 && sameConfig(old, fresh)) {
		return r, err
	}
	var orphan *revocation
	r, err = c.host.update(ctx, c.key, func(r *store.Record) error {
		if r.State != store.StateDraft || r.SettingsRevision != old.revision {
			return connector.Errorf(connector.ConnectionChanged, connector.OriginHost, "Somebody else changed this draft meanwhile.").
				Suggest("Look at it again, then repeat the change.")
		}
		if len(changed) > 0 && len(r.Sealed[store.FieldCredential]) > 0 {
			if orphan, err = c.host.orphan(ctx, r, old); err != nil {
				return err
			}
		}
		r.SettingsRevision++
		r.TestedAt, r.TestPassed = time.Time{}, false
		if o != nil {
			if err := c.host.vault.put(ctx, r, store.FieldOverrides, o); err != nil {
				return err
			}
		}
		return c.host.vault.putConfig(ctx, r, fresh.settings, fresh.network)
	})
	if err != nil {
		return r, err
	}
	c.host.forget(c.key)
	if orphan != nil {
		_ = c.host.revokeAll(ctx, r) // what fails stays due
	}
	return r, nil
}

// amended is edited for a draft: in an environment the edit changes the draft's
// overrides, and the draft of a base has to suit its environments.
func (c *Connection) amended(ctx context.Context, conn *Connector, r *store.Record, old config, e Edit) (fresh config, o *overrides, changed []string, err error) {
	if derived(r) {
		if fresh, o, err = c.tenant.overridden(ctx, conn, r, e); err == nil {
			changed, err = destinationsChanged(conn, old, fresh)
		}
		return fresh, o, changed, err
	}
	if fresh, changed, err = c.edited(ctx, conn, old, e); err == nil && r.Base != "" {
		base := r.Key
		base.Connection = r.Base
		err = c.host.suits(ctx, conn, base, fresh)
	}
	return fresh, nil, changed, err
}

// edited returns what an edit makes of old, and the destinations that it
// changes. Everything wrong with it is an *InvalidSettings error.
func (c *Connection) edited(ctx context.Context, conn *Connector, old config, e Edit) (fresh config, changed []string, err error) {
	stored, err := descriptor.Decode(old.settings)
	if err != nil {
		return fresh, nil, err
	}
	raw, err := json.Marshal(conn.descriptor.MergeEdit(stored, e.Settings))
	if err != nil {
		return fresh, nil, err
	}
	fresh.network = e.network(old.network, old.network)
	if fresh.settings, _, err = conn.normalise(ctx, raw); err != nil {
		return fresh, nil, err
	}
	if changed, err = destinationsChanged(conn, old, fresh); err == nil && len(changed) > 0 {
		err = invalid(secretsToRepeat(conn, stored, e.Settings, changed))
	}
	return fresh, changed, err
}

func sameConfig(a, b config) bool {
	return string(a.settings) == string(b.settings) && sameNetwork(a.network, b.network)
}
