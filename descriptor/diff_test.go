package descriptor_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/boxconnection/connector/descriptor"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	set := func(name, keyword string, value any) func(object, object) {
		return func(s, _ object) {
			if property(s, name)[keyword] = value; value == nil {
				delete(property(s, name), keyword)
			}
		}
	}
	const safe, breaking = "safe ", "breaking "
	for name, tt := range map[string]struct {
		before, after func(schema, layout object)
		want          []string
	}{
		"nothing":            {nil, nil, nil},
		"title":              {nil, set("user", "title", "User Name"), []string{safe + "text-changed /user"}},
		"description":        {nil, set("user", "description", "Who"), []string{safe + "text-changed /user"}},
		"title of the whole": {nil, func(s, _ object) { s["title"] = "Other" }, []string{safe + "text-changed "}},
		"title of a choice": {nil, func(s, _ object) { at(s, "properties", "method", "oneOf", 0).(object)["title"] = "PW" },
			[]string{safe + "text-changed /method"}},
		"field added":             {nil, adding("region", nil, ""), []string{safe + "field-added /region"}},
		"field removed":           {adding("region", nil, ""), nil, []string{breaking + "field-removed /region"}},
		"required field added":    {nil, adding("region", nil, "required"), []string{breaking + "field-added /region"}},
		"with a default":          {nil, adding("region", object{"default": "eu"}, "required"), []string{safe + "field-added /region"}},
		"destination field added": {nil, adding("region", object{"format": "uri", "x-destination": true}, ""), []string{breaking + "field-added /region"}},
		"type changed":            {adding("region", object{"type": "integer"}, ""), adding("region", nil, ""), []string{breaking + "type-changed /region"}},
		"became required":         {adding("region", nil, ""), adding("region", nil, "required"), []string{breaking + "required-added /region"}},
		"became required, with a default": {adding("region", object{"default": "eu"}, ""), adding("region", object{"default": "eu"}, "required"),
			[]string{safe + "required-added /region"}},
		"no longer required":        {adding("region", nil, "required"), adding("region", nil, ""), []string{safe + "required-lifted /region"}},
		"secret became required":    {nil, set("passphrase", "x-required", true), []string{breaking + "required-added /passphrase"}},
		"secret no longer required": {nil, set("password", "x-required", nil), []string{safe + "required-lifted /password"}},
		"required under one choice more": {nil, func(s, _ object) { at(s, "allOf", 0, "then").(object)["required"] = []any{"user", "email"} },
			[]string{breaking + "required-added /email"}},
		"required under one choice less": {nil, func(s, _ object) { at(s, "allOf", 1, "then").(object)["required"] = []any{"user"} },
			[]string{safe + "required-lifted /key_id"}},
		"choice removed": {nil, func(s, _ object) { property(s, "method")["oneOf"] = at(s, "properties", "method", "oneOf").([]any)[:2] },
			[]string{breaking + "choice-removed /method"}},
		"choice added": {func(s, _ object) { property(s, "method")["oneOf"] = at(s, "properties", "method", "oneOf").([]any)[:2] }, nil,
			[]string{safe + "choice-added /method"}},
		"choices instead of text": {adding("region", nil, ""), adding("region", object{"oneOf": []any{object{"const": "eu", "title": "EU"}}}, ""),
			[]string{breaking + "choices-added /region"}},
		"text instead of choices": {adding("region", object{"oneOf": []any{object{"const": "eu", "title": "EU"}}}, ""), adding("region", nil, ""),
			[]string{safe + "choices-lifted /region"}},
		"pattern added":            {nil, set("user", "pattern", "^a"), []string{breaking + "pattern-changed /user"}},
		"pattern changed":          {nil, set("key_id", "pattern", "^[0-9a-f]{4,}$"), []string{breaking + "pattern-changed /key_id"}},
		"pattern removed":          {nil, set("key_id", "pattern", nil), []string{safe + "pattern-lifted /key_id"}},
		"format added":             {nil, set("user", "format", "email"), []string{breaking + "format-changed /user"}},
		"format removed":           {nil, set("email", "format", nil), []string{safe + "format-lifted /email"}},
		"lower bound raised":       {nil, set("user", "minLength", 3), []string{breaking + "bound-tightened /user"}},
		"lower bound lowered":      {nil, set("user", "minLength", 1), []string{safe + "bound-loosened /user"}},
		"upper bound raised":       {nil, set("port", "maximum", 70000), []string{safe + "bound-loosened /port"}},
		"upper bound lowered":      {nil, set("port", "maximum", 1024), []string{breaking + "bound-tightened /port"}},
		"bound added":              {nil, set("email", "maxLength", 50), []string{breaking + "bound-tightened /email"}},
		"bound of zero added":      {nil, set("email", "minLength", 0), []string{breaking + "bound-tightened /email"}},
		"bound removed":            {nil, set("factor", "exclusiveMaximum", nil), []string{safe + "bound-loosened /factor"}},
		"default added":            {nil, set("email", "default", "a@example.com"), []string{safe + "default-added /email"}},
		"default changed":          {nil, set("port", "default", 8443), []string{breaking + "default-changed /port"}},
		"default removed":          {nil, set("port", "default", nil), []string{breaking + "default-removed /port"}},
		"default of a destination": {nil, set("base_url", "default", "https://example.com"), []string{breaking + "default-added /base_url"}},
		"destination mark added":   {nil, set("help_url", "x-destination", true), []string{breaking + "destination-added /help_url"}},
		"destination mark removed": {nil, set("base_url", "x-destination", nil), []string{breaking + "destination-removed /base_url"}},
		"secret exposed": {nil, func(s, l object) {
			delete(property(s, "passphrase"), "format")
			delete(property(s, "passphrase"), "writeOnly")
			delete(at(l, "elements", 1, "elements", 4).(object), "options")
		}, []string{breaking + "secret-exposed /passphrase"}},
		"became a secret": {nil, func(s, l object) {
			property(s, "email")["format"], property(s, "email")["writeOnly"] = "password", true
			at(l, "elements", 1, "elements", 5).(object)["options"] = object{"format": "password"}
		}, []string{breaking + "secret-added /email"}},
		"became read-only": {nil, set("email", "readOnly", true), []string{breaking + "read-only-changed /email"}},
		"shown in fewer cases": {nil, func(_, l object) { at(l, "elements", 1, "elements", 5).(object)["rule"] = shows("method", "key") },
			[]string{breaking + "visibility-narrowed /email"}},
		"shown always": {nil, func(_, l object) { delete(at(l, "elements", 1, "elements", 4).(object), "rule") },
			[]string{safe + "visibility-widened /passphrase"}},
		"shown in more cases": {nil, func(_, l object) {
			at(l, "elements", 1, "elements", 4, "rule", "condition").(object)["schema"] = object{"enum": []any{"password", "key"}}
		}, []string{safe + "visibility-widened /passphrase"}},
		"shown under another choice": {nil, func(_, l object) { at(l, "elements", 1, "elements", 4).(object)["rule"] = shows("method", "none") },
			[]string{breaking + "visibility-narrowed /passphrase"}},
		"moved": {nil, func(_, l object) {
			elements := at(l, "elements", 1, "elements").([]any)
			elements[5], elements[6] = elements[6], elements[5]
		}, []string{safe + "order-changed "}},
		"tab renamed": {nil, func(_, l object) { at(l, "elements", 0, "elements", 2).(object)["label"] = "Advanced" },
			[]string{safe + "layout-changed /port", safe + "layout-changed /factor", safe + "layout-changed /verbose", safe + "layout-changed /help_url"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, c := range descriptor.Diff(parseEdited(t, tt.before), parseEdited(t, tt.after)) {
				got = append(got, string(c.Compatibility)+" "+c.Rule+" "+c.Pointer)
				if c.Message == "" {
					t.Errorf("%s has no message", c)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A connector must be able to learn another kind of sign-in without breaking
// the connections that it has.
func TestAnotherSignInIsSafe(t *testing.T) {
	t.Parallel()
	before := parseFiles(t, "box")
	schema, layout := readJSON(t, "box.schema.json"), readJSON(t, "box.layout.json")
	kind := property(schema, "connection_type")
	kind["oneOf"] = append(kind["oneOf"].([]any), object{"const": "jwt", "title": "Server authentication"})
	schema["properties"].(object)["private_key"] = object{"type": "string", "title": "Private Key",
		"format": "password", "writeOnly": true, "x-required": true}
	schema["properties"].(object)["key_id"] = object{"type": "string", "title": "Key ID"}
	schema["allOf"] = append(schema["allOf"].([]any), object{
		"if":   object{"properties": object{"connection_type": object{"const": "jwt"}}, "required": []any{"connection_type"}},
		"then": object{"required": []any{"key_id"}},
	})
	tab := at(layout, "elements", 1).(object)
	tab["elements"].([]any)[3].(object)["rule"] = shows("connection_type", "oauth2")
	tab["elements"] = append(tab["elements"].([]any),
		object{"type": "Control", "scope": "#/properties/private_key", "options": object{"format": "password", "multi": true}, "rule": shows("connection_type", "jwt")},
		object{"type": "Control", "scope": "#/properties/key_id", "rule": shows("connection_type", "jwt")})
	after := parseValues(t, schema, layout)
	for _, c := range descriptor.Diff(before, after) {
		if c.Compatibility != descriptor.Safe {
			t.Error(c)
		}
	}
	if len(descriptor.Diff(before, after)) != 4 { // choice, rule of scopes, two fields
		t.Errorf("got %v", descriptor.Diff(before, after))
	}
	back := 0
	for _, c := range descriptor.Diff(after, before) {
		if c.Compatibility == descriptor.Breaking {
			back++
		}
	}
	if back != 3 { // the choice and two fields go
		t.Errorf("on the way back: %v", descriptor.Diff(after, before))
	}
}
