package host

import (
	"context"

	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// Verified is what Verify found.
type Verified struct {
	// Records counts the records that were read, Values the sealed values in
	// them that open.
	Records int `json:"records"`
	Values  int `json:"values"`
	// Bad are the records or values that can't be read.
	Bad []BadValue `json:"bad"`
}

// BadValue is a record, or a value of one, that can't be read.
type BadValue struct {
	Key   store.Key             `json:"key"`
	Field store.Field           `json:"field,omitempty"`
	Err   *connector.Diagnostic `json:"error"`
}

// Verify reads every record of every owner and opens every sealed value. One
// that is bad hides no other. It changes nothing.
func (h *Host) Verify(ctx context.Context) (Verified, error) {
	v := Verified{Bad: []BadValue{}}
	listed, err := h.store.List(ctx, store.Query{})
	if err != nil {
		return v, err
	}
	for _, l := range listed {
		if l.Err != nil {
			v.Bad = append(v.Bad, BadValue{Key: l.Key, Err: l.Err})
			continue
		}
		v.Records++
		for field, sealed := range l.Record.Sealed {
			if _, err := h.vault.sealer.Open(ctx, l.Record.Key, field, sealed); err != nil {
				v.Bad = append(v.Bad, BadValue{Key: l.Record.Key, Field: field, Err: connector.Diagnose(err, connector.OriginHost)})
				continue
			}
			v.Values++
		}
	}
	return v, nil
}

// Reseal seals again, with the sealer's present key, every value that was
// sealed with another one, and returns how many records it changed and what it
// couldn't read. Other hosts may work meanwhile: each record is changed by
// compare-and-swap, and no generation moves. A sealer that doesn't tell its
// present key has all values sealed again.
func (h *Host) Reseal(ctx context.Context) (changed int, bad []BadValue, err error) {
	listed, err := h.store.List(ctx, store.Query{})
	if err != nil {
		return 0, nil, err
	}
	for _, l := range listed {
		if l.Err != nil {
			bad = append(bad, BadValue{Key: l.Key, Err: l.Err})
			continue
		}
		if len(h.stale(l.Record)) == 0 {
			continue
		}
		var unread []BadValue
		_, err := h.update(ctx, l.Record.Key, func(r *store.Record) error {
			unread = h.resealRecord(ctx, r)
			return nil
		})
		bad = append(bad, unread...)
		switch {
		case is(err, connector.ConnectionNotFound): // ended meanwhile
		case err != nil:
			return changed, bad, err
		default:
			changed++
		}
	}
	return changed, bad, nil
}

// stale returns the fields of r that aren't sealed with the present key.
func (h *Host) stale(r *store.Record) []store.Field {
	present, tells := h.vault.sealer.(interface{ Primary() seal.KeyID })
	var fields []store.Field
	for field, sealed := range r.Sealed {
		if tells {
			if id, ok := seal.SealedWith(sealed); ok && id == present.Primary() {
				continue
			}
		}
		fields = append(fields, field)
	}
	return fields
}

func (h *Host) resealRecord(ctx context.Context, r *store.Record) (bad []BadValue) {
	for _, field := range h.stale(r) {
		plain, err := h.vault.sealer.Open(ctx, r.Key, field, r.Sealed[field])
		if err == nil {
			var sealed []byte
			if sealed, err = h.vault.sealer.Seal(ctx, r.Key, field, plain); err == nil {
				r.Sealed[field] = sealed
				continue
			}
		}
		bad = append(bad, BadValue{Key: r.Key, Field: field, Err: connector.Diagnose(err, connector.OriginHost)})
	}
	return bad
}
