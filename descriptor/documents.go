package descriptor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/boxconnection/connector/proto/connector"
)

// maxProblems is how many problems of one document are told.
const maxProblems = 64

// DocumentSchema is the JSON Schema, 2020-12, of an operation's documents. It
// isn't bound to the subset of forms. It never changes and is safe for
// concurrent use.
type DocumentSchema struct {
	compiled *jsonschema.Schema
	root     map[string]any
}

// ParseDocumentSchema reads a schema whose root is an object. References out
// of it are refused. The error is for the schema's author.
func ParseDocumentSchema(schema []byte) (*DocumentSchema, error) {
	if len(schema) > MaxDocument {
		return nil, fmt.Errorf("the schema has more than %d bytes", MaxDocument)
	}
	var root map[string]any
	if err := json.Unmarshal(schema, &root); err != nil {
		return nil, fmt.Errorf("the schema isn't a JSON object: %w", err)
	}
	if root["type"] != "object" {
		return nil, errors.New(`the schema's root must have the type "object"`)
	}
	compiled, err := compileAs(newCompiler(), "operation:schema", schema)
	if err != nil {
		return nil, err
	}
	return &DocumentSchema{compiled, root}, nil
}

// Properties returns the names of the root's properties, sorted.
func (s *DocumentSchema) Properties() []string {
	properties, _ := s.root["properties"].(map[string]any)
	return slices.Sorted(maps.Keys(properties))
}

// Read decodes a document, puts the defaults of the root's properties where it
// has no value, and returns it with everything that is wrong with it, in the
// order of the pointers. The code is InputInvalid, and no message holds a
// value.
func (s *DocumentSchema) Read(document []byte) (map[string]any, connector.Diagnostics) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var d map[string]any
	if err := decoder.Decode(&d); err != nil || d == nil {
		return nil, connector.Diagnostics{badDocument("", "The input isn't one JSON object.")}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, connector.Diagnostics{badDocument("", "Something follows the input's JSON object.")}
	}
	properties, _ := s.root["properties"].(map[string]any)
	for name, value := range properties {
		p, _ := value.(map[string]any)
		if preset, ok := p["default"]; ok {
			if _, given := d[name]; !given {
				d[name] = preset
			}
		}
	}
	broken, ok := errors.AsType[*jsonschema.ValidationError](s.compiled.Validate(d))
	if !ok {
		return d, nil
	}
	found := s.explain(broken, d)
	slices.SortStableFunc(found, func(a, b *connector.Diagnostic) int { return strings.Compare(a.Pointer, b.Pointer) })
	return d, found[:min(len(found), maxProblems)]
}

// explain words the leaves of the validator's findings. The branches of a
// choice aren't told: each would be wrong for another reason.
func (s *DocumentSchema) explain(broken *jsonschema.ValidationError, document any) connector.Diagnostics {
	keyword := broken.KeywordLocation[strings.LastIndexByte(broken.KeywordLocation, '/')+1:]
	switch keyword {
	case "anyOf", "oneOf", "not", "contains":
	default:
		if len(broken.Causes) > 0 {
			var found connector.Diagnostics
			for _, cause := range broken.Causes {
				found = append(found, s.explain(cause, document)...)
			}
			return found
		}
	}
	at := broken.InstanceLocation
	_, fragment, _ := strings.Cut(broken.AbsoluteKeywordLocation, "#")
	rule := resolve(s.root, fragment)
	parent, _ := resolve(s.root, strings.TrimSuffix(fragment, "/"+keyword)).(map[string]any)
	instance, _ := resolve(document, at).(map[string]any)
	switch keyword {
	case "required":
		return missing(at, rule, parent, instance)
	case "additionalProperties", "unevaluatedProperties":
		return unknownMembers(at, parent, instance)
	}
	return connector.Diagnostics{badDocument(at, "%s %s.", called(at, parent), ruleText(keyword, rule))}
}

// missing tells each required member that isn't there, at its own pointer.
func missing(at string, rule any, schema, instance map[string]any) connector.Diagnostics {
	var found connector.Diagnostics
	names, _ := rule.([]any)
	properties, _ := schema["properties"].(map[string]any)
	for _, n := range names {
		name, _ := n.(string)
		if _, given := instance[name]; !given {
			p, _ := properties[name].(map[string]any)
			pointer := at + pointerTo(name)
			found = append(found, badDocument(pointer, "%s is missing.", called(pointer, p)))
		}
	}
	return found
}

// unknownMembers tells each member that the schema doesn't have.
func unknownMembers(at string, schema, instance map[string]any) connector.Diagnostics {
	properties, _ := schema["properties"].(map[string]any)
	known := slices.Sorted(maps.Keys(properties))
	var found connector.Diagnostics
	for _, name := range slices.Sorted(maps.Keys(instance)) {
		if _, ok := properties[name]; ok {
			continue
		}
		one := badDocument(at+pointerTo(name), "There is no member %q.", clean(name))
		if near := nearest(name, known); near != "" {
			one = one.Suggest("Did you mean %q?", near)
		}
		found = append(found, one)
	}
	return found
}

func badDocument(pointer, format string, args ...any) *connector.Diagnostic {
	return connector.Errorf(connector.InputInvalid, connector.OriginSettings, format, args...).At(pointer).
		Suggest("Change the input document; the operation's schema says what it takes.")
}

// called names the value at a pointer: by its title, or by its place.
func called(pointer string, schema map[string]any) string {
	if title, _ := schema["title"].(string); title != "" {
		return fmt.Sprintf("%q", clean(title))
	}
	if pointer == "" {
		return "The input"
	}
	return fmt.Sprintf("%q", clean(strings.TrimPrefix(pointer, "/")))
}

// ruleText completes a sentence about a value that broke a keyword's rule. The
// rule comes from the schema, so it may be shown.
func ruleText(keyword string, rule any) string {
	shown, err := json.Marshal(rule)
	if err != nil || len(shown) > MaxValue/64 {
		shown = []byte("as the schema says")
	}
	format, ok := map[string]string{
		"type": "must be of type %s", "enum": "isn't one of %s", "const": "must be %s",
		"minLength": "is too short: it needs at least %s character(s)", "maxLength": "is too long: it may have at most %s character(s)",
		"minimum": "is too small: at least %s", "exclusiveMinimum": "is too small: more than %s",
		"maximum": "is too large: at most %s", "exclusiveMaximum": "is too large: less than %s",
		"minItems": "has too few members: at least %s", "maxItems": "has too many members: at most %s",
		"minProperties": "has too few members: at least %s", "maxProperties": "has too many members: at most %s",
		"pattern": "doesn't match the regular expression %s", "format": "doesn't have the format %s",
		"multipleOf": "isn't a multiple of %s",
	}[keyword]
	switch {
	case ok:
		return fmt.Sprintf(format, shown)
	case keyword == "oneOf" || keyword == "anyOf":
		return "fits none of its choices, or more than one"
	case keyword == "uniqueItems":
		return "has a member twice"
	}
	return fmt.Sprintf("breaks the rule %q of the schema", keyword)
}

// resolve follows a JSON pointer (RFC 6901) and returns nil if it leads
// nowhere.
func resolve(value any, pointer string) any {
	for pointer != "" {
		var token string
		token, pointer, _ = strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
		if pointer != "" {
			pointer = "/" + pointer
		}
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch v := value.(type) {
		case map[string]any:
			value = v[token]
		case []any:
			i := -1
			if _, err := fmt.Sscanf(token, "%d", &i); err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}
