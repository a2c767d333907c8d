package host

import (
	"context"
	"time"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// confirmWithin is how long a sign-in to another account waits to be
// confirmed.
const confirmWithin = 10 * time.Minute

// promote makes a new credential the connection's: it is written as a
// candidate first, then used to ask whose it is, and then takes the old one's
// place if the account is the pinned one.
func (h *Host) promote(ctx context.Context, conn *Connector, key store.Key, cfg config, cred connector.Credential, now time.Time) (*store.Record, *connector.Account, error) {
	cand := candidate{Credential: packCredential(cred), Settings: cfg.revision, ExpiresAt: now.Add(confirmWithin)}
	r, err := h.update(ctx, key, func(r *store.Record) error {
		if r.State == store.StateTombstone {
			return notFound(key.Connection)
		}
		if err := h.vault.put(ctx, r, store.FieldCandidate, cand); err != nil {
			return err
		}
		schedule(r, now)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	account, err := h.identify(ctx, conn, cfg, cred, now)
	if err != nil {
		h.dropCandidate(ctx, key, cfg, cred)
		return r, nil, err
	}
	r, err = h.update(ctx, key, func(r *store.Record) error {
		if r.State == store.StateTombstone {
			return notFound(key.Connection)
		}
		if account != nil && r.Account != nil && !r.Account.Same(*account) {
			cand.Account = *account
			if err := h.vault.put(ctx, r, store.FieldCandidate, cand); err != nil {
				return err
			}
			schedule(r, now)
			return nil
		}
		delete(r.Sealed, store.FieldCandidate)
		return h.adopt(ctx, r, cfg.revision, cred, account, now)
	})
	if err != nil {
		h.dropCandidate(ctx, key, cfg, cred)
		return r, account, err
	}
	h.forget(key)
	if _, waiting := r.Sealed[store.FieldCandidate]; waiting {
		return r, account, accountMismatch(*r.Account, *account)
	}
	return r, account, nil
}

// adopt puts a signed-in credential into the record.
func (h *Host) adopt(ctx context.Context, r *store.Record, settings uint64, cred connector.Credential, account *connector.Account, now time.Time) error {
	if account != nil {
		r.Account = account
	}
	delete(r.Sealed, store.FieldPrevious)
	r.SignedInAt, r.OpenedWith = now, settings
	return h.vault.putCredential(ctx, r, cred, now)
}

// identify asks whose credential it is; nil if the connector can't tell.
func (h *Host) identify(ctx context.Context, conn *Connector, cfg config, cred connector.Credential, now time.Time) (*connector.Account, error) {
	if !conn.description.Has(connector.CapabilityIdentify) {
		return nil, nil
	}
	o, err := conn.calls.open(ctx, h.callConfig(cfg), openRequest{credential: cred, validity: time.Millisecond, now: now})
	if err != nil {
		return nil, err
	}
	account, err := conn.calls.identify(ctx, h.callConfig(cfg), o.access)
	if err != nil {
		return nil, err
	}
	return &account, nil
}

// dropCandidate revokes a sign-in that didn't become the connection's.
func (h *Host) dropCandidate(ctx context.Context, key store.Key, cfg config, cred connector.Credential) {
	r, err := h.update(ctx, key, func(r *store.Record) error {
		delete(r.Sealed, store.FieldCandidate)
		_, err := h.vault.addRevocation(ctx, r, cfg, cred)
		return err
	})
	if err != nil {
		h.log.WarnContext(ctx, "a sign-in that wasn't taken stays unrevoked", "connection", key.Connection, "error", err)
		return
	}
	_ = h.revokeAll(ctx, r) // what fails stays due
}

// ConfirmAccount accepts the sign-in that ended with
// connector.AccountMismatch: the connection is pinned to the other account
// from now on, and the old account's grant is revoked. It fails with
// connector.AuthorizationExpired after ten minutes.
func (c *Connection) ConfirmAccount(ctx context.Context) (*connector.Account, error) {
	if err := c.host.Copied(ctx); err != nil {
		return nil, err
	}
	var account connector.Account
	r, err := c.host.update(ctx, c.key, func(r *store.Record) error {
		var cand candidate
		ok, err := c.host.vault.get(ctx, r, store.FieldCandidate, &cand)
		if err != nil {
			return err
		}
		now, err := c.host.store.Now(ctx)
		if err != nil {
			return err
		}
		if !ok || now.After(cand.ExpiresAt) || cand.Settings != r.SettingsRevision {
			return connector.Errorf(connector.AuthorizationExpired, connector.OriginHost, "No sign-in waits to be confirmed.").
				With(connector.SignInAgain).Suggest("Sign in again and confirm within %s.", confirmWithin)
		}
		cfg, err := c.host.vault.config(ctx, r)
		if err != nil {
			return err
		}
		if len(r.Sealed[store.FieldCredential]) > 0 {
			if _, err := c.host.orphan(ctx, r, cfg); err != nil {
				return err
			}
		}
		delete(r.Sealed, store.FieldCandidate)
		account = cand.Account
		return c.host.adopt(ctx, r, r.SettingsRevision, cand.Credential.unpack(), &account, now)
	})
	if aerr := c.tenant.audit(ctx, audit.ActionSwitch, r, err); err == nil {
		err = aerr
	}
	if err != nil {
		return nil, err
	}
	c.host.forget(c.key)
	_ = c.host.revokeAll(ctx, r) // what fails stays due
	return &account, nil
}

// otherAccount is whose sign-in waits to be confirmed, or nil.
func (h *Host) otherAccount(ctx context.Context, r *store.Record) (*connector.Account, error) {
	var cand candidate
	ok, err := h.vault.get(ctx, r, store.FieldCandidate, &cand)
	if err != nil || !ok || cand.Account.ID == "" || cand.Settings != r.SettingsRevision {
		return nil, err
	}
	now, err := h.store.Now(ctx)
	if err != nil || now.After(cand.ExpiresAt) {
		return nil, err
	}
	return &cand.Account, nil
}

// RejectAccount drops the sign-in that ended with connector.AccountMismatch
// and revokes it. Without one it does nothing.
func (c *Connection) RejectAccount(ctx context.Context) error {
	if err := c.host.Copied(ctx); err != nil {
		return err
	}
	r, err := c.load(ctx)
	if err != nil {
		return err
	}
	var cand candidate
	ok, err := c.host.vault.get(ctx, r, store.FieldCandidate, &cand)
	if err != nil || !ok {
		return err
	}
	cfg, err := c.host.vault.config(ctx, r)
	if err != nil {
		return err
	}
	c.host.dropCandidate(ctx, c.key, cfg, cand.Credential.unpack())
	return nil
}

func accountMismatch(pinned, other connector.Account) *connector.Diagnostic {
	return connector.Errorf(connector.AccountMismatch, connector.OriginHost,
		"The sign-in was to %s, but the connection belongs to %s.", who(other), who(pinned)).
		With(connector.SignInAgain).
		Suggest("Sign in as %s, or confirm that the connection shall belong to %s from now on.", who(pinned), who(other))
}

// who names an account for people.
func who(a connector.Account) string {
	name := a.Login
	if name == "" {
		name = a.ID
	}
	if a.EnterpriseName != "" {
		name += " of " + a.EnterpriseName
	}
	return quoted(name)
}
