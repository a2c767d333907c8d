package host

import (
	"context"
	"errors"
	"io"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// Transfer is what an export or import did.
type Transfer struct {
	// Connections counts those that were written or imported.
	Connections int `json:"connections"`
	// Bad are the records, or lines, that were left out, and why.
	Bad []BadValue `json:"bad"`
}

// Export writes the saved connections of every owner and environment to w, with
// their settings and credentials, sealed by sealer and by nothing else: use a
// key that is not the store's, and keep it apart. Drafts, sign-ins that wait,
// and deleted connections aren't part of it. A record that can't be read is
// left out and listed. The store goes on as before, so what is exported lives
// in two places until one of them stops using it. actor is whom the audit
// names.
func (h *Host) Export(ctx context.Context, w io.Writer, sealer seal.Sealer, actor string) (Transfer, error) {
	done := Transfer{Bad: []BadValue{}}
	listed, err := h.store.List(ctx, store.Query{State: store.StateSaved})
	if err != nil {
		return done, err
	}
	x, err := newExport(w, sealer)
	if err != nil {
		return done, err
	}
	for _, l := range listed {
		e, bad := h.takeOut(ctx, l)
		if bad != nil {
			done.Bad = append(done.Bad, *bad)
			continue
		}
		if err := x.add(ctx, e); err != nil {
			return done, err
		}
		if err := h.auditTransfer(ctx, actor, audit.ActionExport, l.Record, nil); err != nil {
			return done, err
		}
		done.Connections++
	}
	return done, x.end(ctx)
}

// takeOut is a record on its way out. What waits to be revoked stays here.
func (h *Host) takeOut(ctx context.Context, l store.Listed) (exported, *BadValue) {
	if l.Err != nil {
		return exported{}, &BadValue{Key: l.Key, Err: l.Err}
	}
	e := exported{Record: *l.Record, Values: map[store.Field][]byte{}}
	for field, sealed := range l.Record.Sealed {
		if field == store.FieldCandidate || field == store.FieldRevocation {
			continue
		}
		plain, err := h.vault.sealer.Open(ctx, l.Key, field, sealed)
		if err != nil {
			return exported{}, &BadValue{Key: l.Key, Field: field, Err: connector.Diagnose(err, connector.OriginHost)}
		}
		e.Values[field] = plain
	}
	e.Record.Sealed, e.Record.Lease, e.Record.Interrupted, e.Record.Unrevoked = nil, nil, nil, nil
	return e, nil
}

// Import saves the connections of an export here, under their IDs and names. One
// whose ID was ever used here, or whose name is taken, is left out and listed,
// and so is one whose line is damaged; a file that isn't whole is an error
// after what could be imported. Until [Host.Adopt] nothing of them is renewed
// or revoked, since the store that they come from may live from the same
// grants. A new sign-in makes a connection this store's own at once.
func (h *Host) Import(ctx context.Context, r io.Reader, sealer seal.Sealer, actor string) (Transfer, error) {
	done := Transfer{Bad: []BadValue{}}
	x, err := openExport(r, sealer)
	if err != nil {
		return done, err
	}
	i, err := h.store.Identity(ctx)
	if err != nil {
		return done, err
	}
	for {
		e, err := x.next(ctx)
		if line := (*errExportLine)(nil); errors.As(err, &line) {
			done.Bad = append(done.Bad, BadValue{Err: line.Diagnostic})
			continue
		}
		if errors.Is(err, io.EOF) {
			return done, nil
		}
		if err != nil {
			return done, err
		}
		err = h.takeIn(ctx, e, i)
		if aerr := h.auditTransfer(ctx, actor, audit.ActionImport, &e.Record, err); err == nil && aerr != nil {
			return done, aerr
		}
		switch {
		case err == nil:
			done.Connections++
		case is(err, connector.ConnectionExists), is(err, connector.UsageWrong):
			done.Bad = append(done.Bad, BadValue{Key: e.Record.Key, Err: connector.Diagnose(err, connector.OriginHost)})
		default:
			return done, err
		}
	}
}

// takeIn saves a connection that comes in.
func (h *Host) takeIn(ctx context.Context, e *exported, i store.Identity) error {
	r := e.Record
	r.State, r.HeldUntil = store.StateSaved, 0
	if len(e.Values[store.FieldCredential]) > 0 {
		r.HeldUntil = i.Adoptions + 1
	}
	for field, plain := range e.Values {
		if r.Sealed == nil {
			r.Sealed = map[store.Field][]byte{}
		}
		sealed, err := h.vault.sealer.Seal(ctx, r.Key, field, plain)
		if err != nil {
			return err
		}
		r.Sealed[field] = sealed
	}
	schedule(&r, r.UpdatedAt)
	return h.store.Create(ctx, &r)
}

func (h *Host) auditTransfer(ctx context.Context, actor string, action audit.Action, r *store.Record, err error) error {
	return h.record(ctx, audit.Event{
		Actor: actor, Owner: r.Key.Owner, Connection: r.Key.Connection, Environment: r.Key.Environment, Name: r.Name,
		Action: action, Generation: r.Generation,
	}, err)
}
