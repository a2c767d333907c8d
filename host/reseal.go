package host

import (
	"context"

	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// Verified is what Verify found.
type Verified struct {
	// Flows counts the sign-ins that wait; each has a sealed value too.
	Flows int `json:"flows"`
	// Keys counts the values that each key sealed, by its ID, be they readable
	// or not.
	Keys map[string]int `json:"keys"`
	// Unrevoked counts the records whose grants were left at the service.
	Unrevoked int `json:"unrevoked"`
	// NotAdopted says that the store is a copy, and nil that it isn't.
	NotAdopted *connector.Diagnostic `json:"not_adopted,omitempty"`

	// Records counts the records that were read, Values the sealed values in
	// them that open.
	Records int `json:"records"`
	Values  int `json:"values"`
	// Bad are the records or values that can't be read.
	Bad []BadValue `json:"bad"`

	// keyless: there is something of which the key isn't known.
	keyless bool
}

// BadValue is a record, or a value of one, that can't be read.
type BadValue struct {
	Key   store.Key             `json:"key"`
	Field store.Field           `json:"field,omitempty"`
	Err   *connector.Diagnostic `json:"error"`
}

// Verify reads every record of every owner and every sign-in that waits, and
// opens every sealed value. One
// that is bad hides no other. It changes nothing.
func (h *Host) Verify(ctx context.Context) (Verified, error) {
	v := Verified{Bad: []BadValue{}, Keys: map[string]int{}}
	i, err := h.store.Identity(ctx)
	if err != nil {
		return v, err
	}
	v.NotAdopted = refusal(i, nil)
	listed, err := h.store.List(ctx, store.Query{})
	if err != nil {
		return v, err
	}
	flows, err := h.store.Flows(ctx)
	if err != nil {
		return v, err
	}
	for _, l := range listed {
		if l.Err != nil {
			v.Bad = append(v.Bad, BadValue{Key: l.Key, Err: l.Err})
			v.keyless = true
			continue
		}
		v.Records++
		if l.Record.Unrevoked != nil {
			v.Unrevoked++
		}
		for field, sealed := range l.Record.Sealed {
			h.verify(ctx, &v, l.Record.Key, field, sealed)
		}
	}
	for _, f := range flows {
		v.Flows++
		h.verify(ctx, &v, f.Key, store.Field(fieldFlow+f.ID), f.Sealed)
	}
	return v, nil
}

// verify opens one value.
func (h *Host) verify(ctx context.Context, v *Verified, key store.Key, field store.Field, sealed []byte) {
	if id, ok := seal.SealedWith(sealed); ok {
		v.Keys[id.String()]++
	} else {
		v.keyless = true
	}
	if _, err := h.vault.sealer.Open(ctx, key, field, sealed); err != nil {
		v.Bad = append(v.Bad, BadValue{Key: key, Field: field, Err: connector.Diagnose(err, connector.OriginHost)})
		return
	}
	v.Values++
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
