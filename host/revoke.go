package host

import (
	"context"
	"encoding/json"
	"time"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// Delete deletes the connection: it leaves a tombstone, so that its ID stays
// taken, and takes the grant back at the service. Where the service can't be
// reached the deletion is done all the same, and the revocation stays due. A
// grant that isn't this store's ([Host.Copied], [Info].Held) is dropped and
// never revoked; the tombstone says so.
//
// The connection of an environment is deleted alone, and can be overridden
// again later. A connection that others are the environments of is deleted
// after them; before that it is connector.UsageWrong.
func (c *Connection) Delete(ctx context.Context) error {
	var name string
	if err := c.host.unused(ctx, c.key); err != nil {
		return err
	}
	r, err := c.host.end(ctx, c.key, func(r *store.Record) {
		name = r.Name
		bury(r)
	})
	if r != nil {
		deleted := *r // with the name that it had
		deleted.Name, r = name, &deleted
	}
	if aerr := c.tenant.audit(ctx, audit.ActionDelete, r, err); err == nil {
		err = aerr
	}
	return err
}

// bury makes a record a tombstone.
func bury(r *store.Record) {
	r.State, r.Name, r.ExpiresAt, r.Account = store.StateTombstone, "", time.Time{}, nil
	for _, f := range []store.Field{store.FieldSettings, store.FieldNetwork, store.FieldOverrides, store.FieldCandidate} {
		delete(r.Sealed, f)
	}
}

// SignOut takes the grant back at the service and forgets it. The settings
// and the pinned account stay. A grant that isn't this store's can't be taken
// back: connector.StoreNotAdopted.
func (c *Connection) SignOut(ctx context.Context) error {
	r, err := c.load(ctx)
	if err == nil {
		err = c.host.entitled(ctx, r)
	}
	if err == nil {
		r, err = c.host.end(ctx, c.key, func(*store.Record) {})
	}
	if aerr := c.tenant.audit(ctx, audit.ActionSignOut, r, err); err == nil {
		err = aerr
	}
	return err
}

// end puts the record's credential up for revocation and changes the record,
// in one step, then tries the revocation once. The new generation outdates a
// renewal that is under way.
func (h *Host) end(ctx context.Context, key store.Key, change func(*store.Record)) (*store.Record, error) {
	r, err := h.update(ctx, key, func(r *store.Record) error {
		if r.State == store.StateTombstone {
			return notFound(key.Connection)
		}
		if len(r.Sealed[store.FieldCredential]) > 0 {
			cfg, err := h.vault.config(ctx, r)
			if err != nil {
				return err
			}
			if _, err := h.orphan(ctx, r, cfg); err != nil {
				return err
			}
		} else {
			r.Generation++
		}
		change(r)
		return nil
	})
	if err != nil {
		return r, err
	}
	if r.Unrevoked != nil {
		h.auditUnrevoked(ctx, "", r)
	}
	if r.State == store.StateTombstone {
		h.bury(key)
	} else {
		h.forget(key)
	}
	_ = h.revokeAll(ctx, r) // what fails stays due
	return r, nil
}

// orphan moves r's credential to its revocations and starts a new generation
// without one. A grant that isn't this store's is dropped instead, and stays
// as it is at the service.
func (h *Host) orphan(ctx context.Context, r *store.Record, cfg config) (*revocation, error) {
	err := h.entitled(ctx, r)
	if is(err, connector.StoreNotAdopted) {
		leave(r, connector.Diagnose(err, connector.OriginHost))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	cred, err := h.vault.credential(ctx, r, store.FieldCredential)
	if err != nil {
		return nil, err
	}
	rev, err := h.vault.addRevocation(ctx, r, cfg, cred)
	if err != nil {
		return nil, err
	}
	dropCredential(r)
	return rev, nil
}

// dropCredential starts a new generation of r without a credential.
func dropCredential(r *store.Record) {
	for _, f := range []store.Field{store.FieldCredential, store.FieldPrevious, store.FieldCandidate} {
		delete(r.Sealed, f)
	}
	r.Generation++
	r.Verdict, r.CredentialFormat = nil, 0
	r.AccessExpiresAt, r.LapsesAt = time.Time{}, time.Time{}
}

func (v vault) addRevocation(ctx context.Context, r *store.Record, cfg config, cred connector.Credential) (*revocation, error) {
	var all []revocation
	if _, err := v.get(ctx, r, store.FieldRevocation, &all); err != nil {
		return nil, err
	}
	rev := revocation{Settings: json.RawMessage(cfg.settings), Credential: packCredential(cred)}
	if cfg.network != nil {
		rev.Network = packNetwork(*cfg.network)
	}
	if err := v.put(ctx, r, store.FieldRevocation, append(all, rev)); err != nil {
		return nil, err
	}
	schedule(r, r.UpdatedAt)
	return &rev, nil
}

// revokeAll tries each revocation of r once, within ctx, and keeps the ones
// that failed for later. What led here is done, whatever comes of it; the
// error is for whoever works through what is due.
func (h *Host) revokeAll(ctx context.Context, r *store.Record) error {
	var all []revocation
	if ok, err := h.vault.get(ctx, r, store.FieldRevocation, &all); err != nil || !ok {
		return err
	}
	// An imported record comes without revocations, so these are of grants that
	// were got here, unless all of the store is a copy.
	if err := h.Copied(ctx); err != nil {
		return err
	}
	conn, err := h.connectorOf(ctx, r)
	if err != nil {
		return err
	}
	var failure error
	done := map[string]bool{}
	for _, rev := range all {
		if err := h.revokeOne(ctx, conn, r, rev); err != nil {
			failure = err
			continue
		}
		done[rev.Credential.Data] = true
	}
	now, err := h.store.Now(ctx)
	if err != nil {
		return err
	}
	_, err = h.update(ctx, r.Key, func(r *store.Record) error {
		return h.keepRevocations(ctx, r, now, done)
	})
	if err != nil {
		h.log.WarnContext(ctx, "the outcome of a revocation can't be kept", "connection", r.Key.Connection, "error", err)
		return err
	}
	return failure
}

// keepRevocations drops those of r's revocations that are done. Others may
// have been added meanwhile.
func (h *Host) keepRevocations(ctx context.Context, r *store.Record, now time.Time, done map[string]bool) error {
	var all, left []revocation
	if _, err := h.vault.get(ctx, r, store.FieldRevocation, &all); err != nil {
		return err
	}
	for _, rev := range all {
		if !done[rev.Credential.Data] {
			left = append(left, rev)
		}
	}
	if len(left) == 0 {
		delete(r.Sealed, store.FieldRevocation)
		schedule(r, now)
		return nil
	}
	schedule(r, now)
	r.DueAt = now.Add(revokeAgain)
	return h.vault.put(ctx, r, store.FieldRevocation, left)
}

func (h *Host) revokeOne(ctx context.Context, conn *Connector, r *store.Record, rev revocation) error {
	if !conn.description.Has(connector.CapabilityRevoke) {
		return nil // the service has nothing to take back
	}
	cfg := config{settings: rev.Settings}
	if n := rev.Network.unpack(); !n.ProxyURL.IsZero() || len(n.NoProxy) > 0 || len(n.ExtraCAs) > 0 {
		cfg.network = &n
	}
	cred := rev.Credential.unpack()
	err := conn.reads(cred)
	if err == nil {
		err = conn.calls.revoke(ctx, h.callConfig(cfg), cred)
	}
	_ = h.record(ctx, audit.Event{
		Owner: r.Key.Owner, Connection: r.Key.Connection, Environment: r.Key.Environment,
		Name: r.Name, Action: audit.ActionRevoke, Generation: r.Generation,
	}, err)
	return err
}
