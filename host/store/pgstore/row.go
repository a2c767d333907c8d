package pgstore

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// columns are what scan reads, in its order.
const columns = `owner, connection, environment, state, name, base, revision, generation, created_at, updated_at, expires_at, due_at,
	lease, interrupted, document, sealed_fields, sealed_values`

// document is the part of a record that has no column of its own, as JSON. A
// name that is repeated here hides the record's.
type document struct {
	*store.Record
	Key         *struct{} `json:"key,omitempty"`
	Revision    *struct{} `json:"revision,omitempty"`
	Generation  *struct{} `json:"generation,omitempty"`
	State       *struct{} `json:"state,omitempty"`
	Name        *struct{} `json:"name,omitempty"`
	Base        *struct{} `json:"base,omitempty"`
	Sealed      *struct{} `json:"sealed,omitempty"`
	CreatedAt   *struct{} `json:"created_at,omitempty"`
	UpdatedAt   *struct{} `json:"updated_at,omitempty"`
	ExpiresAt   *struct{} `json:"expires_at,omitempty"`
	DueAt       *struct{} `json:"due_at,omitempty"`
	Lease       *struct{} `json:"lease,omitempty"`
	Interrupted *struct{} `json:"interrupted,omitempty"`
}

// body is what a record's row holds beside key, revision, lease and the times
// that the store sets.
type body struct {
	document []byte
	fields   []string
	values   [][]byte
}

func encode(r *store.Record) (*body, error) {
	if err := checkRecord(r); err != nil {
		return nil, err
	}
	text, err := json.Marshal(document{Record: r})
	if err != nil {
		return nil, connector.Errorf(connector.UsageWrong, connector.OriginHost, "The record of connection %q can't be written.", r.Key.Connection).Because(err)
	}
	b := &body{document: text, fields: make([]string, 0, len(r.Sealed)), values: make([][]byte, 0, len(r.Sealed))}
	for _, field := range slices.Sorted(maps.Keys(r.Sealed)) {
		value := r.Sealed[field]
		if value == nil {
			value = []byte{} // nil would be NULL
		}
		b.fields = append(b.fields, string(field))
		b.values = append(b.values, value)
	}
	return b, nil
}

// arguments are those of setBody.
func (b *body) arguments(r *store.Record) pgx.NamedArgs {
	return pgx.NamedArgs{
		"owner": r.Key.Owner, "connection": r.Key.Connection, "environment": r.Key.Environment,
		"state": string(r.State), "name": r.Name, "base": r.Base,
		"revision": stored(r.Revision), "generation": stored(r.Generation),
		"expires_at": orNull(r.ExpiresAt), "due_at": orNull(r.DueAt),
		"document": b.document, "sealed_fields": b.fields, "sealed_values": b.values,
	}
}

// scan reads columns, and more behind them. The record is nil if all but its
// key is damaged.
func scan(row pgx.Row, more ...any) (store.Key, *store.Record, error) {
	var (
		r                            store.Record
		state                        string
		expires, due                 *time.Time
		lease, interrupted, contents []byte
		fields                       []string
		values                       [][]byte
	)
	err := row.Scan(append([]any{
		&r.Key.Owner, &r.Key.Connection, &r.Key.Environment, &state, &r.Name, &r.Base, &r.Revision, &r.Generation,
		&r.CreatedAt, &r.UpdatedAt, &expires, &due, &lease, &interrupted, &contents, &fields, &values,
	}, more...)...)
	if err != nil {
		return store.Key{}, nil, err
	}
	key := r.Key
	if err := json.Unmarshal(contents, &document{Record: &r}); err != nil {
		return key, nil, damaged(key, err)
	}
	if r.Lease, err = decodeLease(lease); err != nil {
		return key, nil, damaged(key, err)
	}
	if r.Interrupted, err = decodeLease(interrupted); err != nil {
		return key, nil, damaged(key, err)
	}
	if len(fields) != len(values) {
		return key, nil, damaged(key, fmt.Errorf("%d sealed fields with %d values", len(fields), len(values)))
	}
	r.State = store.State(state)
	r.CreatedAt, r.UpdatedAt = r.CreatedAt.UTC(), r.UpdatedAt.UTC()
	r.ExpiresAt, r.DueAt = orZero(expires), orZero(due)
	r.Sealed = make(map[store.Field][]byte, len(fields))
	for i, field := range fields {
		r.Sealed[store.Field(field)] = values[i]
	}
	return key, &r, nil
}

func decodeLease(text []byte) (*store.Lease, error) {
	if text == nil {
		return nil, nil
	}
	l := new(store.Lease)
	if err := json.Unmarshal(text, l); err != nil {
		return nil, err
	}
	l.Since, l.Until = l.Since.UTC(), l.Until.UTC()
	return l, nil
}

func checkRecord(r *store.Record) error {
	if err := checkKey(r.Key); err != nil {
		return err
	}
	for what, text := range map[string]string{"name": r.Name, "base": r.Base, "state": string(r.State)} {
		if err := checkText(what, text, false); err != nil {
			return err
		}
	}
	if r.Generation > math.MaxInt64 {
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "The generation of connection %q is too large.", r.Key.Connection)
	}
	return nil
}

// stored is a number as a bigint. A revision that no record can have becomes
// negative, which none has.
func stored(n uint64) int64 { return int64(n) }

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
