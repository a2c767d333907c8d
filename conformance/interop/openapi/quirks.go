package main

import (
	"fmt"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// reading makes schemas say what the file's author means, where the library
// takes the file at a word that the author doesn't. It keeps what it has seen,
// since schemas refer to one another.
type reading struct {
	seen  map[*openapi3.Schema]bool
	notes []string
}

// schema reads a schema and all that it is made of.
func (r *reading) schema(ref *openapi3.SchemaRef, name string) {
	if ref == nil || ref.Value == nil || r.seen[ref.Value] {
		return
	}
	s := ref.Value
	r.seen[s] = true
	if ref.Ref != "" {
		name = ref.Ref
	}
	r.unmeetable(s, name)
	for property, p := range s.Properties {
		r.schema(p, name+"/"+property)
	}
	for _, list := range []openapi3.SchemaRefs{s.AllOf, s.OneOf, s.AnyOf} {
		for _, part := range list {
			r.schema(part, name)
		}
	}
	r.schema(s.Items, name)
	s.Nullable = nullable(s)
}

// unmeetable drops the requirement of a field that an object doesn't have.
// Box's file has a few of those.
func (r *reading) unmeetable(s *openapi3.Schema, name string) {
	if len(s.Properties) == 0 {
		return
	}
	s.Required = slices.DeleteFunc(slices.Clone(s.Required), func(field string) bool {
		missing := s.Properties[field] == nil
		if missing {
			r.notes = append(r.notes, fmt.Sprintf("%s requires %q and doesn't have it", name, field))
		}
		return missing
	})
}

// nullable reports whether a schema allows null in any of the ways that Box's
// file uses: beside the type, beside allOf, or in a part of allOf that has
// nothing else to say. Where there is no type, "nullable": false says nothing
// (OpenAPI 3.0.3, section 4.7.24).
func nullable(s *openapi3.Schema) bool {
	if s.Nullable || len(s.AllOf) == 0 || s.Type != nil {
		return s.Nullable
	}
	for _, part := range s.AllOf {
		if remark(part.Value) && part.Value.Nullable {
			return true
		}
	}
	return !slices.ContainsFunc(s.AllOf, func(part *openapi3.SchemaRef) bool {
		return !remark(part.Value) && !nullable(part.Value)
	})
}

// remark reports whether a schema only describes.
func remark(s *openapi3.Schema) bool {
	return s.Type == nil && len(s.Properties) == 0 && len(s.AllOf)+len(s.OneOf)+len(s.AnyOf) == 0
}
