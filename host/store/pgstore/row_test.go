package pgstore_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// Every field of a record is kept, those that are added later included: a
// column or the document has it.
func TestEveryFieldIsKept(t *testing.T) {
	t.Parallel()
	s := openStore(t, newDatabase(t))
	want := new(store.Record)
	fill(t, reflect.ValueOf(want).Elem())
	want.Key, want.State = testKey, store.StateSaved
	want.Verdict.Diagnostic = connector.Errorf(connector.GrantInvalid, connector.OriginService, "dead")
	want.Lease, want.Interrupted = nil, nil // the store's own
	if err := s.Create(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, get(t, s), cmpopts.IgnoreUnexported(connector.Diagnostic{})); diff != "" {
		t.Errorf("-written +read:\n%s", diff)
	}
}

// fill gives every field a value that isn't its zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch at := time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC); {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(at))
	case v.Type() == reflect.TypeFor[*connector.Diagnostic]():
		// made by the caller
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case v.Kind() == reflect.String:
		v.SetString("x")
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanUint():
		v.SetUint(7)
	case v.CanInt():
		v.SetInt(7)
	case v.Type() == reflect.TypeFor[map[store.Field][]byte]():
		v.Set(reflect.ValueOf(map[store.Field][]byte{store.FieldSettings: {1}}))
	default:
		t.Fatalf("no value for a %v: say one here", v.Type())
	}
}
