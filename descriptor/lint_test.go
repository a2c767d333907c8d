package descriptor_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/proto/connector"
)

// broken lists a change to the sample for each rule, and the one place where
// the rule must be found. Nothing else may be found.
var broken = []struct {
	rule, document, pointer string
	change                  func(schema, layout object)
}{
	{"dialect", "schema", "", func(s, _ object) { delete(s, "$schema") }},
	{"dialect", "schema", "/$schema", func(s, _ object) { s["$schema"] = "http://json-schema.org/draft-07/schema#" }},
	{"dialect", "schema", "/$schema", func(s, _ object) { s["$schema"] = "https://example.com/unknown" }},
	{"standard", "schema", "/properties/user/minLength", func(s, _ object) { property(s, "user")["minLength"] = -1 }},
	{"standard", "schema", "/properties/user/description", func(s, _ object) { property(s, "user")["description"] = 5 }},
	{"standard", "schema", "/required/0", func(s, _ object) { s["required"] = []any{5} }},
	{"root-object", "schema", "", func(s, _ object) { delete(s, "additionalProperties") }},
	{"root-object", "schema", "/additionalProperties", func(s, _ object) { s["additionalProperties"] = true }},
	{"root-object", "schema", "/type", func(s, _ object) { s["type"] = []any{"object", "null"} }},
	{"root-object", "schema", "/properties", func(s, _ object) { s["properties"] = object{} }},
	{"root-keyword", "schema", "/discriminator", func(s, _ object) { s["discriminator"] = object{"propertyName": "method"} }},
	{"root-keyword", "schema", "/oneOf", func(s, _ object) { s["oneOf"] = []any{object{"required": []any{"user"}}} }},
	{"root-keyword", "schema", "/dependentRequired", func(s, _ object) { s["dependentRequired"] = object{"user": []any{"email"}} }},
	{"root-keyword", "schema", "/unevaluatedProperties", func(s, _ object) { s["unevaluatedProperties"] = false }},
	{"property-name", "schema", "/properties/User", func(s, _ object) { s["properties"].(object)["User"] = object{"type": "string", "title": "U"} }},
	{"property-name", "schema", "/properties/a b~1c", func(s, _ object) { s["properties"].(object)["a b/c"] = object{"type": "string", "title": "U"} }},
	{"property-keyword", "schema", "/properties/user/enum", func(s, _ object) { property(s, "user")["enum"] = []any{"a"} }},
	{"property-keyword", "schema", "/properties/user/anyOf", func(s, _ object) { property(s, "user")["anyOf"] = []any{true} }},
	{"property-keyword", "schema", "/properties/user/properties", func(s, _ object) { property(s, "user")["properties"] = object{} }},
	{"property-type", "schema", "/properties/user", func(s, _ object) { delete(property(s, "user"), "type") }},
	{"property-type", "schema", "/properties/user/type", func(s, _ object) { property(s, "user")["type"] = []any{"string", "null"} }},
	{"property-type", "schema", "/properties/user/type", func(s, _ object) { property(s, "user")["type"] = "object" }},
	{"property-type", "schema", "/properties/user/type", func(s, _ object) { property(s, "user")["type"] = "array" }},
	{"property-type", "schema", "/properties/user", func(s, _ object) { s["properties"].(object)["user"] = true }},
	{"property-title", "schema", "/properties/user", func(s, _ object) { delete(property(s, "user"), "title") }},
	{"property-title", "schema", "/properties/user/title", func(s, _ object) { property(s, "user")["title"] = " " }},
	{"pattern", "schema", "/properties/user/pattern", func(s, _ object) { property(s, "user")["pattern"] = "^(?!test)" }},
	{"pattern", "schema", "/properties/user/pattern", func(s, _ object) { property(s, "user")["pattern"] = `(a)\1` }},
	{"pattern", "schema", "/properties/user/pattern", func(s, _ object) { property(s, "user")["pattern"] = strings.Repeat("a", 1001) }},
	{"pattern-size", "schema", "/properties/user/pattern", func(s, _ object) { property(s, "user")["pattern"] = "((a?b?)*c){900}" }},
	{"format-known", "schema", "/properties/email/format", func(s, _ object) { property(s, "email")["format"] = "e-mail" }},
	{"choice", "schema", "/properties/method/oneOf/0", func(s, _ object) { delete(at(s, "properties", "method", "oneOf", 0).(object), "title") }},
	{"choice", "schema", "/properties/method/oneOf/0/const", func(s, _ object) { at(s, "properties", "method", "oneOf", 0).(object)["const"] = 5 }},
	{"choice", "schema", "/properties/method/oneOf/0", func(s, _ object) {
		at(s, "properties", "method", "oneOf", 0).(object)["properties"] = object{}
	}},
	{"choice", "schema", "/properties/port/type", func(s, _ object) {
		property(s, "port")["oneOf"] = []any{object{"const": "443", "title": "443"}}
	}},
	{"choice-duplicate", "schema", "/properties/method/oneOf/1", func(s, _ object) {
		at(s, "properties", "method", "oneOf", 1).(object)["const"] = "password"
	}},
	{"conditional", "schema", "/allOf/0", func(s, _ object) { delete(at(s, "allOf", 0).(object), "then") }},
	{"conditional", "schema", "/allOf/0/else", func(s, _ object) { at(s, "allOf", 0).(object)["else"] = object{} }},
	{"conditional", "schema", "/allOf/0/if", func(s, _ object) { delete(at(s, "allOf", 0, "if").(object), "required") }},
	{"conditional", "schema", "/allOf/0/if/properties", func(s, _ object) {
		at(s, "allOf", 0, "if", "properties").(object)["user"] = object{"const": "x"}
	}},
	{"conditional", "schema", "/allOf/0/if/required/0", func(s, _ object) { at(s, "allOf", 0, "if").(object)["required"] = []any{"user"} }},
	{"conditional", "schema", "/allOf/0/then/properties/user", func(s, _ object) {
		at(s, "allOf", 0, "then", "properties").(object)["user"] = object{"minLength": 5}
	}},
	{"stub-unknown", "schema", "/allOf/0/then/properties/usr", func(s, _ object) {
		at(s, "allOf", 0, "then", "properties").(object)["usr"] = object{}
	}},
	{"secret", "schema", "/properties/password", func(s, _ object) { delete(property(s, "password"), "format") }},
	{"secret", "schema", "/properties/passphrase", func(s, _ object) { delete(property(s, "passphrase"), "writeOnly") }},
	{"secret", "schema", "/properties/password/writeOnly", func(s, _ object) { property(s, "password")["writeOnly"] = false }},
	{"secret", "schema", "/properties/password/default", func(s, _ object) { property(s, "password")["default"] = "x" }},
	{"secret", "schema", "/properties/password/examples", func(s, _ object) { property(s, "password")["examples"] = []any{"x"} }},
	{"secret", "schema", "/properties/password/type", func(s, _ object) { property(s, "password")["type"] = "integer" }},
	{"destination", "schema", "/properties/base_url", func(s, _ object) { delete(property(s, "base_url"), "format") }},
	{"destination", "schema", "/properties/base_url/format", func(s, _ object) { property(s, "base_url")["format"] = "hostname" }},
	{"destination", "schema", "/properties/base_url/type", func(s, _ object) { property(s, "base_url")["type"] = "number" }},
	{"destination", "schema", "/properties/base_url/x-destination", func(s, _ object) { property(s, "base_url")["x-destination"] = "yes" }},
	{"read-only", "schema", "/properties/state/default", func(s, _ object) { property(s, "state")["default"] = "x" }},
	{"read-only", "schema", "/properties/password/writeOnly", func(s, _ object) { property(s, "password")["readOnly"] = true }},
	{"required-mark", "schema", "/properties/user", func(s, _ object) { property(s, "user")["x-required"] = true }},
	{"required-unknown", "schema", "/required/2", func(s, _ object) { s["required"] = append(s["required"].([]any), "nothing") }},
	{"required-secret", "schema", "/required/2", func(s, _ object) { s["required"] = append(s["required"].([]any), "passphrase") }},
	{"required-secret", "schema", "/allOf/0/then/required/1", func(s, _ object) {
		at(s, "allOf", 0, "then").(object)["required"] = []any{"user", "password"}
	}},
	{"required-read-only", "schema", "/required/2", func(s, _ object) { s["required"] = append(s["required"].([]any), "state") }},
	{"required-hidden", "schema", "/required/2", func(s, _ object) { s["required"] = append(s["required"].([]any), "user") }},
	{"required-hidden", "schema", "/allOf/0/then/required/1", func(s, _ object) {
		at(s, "allOf", 0, "then").(object)["required"] = []any{"user", "key_id"}
	}},
	{"selector-choice", "schema", "/allOf/0/if/properties/port", func(s, _ object) {
		at(s, "allOf", 0).(object)["then"] = object{"required": []any{"email"}}
		at(s, "allOf", 0).(object)["if"] = object{"properties": object{"port": object{"const": "1"}}, "required": []any{"port"}}
	}},
	{"selector-choice", "layout", "/elements/1/elements/5/rule/condition", func(_, l object) {
		at(l, "elements", 1, "elements", 5).(object)["rule"] = shows("verbose", "x")
	}},
	{"selector-value", "schema", "/allOf/0/if/properties/method", func(s, _ object) {
		at(s, "allOf", 0).(object)["then"] = object{"required": []any{"email"}}
		at(s, "allOf", 0, "if", "properties", "method").(object)["const"] = "oauth"
	}},
	{"selector-value", "layout", "/elements/1/elements/5/rule/condition", func(_, l object) {
		at(l, "elements", 1, "elements", 5).(object)["rule"] = shows("method", "oauth")
	}},
	{"selector-hidden", "layout", "/elements/1/elements/5/rule/condition", func(s, l object) {
		property(s, "help_url")["oneOf"] = []any{object{"const": "https://a.example/", "title": "A"}}
		at(l, "elements", 0, "elements", 2, "elements", 3).(object)["rule"] = shows("method", "key")
		at(l, "elements", 1, "elements", 5).(object)["rule"] = shows("help_url", "https://a.example/")
	}},
	{"default-invalid", "schema", "/properties/port/default", func(s, _ object) { property(s, "port")["default"] = 0 }},
	{"default-invalid", "schema", "/properties/base_url/default", func(s, _ object) { property(s, "base_url")["default"] = "http://example.com" }},
	{"default-invalid", "schema", "/properties/user/default", func(s, _ object) { property(s, "user")["default"] = "someone " }},
	{"example-invalid", "schema", "/properties/key_id/examples/0", func(s, _ object) { property(s, "key_id")["examples"] = []any{"xyz"} }},
	{"title-duplicate", "schema", "/properties/user/title", func(s, _ object) { property(s, "user")["title"] = "Email" }},
	{"layout-root", "layout", "/type", func(_, l object) { l["type"] = "VerticalLayout" }},
	{"layout-root", "layout", "/elements", func(_, l object) { l["elements"] = []any{} }},
	{"layout-category", "layout", "/elements/0/type", func(_, l object) {
		l["elements"] = append([]any{object{"type": "Categorization", "elements": []any{object{"type": "Control", "scope": "#/properties/user"}}}}, l["elements"].([]any)...)
	}},
	{"layout-element", "layout", "/elements/0/elements/0/type", func(_, l object) {
		at(l, "elements", 0, "elements").([]any)[0] = object{"type": "HorizontalLayout", "elements": []any{object{"type": "Control", "scope": "#/properties/method"}}}
	}},
	{"layout-leaf", "layout", "/elements/0/elements/2/elements/0/type", func(_, l object) {
		at(l, "elements", 0, "elements", 2, "elements").([]any)[0] = object{"type": "Label"}
	}},
	{"layout-label", "layout", "/elements/0", func(_, l object) { delete(at(l, "elements", 0).(object), "label") }},
	{"layout-label", "layout", "/elements/0/elements/2/label", func(_, l object) { at(l, "elements", 0, "elements", 2).(object)["label"] = "" }},
	{"layout-keyword", "layout", "/elements/0/elements/2/rule", func(_, l object) {
		at(l, "elements", 0, "elements", 2).(object)["rule"] = shows("method", "key")
	}},
	{"layout-keyword", "layout", "/elements/0/elements/0/label", func(_, l object) { at(l, "elements", 0, "elements", 0).(object)["label"] = "X" }},
	{"layout-scope", "layout", "/elements/0/elements/0/scope", func(_, l object) { at(l, "elements", 0, "elements", 0).(object)["scope"] = "#/" }},
	{"layout-options", "layout", "/elements/0/elements/0/options/format", func(_, l object) {
		at(l, "elements", 0, "elements", 0).(object)["options"] = object{"format": "radio"}
	}},
	{"layout-group-options", "layout", "/elements/0/elements/2/options/multi", func(_, l object) {
		at(l, "elements", 0, "elements", 2, "options").(object)["multi"] = true
	}},
	{"layout-rule", "layout", "/elements/1/elements/1/rule/effect", func(_, l object) {
		at(l, "elements", 1, "elements", 1, "rule").(object)["effect"] = "HIDE"
	}},
	{"layout-rule", "layout", "/elements/1/elements/1/rule/condition", func(_, l object) {
		delete(at(l, "elements", 1, "elements", 1, "rule", "condition").(object), "failWhenUndefined")
	}},
	{"layout-rule", "layout", "/elements/1/elements/1/rule/condition/schema/const", func(_, l object) {
		at(l, "elements", 1, "elements", 1, "rule", "condition").(object)["schema"] = object{"const": true}
	}},
	{"layout-unknown", "layout", "/elements/0/elements/3/scope", func(_, l object) {
		c := at(l, "elements", 0).(object)
		c["elements"] = append(c["elements"].([]any), object{"type": "Control", "scope": "#/properties/nothing"})
	}},
	{"layout-duplicate", "layout", "/elements/0/elements/3", func(_, l object) {
		c := at(l, "elements", 0).(object)
		c["elements"] = append(c["elements"].([]any), object{"type": "Control", "scope": "#/properties/method"})
	}},
	{"layout-missing", "schema", "/properties/factor", func(_, l object) {
		g := at(l, "elements", 0, "elements", 2).(object)
		g["elements"] = slices.Delete(g["elements"].([]any), 1, 2)
	}},
	{"layout-secret", "layout", "/elements/1/elements/1", func(_, l object) { delete(at(l, "elements", 1, "elements", 1).(object), "options") }},
	{"layout-secret", "layout", "/elements/0/elements/0", func(_, l object) {
		at(l, "elements", 0, "elements", 0).(object)["options"] = object{"format": "password"}
	}},
	{"layout-multi", "layout", "/elements/0/elements/0/options/multi", func(_, l object) {
		at(l, "elements", 0, "elements", 0).(object)["options"] = object{"multi": true}
	}},
}

// shows is a rule that shows a control for one value.
func shows(selector, value string) object {
	return object{"effect": "SHOW", "condition": object{
		"scope": "#/properties/" + selector, "schema": object{"const": value}, "failWhenUndefined": true}}
}

func TestEachRuleIsFoundAlone(t *testing.T) {
	t.Parallel()
	warnings := []string{"example-invalid", "title-duplicate"}
	for _, tt := range broken {
		t.Run(tt.rule+" "+strings.ReplaceAll(tt.pointer, "/", "."), func(t *testing.T) {
			t.Parallel()
			schema, layout := edited(t, tt.change)
			found := descriptor.Lint(schema, layout)
			if len(found) != 1 {
				t.Fatalf("found %d: %v", len(found), found)
			}
			f := found[0]
			if f.Rule != tt.rule || f.Document != tt.document || f.Pointer != tt.pointer || f.Message == "" {
				t.Errorf("found %+v", f)
			}
			warning := slices.Contains(warnings, tt.rule)
			if want := map[bool]connector.Severity{true: connector.SeverityWarning, false: connector.SeverityError}[warning]; f.Severity != want {
				t.Errorf("severity %s, want %s", f.Severity, want)
			}
			if _, err := descriptor.Parse(schema, layout); (err == nil) != warning {
				t.Errorf("Parse: %v", err)
			}
		})
	}
}

// Every rule of the published meta-schemas has a case above.
func TestEveryPublishedRuleIsTested(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{}
	for _, tt := range broken {
		tested[tt.rule] = true
	}
	for name, structural := range map[string][]string{
		"metaschema.json":        nil,
		"layout-metaschema.json": {"category", "element", "leaf", "control"},
	} {
		for rule := range at(document(t, name), "$defs").(object) {
			if !tested[rule] && !slices.Contains(structural, rule) {
				t.Errorf("%s: rule %q has no test", name, rule)
			}
		}
	}
}

// The meta-schemas are themselves valid under the dialect that they demand,
// and can be used by a validator that knows nothing of this package.
func TestMetaSchemasAreValid(t *testing.T) {
	t.Parallel()
	for name, fixture := range map[string]string{"metaschema.json": "box.schema.json", "layout-metaschema.json": "box.layout.json"} {
		c := jsonschema.NewCompiler()
		c.LoadURL = func(string) (io.ReadCloser, error) { return nil, os.ErrPermission }
		dialect, err := c.Compile("https://json-schema.org/draft/2020-12/schema")
		if err != nil {
			t.Fatal(err)
		}
		meta := document(t, name)
		if err := dialect.Validate(meta); err != nil {
			t.Errorf("%s: %#v", name, err)
		}
		id, _ := meta["$id"].(string)
		if want := "https://github.com/boxconnection/connector/descriptor/" + name; id != want {
			t.Errorf("$id %q, want %q", id, want)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(id, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		compiled, err := c.Compile(id)
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := json.Unmarshal(readFile(t, fixture), &value); err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(value); err != nil {
			t.Errorf("%s: %#v", fixture, err)
		}
	}
}

func document(t *testing.T, name string) object {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var value object
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestUnreadableDocumentsAreOneFinding(t *testing.T) {
	t.Parallel()
	layout := readFile(t, "sample.layout.json")
	for name, schema := range map[string]string{
		"empty":         "",
		"not JSON":      "{",
		"cut off":       `{"a": [1, 2`,
		"given twice":   `{"type": "object", "type": "object"}`,
		"two documents": "{} {}",
		"too large":     `{"title": "` + strings.Repeat("a", descriptor.MaxDocument) + `"}`,
		"too deep":      strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20),
		"far too deep":  strings.Repeat(`[`, 100000) + strings.Repeat("]", 100000),
		"huge number":   `{"minimum": 1e999999999}`,
	} {
		found := descriptor.Lint([]byte(schema), layout)
		if len(found) != 1 || found[0].Rule != "document" || found[0].Document != "schema" {
			t.Errorf("%s: %v", name, found)
		}
	}
	for _, schema := range []string{"true", "[]", "null", `"text"`} {
		if found := descriptor.Lint([]byte(schema), layout); !slices.ContainsFunc(found, func(f descriptor.Finding) bool {
			return f.Rule == "root-object"
		}) {
			t.Errorf("%s: %v", schema, found)
		}
	}
}

// A number can be written so that its exact form fills the memory.
func TestTinyNumberIsHarmless(t *testing.T) {
	t.Parallel()
	schema := bytes.Replace(readFile(t, "sample.schema.json"), []byte(`"exclusiveMinimum": 0`), []byte(`"exclusiveMinimum": 1e-999999999`), 1)
	if _, err := descriptor.Parse(schema, readFile(t, "sample.layout.json")); err != nil {
		t.Error(err)
	}
}

func TestFindingsComeInAFixedOrder(t *testing.T) {
	t.Parallel()
	schema, layout := edited(t, func(s, l object) {
		for _, name := range []string{"user", "email", "key_id", "port"} {
			property(s, name)["enum"] = []any{1}
			delete(property(s, name), "title")
		}
		l["type"] = "X"
	})
	want := descriptor.Lint(schema, layout)
	if len(want) != 9 {
		t.Fatalf("found %d: %v", len(want), want)
	}
	for range 100 {
		if diff := cmp.Diff(want, descriptor.Lint(schema, layout)); diff != "" {
			t.Fatal(diff)
		}
	}
}
