package operation

import (
	"encoding/json"
	"testing"
	"time"
)

// The derived schema says what encoding/json takes and the tags tell.
func TestDerivedSchema(t *testing.T) {
	t.Parallel()
	type inner struct {
		ID string `json:"id" pattern:"^[0-9]+$"`
	}
	type embedded struct {
		Size uint `json:"size,omitempty"`
	}
	type document struct {
		embedded
		Name   string            `json:"name" title:"Name" description:"Its name" minLength:"1" maxLength:"255"`
		Fields []string          `json:"fields,omitempty" enum:"id,name"`
		Limit  int               `json:"limit" default:"100" minimum:"1" maximum:"1000"`
		Since  time.Time         `json:"since,omitzero"`
		Parent *inner            `json:"parent"`
		Deep   bool              `json:"deep" default:"false"`
		Tags   map[string]string `json:"tags,omitempty"`
		Ratio  float64           `json:"ratio,omitempty"`
		Any    json.RawMessage   `json:"any,omitempty"`
		hidden string            //nolint:unused // it is there to be left out
		Hidden string            `json:"-"`
	}
	schema, compiled, err := schemaOf(nil, new(document))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"$schema":"https://json-schema.org/draft/2020-12/schema","additionalProperties":false,"properties":{` +
		`"any":{},"deep":{"default":false,"type":"boolean"},"fields":{"items":{"enum":["id","name"],"type":"string"},"type":"array"},` +
		`"limit":{"default":100,"maximum":1000,"minimum":1,"type":"integer"},` +
		`"name":{"description":"Its name","maxLength":255,"minLength":1,"title":"Name","type":"string"},` +
		`"parent":{"additionalProperties":false,"properties":{"id":{"pattern":"^[0-9]+$","type":"string"}},"required":["id"],"type":"object"},` +
		`"ratio":{"type":"number"},"since":{"format":"date-time","type":"string"},"size":{"minimum":0,"type":"integer"},` +
		`"tags":{"additionalProperties":{"type":"string"},"type":"object"}},"required":["name"],"type":"object"}`
	if string(schema) != want {
		t.Errorf("got %s", schema)
	}
	if _, problems := compiled.Read([]byte(`{"name":"x","parent":{"id":"7"},"since":"2026-01-02T03:04:05Z"}`)); problems != nil {
		t.Error(problems.Err())
	}
}
