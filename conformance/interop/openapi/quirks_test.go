package main

import (
	"encoding/json"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// Null is allowed wherever Box's file says so, in whichever form, and nowhere
// else.
func TestNullable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		schema string
		want   bool
	}{
		{`{"type":"string"}`, false},
		{`{"type":"string","nullable":true}`, true},
		{`{"allOf":[{"type":"object"},{"description":"d"}]}`, false},
		{`{"allOf":[{"type":"object"},{"description":"d"}],"nullable":true}`, true},
		{`{"allOf":[{"type":"object"},{"description":"d"},{"nullable":true}]}`, true},
		{`{"allOf":[{"type":"string","nullable":true},{"nullable":false}]}`, true},
		{`{"allOf":[{"type":"string","nullable":false},{"nullable":false}]}`, false},
		{`{"allOf":[{"type":"string","nullable":true},{"type":"string"}]}`, false},
	} {
		var ref openapi3.SchemaRef
		if err := json.Unmarshal([]byte(tt.schema), &ref); err != nil {
			t.Fatal(err)
		}
		(&reading{seen: map[*openapi3.Schema]bool{}}).schema(&ref, "test")
		err := ref.Value.VisitJSON(nil)
		if (err == nil) != tt.want {
			t.Errorf("%s allows null: %v, want %v", tt.schema, err == nil, tt.want)
		}
	}
}

// A field that is required and not declared is noted, not asked for.
func TestUnmeetableRequirement(t *testing.T) {
	t.Parallel()
	var ref openapi3.SchemaRef
	if err := json.Unmarshal([]byte(`{"type":"object","required":["a","b"],"properties":{"a":{"type":"string"}}}`), &ref); err != nil {
		t.Fatal(err)
	}
	read := &reading{seen: map[*openapi3.Schema]bool{}}
	read.schema(&ref, "test")
	if err := ref.Value.VisitJSON(map[string]any{"a": "x"}); err != nil || len(read.notes) != 1 {
		t.Errorf("%v, notes %q", err, read.notes)
	}
	if ref.Value.VisitJSON(map[string]any{}) == nil {
		t.Error("the other requirement is gone")
	}
}
