package host

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

// DefaultEnvironment is the environment of a tenant that names none.
const DefaultEnvironment = "default"

// draftLife is how long a draft is kept that nobody saves.
const draftLife = 24 * time.Hour

// maxName bounds a connection's name, in bytes.
const maxName = 128

// Tenant is one owner's connections in one environment, as seen by one actor.
// The actor is who the audit names.
type Tenant struct {
	host        *Host
	owner       string
	environment string
	actor       string
}

// Tenant returns the connections of an owner for an actor. The environment may
// be empty, for [DefaultEnvironment].
func (h *Host) Tenant(owner, environment, actor string) *Tenant {
	if environment == "" {
		environment = DefaultEnvironment
	}
	return &Tenant{host: h, owner: owner, environment: environment, actor: actor}
}

// DraftOptions completes a draft.
type DraftOptions struct {
	// Network is the connection's own way to the service; nil for the host's.
	Network *connector.Network
	// Plugin is the name by which the engine loads the connector; it is kept
	// with the connection and means nothing to the host.
	Plugin string
}

// Draft makes a connection that isn't saved yet. It can be signed in to and
// tested like any other, and ends after a day. Settings is one JSON object;
// everything wrong with it comes back as [InvalidSettings].
func (t *Tenant) Draft(ctx context.Context, c *Connector, settings []byte, o DraftOptions) (*Connection, error) {
	conn, err := t.draft(ctx, c, settings, o)
	var r store.Record
	if conn != nil {
		r.Key = conn.key
	}
	if aerr := t.audit(ctx, audit.ActionDraft, &r, err); err == nil && aerr != nil {
		return nil, aerr
	}
	return conn, err
}

func (t *Tenant) draft(ctx context.Context, c *Connector, settings []byte, o DraftOptions) (*Connection, error) {
	normal, _, err := c.normalise(ctx, settings)
	if err != nil {
		return nil, err
	}
	r, err := t.newDraft(ctx, c, normal, o.Network)
	if err != nil {
		return nil, err
	}
	r.Plugin = o.Plugin
	if err := t.host.store.Create(ctx, r); err != nil {
		return nil, err
	}
	return t.handle(r, c), nil
}

func (t *Tenant) newDraft(ctx context.Context, c *Connector, settings []byte, n *connector.Network) (*store.Record, error) {
	if n != nil {
		// What can't be used is told now, not when somebody waits for access.
		if _, err := connectorhttp.NewBase(*n); err != nil {
			return nil, err
		}
	}
	now, err := t.host.store.Now(ctx)
	if err != nil {
		return nil, err
	}
	r := &store.Record{
		Key:   store.Key{Owner: t.owner, Connection: token(12), Environment: t.environment},
		State: store.StateDraft, Connector: c.description.ID, SettingsRevision: 1,
		ExpiresAt: now.Add(draftLife),
	}
	if err := t.host.vault.putConfig(ctx, r, settings, n); err != nil {
		return nil, err
	}
	return r, nil
}

// putConfig seals settings and network into r.
func (v vault) putConfig(ctx context.Context, r *store.Record, settings []byte, n *connector.Network) error {
	if err := v.put(ctx, r, store.FieldSettings, json.RawMessage(settings)); err != nil {
		return err
	}
	if n == nil {
		delete(r.Sealed, store.FieldNetwork)
		return nil
	}
	return v.put(ctx, r, store.FieldNetwork, packNetwork(*n))
}

// Connection returns the saved connection of that name, or
// connector.ConnectionNotFound.
func (t *Tenant) Connection(ctx context.Context, name string) (*Connection, error) {
	r, err := t.find(ctx, name)
	if err != nil {
		return nil, err
	}
	c, err := t.host.connectorOf(ctx, r)
	if err != nil {
		return nil, err
	}
	return t.handle(r, c), nil
}

// ConnectionByID returns a connection or draft by its ID.
func (t *Tenant) ConnectionByID(ctx context.Context, id string) (*Connection, error) {
	r, err := t.host.store.Get(ctx, store.Key{Owner: t.owner, Connection: id, Environment: t.environment})
	if err != nil {
		return nil, err
	}
	if r.State == store.StateTombstone {
		return nil, notFound(id)
	}
	c, err := t.host.connectorOf(ctx, r)
	if err != nil {
		return nil, err
	}
	return t.handle(r, c), nil
}

// Info returns what is known of the saved connection of that name. It doesn't
// need the connector.
func (t *Tenant) Info(ctx context.Context, name string) (Info, error) {
	r, err := t.find(ctx, name)
	if err != nil {
		return Info{}, err
	}
	return infoOf(r), nil
}

func (t *Tenant) find(ctx context.Context, name string) (*store.Record, error) {
	listed, err := t.host.store.List(ctx, store.Query{Owner: t.owner, Environment: t.environment, Name: name, State: store.StateSaved})
	if err != nil {
		return nil, err
	}
	for _, l := range listed {
		if l.Record != nil && l.Record.Name == name && !derived(l.Record) {
			return l.Record, nil
		}
	}
	if t.environment != DefaultEnvironment {
		if r, err := t.findInherited(ctx, name); r != nil || err != nil {
			return r, err
		}
	}
	for _, l := range listed {
		if l.Err != nil { // it may be the one: better to say so than "not found"
			return nil, l.Err
		}
	}
	return nil, notFound(quoted(name))
}

// List returns the owner's saved connections by name. One that can't be read
// is in it, with its Err.
func (t *Tenant) List(ctx context.Context) ([]Info, error) {
	listed, err := t.host.store.List(ctx, store.Query{Owner: t.owner, Environment: t.environment, State: store.StateSaved})
	if err != nil {
		return nil, err
	}
	infos := make([]Info, 0, len(listed))
	for _, l := range listed {
		infos = append(infos, infoOfListed(l))
	}
	t.host.tellHeld(ctx, infos)
	return infos, nil
}

func infoOfListed(l store.Listed) Info {
	if l.Record != nil {
		return infoOf(l.Record)
	}
	return Info{ID: l.Key.Connection, Owner: l.Key.Owner, Environment: l.Key.Environment, State: StateUnreadable, Err: l.Err}
}

func (t *Tenant) handle(r *store.Record, c *Connector) *Connection {
	return &Connection{tenant: t, host: t.host, key: r.Key, base: r.Base, connectorID: c.description.ID}
}

// audit keeps an event of the tenant's actor.
func (t *Tenant) audit(ctx context.Context, action audit.Action, r *store.Record, err error) error {
	e := audit.Event{Actor: t.actor, Owner: t.owner, Environment: t.environment, Action: action}
	if r != nil {
		e.Connection, e.Name, e.Generation = r.Key.Connection, r.Name, r.Generation
	}
	return t.host.record(ctx, e, err)
}

// checkName refuses names that can't be typed or shown.
func checkName(name string) error {
	if name == "" || len(name) > maxName || strings.TrimSpace(name) != name ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' || r == '\uFFFD' }) {
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "%s can't be a connection's name.", quoted(name)).
			Suggest("Use 1 to %d bytes without control characters, slashes and blanks at the ends.", maxName)
	}
	return nil
}
