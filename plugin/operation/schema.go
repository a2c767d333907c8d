package operation

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/proto/handshake"
)

// dialect is the schemas' own.
const dialect = "https://json-schema.org/draft/2020-12/schema"

// maxDepth bounds how deep types are looked into.
const maxDepth = 16

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
)

// schemaOf returns the schema of a document, derived from the type of zero
// where none is given, and compiled.
func schemaOf(given json.RawMessage, zero any) (json.RawMessage, *descriptor.DocumentSchema, error) {
	t := reflect.TypeOf(zero).Elem()
	if t.Kind() != reflect.Struct {
		return nil, nil, fmt.Errorf("its type %v isn't a struct", t)
	}
	derived, err := derive(t, 0)
	if err != nil {
		return nil, nil, err
	}
	schema := given
	if schema == nil {
		derived["$schema"] = dialect
		if schema, err = json.Marshal(derived); err != nil {
			return nil, nil, err
		}
	}
	if len(schema) > handshake.MaxSchemaBytes {
		return nil, nil, fmt.Errorf("its schema has more than %d bytes", handshake.MaxSchemaBytes)
	}
	compiled, err := descriptor.ParseDocumentSchema(schema)
	if err != nil {
		return nil, nil, err
	}
	properties, _ := derived["properties"].(map[string]any)
	for _, name := range compiled.Properties() {
		if _, ok := properties[name]; !ok {
			return nil, nil, fmt.Errorf("the schema has a member %q and the type %v hasn't", name, t)
		}
	}
	if len(properties) != len(compiled.Properties()) {
		return nil, nil, fmt.Errorf("the type %v has members that the schema hasn't", t)
	}
	return schema, compiled, nil
}

// derive makes the schema of a type.
func derive(t reflect.Type, depth int) (map[string]any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("the type %v is too deep, or holds itself", t)
	}
	switch {
	case t == timeType:
		return map[string]any{"type": "string", "format": "date-time"}, nil
	case t == rawType || t.Kind() == reflect.Interface:
		return map[string]any{}, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return derive(t.Elem(), depth+1)
	case reflect.String:
		return map[string]any{"type": "string"}, nil
	case reflect.Bool:
		return map[string]any{"type": "boolean"}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return map[string]any{"type": "integer"}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}, nil
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}, nil
	case reflect.Slice, reflect.Array:
		items, err := derive(t.Elem(), depth+1)
		return map[string]any{"type": "array", "items": items}, err
	case reflect.Map:
		values, err := derive(t.Elem(), depth+1)
		return map[string]any{"type": "object", "additionalProperties": values}, err
	case reflect.Struct:
		return deriveStruct(t, depth)
	default:
		return nil, fmt.Errorf("no schema can be derived from the type %v", t)
	}
}

func deriveStruct(t reflect.Type, depth int) (map[string]any, error) {
	properties, required := map[string]any{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || f.Anonymous && name == "" || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		p, err := derive(f.Type, depth+1)
		if err != nil {
			return nil, err
		}
		if err := annotate(p, f.Tag); err != nil {
			return nil, fmt.Errorf("field %s of %v: %w", f.Name, t, err)
		}
		properties[name] = p
		_, preset := p["default"]
		optional := preset || f.Type.Kind() == reflect.Pointer ||
			slices.ContainsFunc(strings.Split(options, ","), func(o string) bool { return o == "omitempty" || o == "omitzero" })
		if !optional {
			required = append(required, name)
		}
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s, nil
}

// annotate puts what a field's tags say into its schema.
func annotate(p map[string]any, tag reflect.StructTag) error {
	// What is said of a list's members stands in the list's tags.
	target := p
	if items, ok := p["items"].(map[string]any); ok {
		target = items
	}
	for _, name := range []string{"title", "description"} {
		if v, ok := tag.Lookup(name); ok {
			p[name] = v
		}
	}
	for _, name := range []string{"format", "pattern"} {
		if v, ok := tag.Lookup(name); ok {
			target[name] = v
		}
	}
	for _, name := range []string{"minLength", "maxLength", "minimum", "maximum"} {
		if v, ok := tag.Lookup(name); ok {
			n, err := strconv.ParseFloat(v, 64)
			if err != nil {
				return fmt.Errorf("the tag %s isn't a number", name)
			}
			target[name] = n
		}
	}
	if v, ok := tag.Lookup("enum"); ok {
		target["enum"] = strings.Split(v, ",")
	}
	if v, ok := tag.Lookup("default"); ok {
		if p["type"] == "string" {
			p["default"] = v
			return nil
		}
		var value any
		if err := json.Unmarshal([]byte(v), &value); err != nil {
			return fmt.Errorf("the tag default isn't JSON")
		}
		p["default"] = value
	}
	return nil
}
