package host

import (
	"context"
	"time"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// placeWithin bounds how long Open looks where the store is.
const placeWithin = 5 * time.Second

// Copied returns why this host renews, revokes and signs in nothing: an error
// connector.StoreNotAdopted, if the store is a copy that nobody has adopted,
// or nil. Settings can be read and changed in such a store, connections be
// deleted without a revocation, and access that is still good be used, unless
// it is of a renewal that was never used before: its first use would end the
// refresh token that the original may have. [Host.Adopt] makes the copy the
// real one.
func (h *Host) Copied(ctx context.Context) error { return h.entitled(ctx, nil) }

// entitled refuses, with connector.StoreNotAdopted, to touch a grant that the
// store may share with another one: the store is a copy, or the record was
// imported. It asks the store each time, since a database may turn into its
// copy while the host runs: another server under the same name.
func (h *Host) entitled(ctx context.Context, r *store.Record) error {
	i, err := h.store.Identity(ctx)
	if err != nil {
		return err
	}
	h.copied.Store(i.Moved())
	if d := refusal(i, r); d != nil {
		return d
	}
	return nil
}

// refusal says why a record's grant isn't the store's to touch, or any record's
// if r is nil.
func refusal(i store.Identity, r *store.Record) *connector.Diagnostic {
	switch {
	case i.Moved():
		return connector.Errorf(connector.StoreNotAdopted, connector.OriginHost,
			"This store is a copy, or was moved: nothing is renewed, revoked or signed in to until it is adopted.").
			WithDetail("it belongs to: %s; it is in: %s", i.Recorded, i.Actual).
			Suggest("If the other one is in use, keep using it, and name its site if this is it. If it is gone for good, adopt this one: connectorctl store adopt.")
	case r != nil && r.HeldUntil > i.Adoptions:
		return connector.Errorf(connector.StoreNotAdopted, connector.OriginHost,
			"The connection was imported: its grant isn't renewed or revoked until the import is adopted.").
			WithDetail("the store that it was exported from may still live from the same grant").
			Suggest("If that one doesn't use the connection any more, adopt what was imported: connectorctl store adopt. Or sign in again here, which makes a grant of its own.")
	}
	return nil
}

// tellPlace logs where the store is, once, for whoever runs the host.
func (h *Host) tellPlace() {
	ctx, cancel := context.WithTimeout(h.ctx, placeWithin)
	defer cancel()
	i, err := h.store.Identity(ctx)
	h.copied.Store(err == nil && i.Moved())
	switch {
	case err != nil:
		h.log.WarnContext(ctx, "the store's place isn't known", "error", err)
	case i.Moved():
		h.log.WarnContext(ctx, "the store is a copy that isn't adopted", "error", refusal(i, nil))
	case i.Actual.Site == "":
		h.log.InfoContext(ctx, "the store is where it belongs; a base backup, or a snapshot of the machine, could be told from it only by a site's name", "place", i.Actual.String())
	default:
		h.log.InfoContext(ctx, "the store is where it belongs", "place", i.Actual.String())
	}
}

// tellHeld adds to infos why the connections are held. That is for people: a
// store that can't tell says nothing.
func (h *Host) tellHeld(ctx context.Context, infos []Info) {
	i, err := h.store.Identity(ctx)
	if err != nil {
		return
	}
	for n := range infos {
		infos[n].Held = refusal(i, &store.Record{HeldUntil: infos[n].heldUntil})
	}
}

// leave drops r's grant without a revocation, and says why.
func leave(r *store.Record, why *connector.Diagnostic) {
	r.Unrevoked = why
	dropCredential(r)
	r.HeldUntil = 0
}

// auditUnrevoked records that a grant was left at the service.
func (h *Host) auditUnrevoked(ctx context.Context, actor string, r *store.Record) {
	_ = h.record(ctx, audit.Event{
		Actor: actor, Owner: r.Key.Owner, Connection: r.Key.Connection, Environment: r.Key.Environment, Name: r.Name,
		Action: audit.ActionRevoke, Generation: r.Generation,
	}, r.Unrevoked)
}
