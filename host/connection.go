package host

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// Connection is a handle on a connection or on a draft. It holds no secret and
// no lock, and stays good across restarts of the connector.
type Connection struct {
	tenant *Tenant
	host   *Host
	key    store.Key
	// base is the connection that this draft edits, or empty.
	base        string
	connectorID string
	// opened is the life of a saved connection, once it was asked for access.
	opened atomic.Pointer[life]
}

// State says how a connection is.
type State string

// The states of a connection.
const (
	StateReady       State = "ready"         // it has a credential that isn't known to be dead
	StateNotSignedIn State = "not_signed_in" // no credential yet
	StateSignInAgain State = "sign_in_again" // the credential is dead; Info.Err tells why
	StateUnreadable  State = "unreadable"    // the record can't be read; Info.Err tells why
)

// Info is what is known of a connection. It holds no secret.
type Info struct {
	ID          string `json:"id"`
	Owner       string `json:"owner"`
	Environment string `json:"environment"`
	Name        string `json:"name,omitempty"`
	// Inherits says that the connection is an environment of the one in
	// [DefaultEnvironment] and takes from it what it doesn't override.
	Inherits bool `json:"inherits,omitempty"`
	Draft    bool `json:"draft,omitempty"`
	// Base is the ID of the saved connection that the draft edits.
	Base      string `json:"base,omitempty"`
	Connector string `json:"connector,omitempty"`
	// Plugin is DraftOptions.Plugin.
	Plugin  string             `json:"plugin,omitempty"`
	State   State              `json:"state"`
	Account *connector.Account `json:"account,omitempty"`
	// OtherAccount is whose sign-in waits to be confirmed or rejected, see
	// Connection.ConfirmAccount. Only Connection.Info tells it.
	OtherAccount *connector.Account `json:"other_account,omitempty"`
	// Err says why the state isn't ready, where there is a reason.
	Err *connector.Diagnostic `json:"error,omitempty"`
	// Generation numbers the credential.
	Generation      uint64    `json:"generation"`
	CreatedAt       time.Time `json:"created_at,omitzero"`
	SignedInAt      time.Time `json:"signed_in_at,omitzero"`
	RenewedAt       time.Time `json:"renewed_at,omitzero"`
	AccessExpiresAt time.Time `json:"access_expires_at,omitzero"`
	LapsesAt        time.Time `json:"lapses_at,omitzero"`
	TestedAt        time.Time `json:"tested_at,omitzero"`
	TestPassed      bool      `json:"test_passed,omitempty"`
	// Held says why the grant is neither renewed nor revoked here, if it may be
	// another store's.
	Held *connector.Diagnostic `json:"held,omitempty"`

	heldUntil uint64
}

func infoOf(r *store.Record) Info {
	i := Info{
		ID: r.Key.Connection, Owner: r.Key.Owner, Environment: r.Key.Environment, Name: r.Name, Inherits: derived(r),
		Draft: r.State == store.StateDraft, Base: r.Base, Connector: r.Connector, Plugin: r.Plugin, State: StateReady,
		Account: r.Account, Generation: r.Generation, CreatedAt: r.CreatedAt, SignedInAt: r.SignedInAt,
		RenewedAt: r.RenewedAt, AccessExpiresAt: r.AccessExpiresAt, LapsesAt: r.LapsesAt,
		TestedAt: r.TestedAt, TestPassed: r.TestPassed, heldUntil: r.HeldUntil,
	}
	if d := verdictOf(r); d != nil {
		i.State, i.Err = StateSignInAgain, d
	} else if _, ok := r.Sealed[store.FieldCredential]; !ok {
		i.State = StateNotSignedIn
	}
	return i
}

// ID is the connection's ID. It is never used for another one.
func (c *Connection) ID() string { return c.key.Connection }

// Connector returns the loaded connector.
func (c *Connection) Connector() (*Connector, error) { return c.host.connector(c.connectorID) }

// Info returns what is known of the connection now. For a draft that uses its
// connection's credential, what concerns the sign-in is the connection's.
func (c *Connection) Info(ctx context.Context) (Info, error) {
	r, err := c.load(ctx)
	if err != nil {
		return Info{}, err
	}
	info := []Info{infoOf(r)}
	c.host.tellHeld(ctx, info)
	i := info[0]
	if i.OtherAccount, err = c.host.otherAccount(ctx, r); err != nil {
		return Info{}, err
	}
	if c.base == "" || len(r.Sealed[store.FieldCredential]) > 0 {
		return i, nil
	}
	key := c.key
	key.Connection = c.base
	base, err := c.host.store.Get(ctx, key)
	if err != nil || base.State != store.StateSaved {
		return i, nil //nolint:nilerr // the draft is there though its connection isn't
	}
	shared, err := c.sharesCredential(ctx, r, key)
	if err != nil || !shared {
		return i, err
	}
	from := infoOf(base)
	i.State, i.Account, i.Err, i.Generation = from.State, from.Account, from.Err, from.Generation
	i.SignedInAt, i.RenewedAt, i.AccessExpiresAt, i.LapsesAt = from.SignedInAt, from.RenewedAt, from.AccessExpiresAt, from.LapsesAt
	return i, nil
}

// Settings returns the settings without the secrets, and which secrets are
// set.
func (c *Connection) Settings(ctx context.Context) (settings descriptor.Settings, secrets []string, err error) {
	conn, err := c.Connector()
	if err != nil {
		return nil, nil, err
	}
	r, err := c.load(ctx)
	if err != nil {
		return nil, nil, err
	}
	cfg, err := c.host.vault.config(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	s, err := descriptor.Decode(cfg.settings)
	if err != nil {
		return nil, nil, err
	}
	return conn.descriptor.Redact(s), conn.descriptor.SecretsSet(s), nil
}

// load returns the record, unless it is deleted.
func (c *Connection) load(ctx context.Context) (*store.Record, error) {
	r, err := c.host.store.Get(ctx, c.key)
	if err != nil {
		return nil, err
	}
	if r.State == store.StateTombstone {
		return nil, notFound(c.key.Connection)
	}
	return c.host.current(ctx, r)
}

// Save makes a draft a connection. For the draft of an existing connection it
// changes that one instead, name included unless name is empty, and ends the
// draft; the handle then stands for the saved connection, and nothing else may
// use it while Save runs.
func (c *Connection) Save(ctx context.Context, name string) error {
	r, err := c.save(ctx, name)
	if aerr := c.tenant.audit(ctx, audit.ActionSave, r, err); err == nil {
		err = aerr
	}
	return err
}

func (c *Connection) save(ctx context.Context, name string) (*store.Record, error) {
	if name != "" || c.base == "" {
		if err := checkName(name); err != nil {
			return nil, err
		}
	}
	if c.base != "" {
		return c.apply(ctx, name)
	}
	if err := c.tenant.free(ctx, name); err != nil {
		return nil, err
	}
	return c.host.update(ctx, c.key, func(r *store.Record) error {
		if r.State == store.StateTombstone {
			return notFound(r.Key.Connection)
		}
		r.State, r.Name, r.ExpiresAt = store.StateSaved, name, time.Time{}
		return nil
	})
}

// Discard ends a draft. What was signed in to from it is revoked.
func (c *Connection) Discard(ctx context.Context) error {
	r, err := c.load(ctx)
	if err != nil {
		return err
	}
	if r.State != store.StateDraft {
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "Only a draft can be discarded.").
			Suggest("Delete the connection instead.")
	}
	return c.Delete(ctx)
}

func quoted(s string) string { return strconv.QuoteToGraphic(cut(s, maxName)) }

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
