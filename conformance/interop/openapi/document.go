package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// errDocument says that the OpenAPI file is of no use.
var errDocument = errors.New("the OpenAPI file can't be used")

// parameter is a parameter in a path. Its name doesn't matter.
var parameter = regexp.MustCompile(`\{[^}]*\}`)

// document is an OpenAPI file, its operations by method and path on the
// server, such as "GET /2.0/users/me". Servers may be given for each
// operation, as in Box's file, which no router of the library follows.
type document struct {
	operations map[string]*openapi3.Operation
	notes      []string // where the file contradicts itself
}

// load reads a file. It fails with errDocument.
func load(ctx context.Context, file string) (*document, error) {
	loader := openapi3.NewLoader()
	loader.Context = ctx
	doc, err := loader.LoadFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDocument, err)
	}
	// Examples are for people. Formats beyond the standard's are allowed.
	if err := doc.Validate(ctx, openapi3.DisableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("%w: %w", errDocument, err)
	}
	d := &document{operations: map[string]*openapi3.Operation{}}
	read := &reading{seen: map[*openapi3.Schema]bool{}}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for _, response := range op.Responses.Map() {
				for _, media := range response.Value.Content {
					read.schema(media.Schema, method+" "+path)
				}
			}
			servers := doc.Servers
			if len(item.Servers) > 0 {
				servers = item.Servers
			}
			if op.Servers != nil && len(*op.Servers) > 0 {
				servers = *op.Servers
			}
			for _, server := range servers {
				base, err := server.BasePath()
				if err != nil {
					return nil, fmt.Errorf("%w: server of %s %s: %w", errDocument, method, path, err)
				}
				d.operations[plain(method+" "+strings.TrimSuffix(base, "/")+path)] = op
			}
		}
	}
	if len(d.operations) == 0 {
		return nil, fmt.Errorf("%w: it has no operations", errDocument)
	}
	d.notes = slices.Sorted(slices.Values(read.notes))
	return d, nil
}

// plain is an endpoint without the names of its parameters.
func plain(endpoint string) string { return parameter.ReplaceAllString(endpoint, "{}") }

// operation finds an endpoint's operation, or nil.
func (d *document) operation(endpoint string) *openapi3.Operation {
	return d.operations[plain(endpoint)]
}

// schema is the schema of an operation's JSON answer with exactly this status,
// or nil.
func (d *document) schema(endpoint string, status int) *openapi3.Schema {
	op := d.operation(endpoint)
	if op == nil {
		return nil
	}
	response := op.Responses.Status(status)
	if response == nil || response.Value == nil {
		return nil
	}
	media := response.Value.Content.Get("application/json")
	if media == nil || media.Schema == nil {
		return nil
	}
	return media.Schema.Value
}

// fields are the names of all fields that a success answer's schema has,
// sorted, or with a name, those of the objects in that list.
func (d *document) fields(endpoint, list string) []string {
	schema := d.schema(endpoint, http.StatusOK)
	if schema == nil {
		return nil
	}
	known := properties(schema)
	if list != "" {
		inner := map[string][]*openapi3.Schema{}
		for _, s := range known[list] {
			for _, element := range elements(s) {
				maps.Copy(inner, properties(element))
			}
		}
		known = inner
	}
	return slices.Sorted(maps.Keys(known))
}

// success says where an answer differs from what the file gives for exactly
// its status.
func (d *document) success(endpoint string, r *reply) []string {
	op := d.operation(endpoint)
	if op == nil {
		return []string{"the file doesn't have this endpoint"}
	}
	response := op.Responses.Status(r.status)
	if response == nil {
		return []string{fmt.Sprintf("the file doesn't have the status %d", r.status)}
	}
	return differences(response.Value, r)
}

// failure says where an error answer differs from what the file gives for its
// status, or else for all errors.
func (d *document) failure(endpoint string, r *reply) []string {
	op := d.operation(endpoint)
	if op == nil {
		return []string{"the file doesn't have this endpoint"}
	}
	response := op.Responses.Status(r.status)
	if response == nil {
		response = op.Responses.Default()
	}
	if response == nil {
		return []string{fmt.Sprintf("the file doesn't have the status %d", r.status)}
	}
	return differences(response.Value, r)
}

// differences compares an answer's type and body.
func differences(response *openapi3.Response, r *reply) []string {
	if len(response.Content) == 0 {
		if len(r.body) > 0 {
			return []string{fmt.Sprintf("the body should be empty and has %d bytes", len(r.body))}
		}
		return nil
	}
	kind, _, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	if err != nil {
		return []string{"there is no body, the file has " + strings.Join(slices.Sorted(maps.Keys(response.Content)), ", ")}
	}
	media := response.Content[kind]
	if media == nil {
		return []string{fmt.Sprintf("the body is %s, the file has %s", kind, strings.Join(slices.Sorted(maps.Keys(response.Content)), ", "))}
	}
	if kind != "application/json" || media.Schema == nil {
		return nil
	}
	var value any
	if err := json.Unmarshal(r.body, &value); err != nil {
		return []string{"the body isn't JSON"}
	}
	found := reasons(media.Schema.Value.VisitJSON(value, openapi3.VisitAsResponse(), openapi3.MultiErrors(), openapi3.EnableFormatValidation()))
	found = append(found, undeclared(media.Schema.Value, value, "")...)
	slices.Sort(found)
	return slices.Compact(found)
}

// reasons puts a validation's error into words. Values don't appear in them:
// an answer may hold a token.
func reasons(err error) []string {
	if err == nil {
		return nil
	}
	if list, ok := errors.AsType[openapi3.MultiError](err); ok {
		var out []string
		for _, e := range list {
			out = append(out, reasons(e)...)
		}
		return out
	}
	if e, ok := errors.AsType[*openapi3.SchemaError](err); ok {
		reason, _, _ := strings.Cut(e.Reason, " [") // lists of allowed values are long
		return []string{"/" + strings.Join(e.JSONPointer(), "/") + ": " + reason}
	}
	return []string{"it doesn't fit the schema"}
}

// undeclared finds fields that the schema doesn't have. Box's file allows them
// silently, so that a misspelt field would pass.
func undeclared(schema *openapi3.Schema, value any, at string) []string {
	var found []string
	switch v := value.(type) {
	case map[string]any:
		known := properties(schema)
		if len(known) == 0 {
			return nil // a free-form object
		}
		for name, inner := range v {
			declared := known[name]
			if len(declared) == 0 {
				found = append(found, at+"/"+name+": the file doesn't have this field")
				continue
			}
			found = append(found, fewest(declared, inner, at+"/"+name)...)
		}
	case []any:
		items := elements(schema)
		for i, inner := range v {
			if len(items) > 0 {
				found = append(found, fewest(items, inner, at+"/"+strconv.Itoa(i))...)
			}
		}
	}
	return found
}

// fewest is what the schema that fits best leaves undeclared.
func fewest(schemas []*openapi3.Schema, value any, at string) []string {
	var best []string
	for i, s := range schemas {
		if found := undeclared(s, value, at); i == 0 || len(found) < len(best) {
			best = found
		}
	}
	return best
}

// properties are the declared fields of an object, those of its parts and
// variants included.
func properties(schema *openapi3.Schema) map[string][]*openapi3.Schema {
	out := map[string][]*openapi3.Schema{}
	for _, s := range parts(schema) {
		for name, p := range s.Properties {
			out[name] = append(out[name], p.Value)
		}
	}
	return out
}

func elements(schema *openapi3.Schema) []*openapi3.Schema {
	var out []*openapi3.Schema
	for _, s := range parts(schema) {
		if s.Items != nil {
			out = append(out, s.Items.Value)
		}
	}
	return out
}

// parts are a schema and what it is composed of.
func parts(schema *openapi3.Schema) []*openapi3.Schema {
	out := []*openapi3.Schema{schema}
	for _, list := range []openapi3.SchemaRefs{schema.AllOf, schema.OneOf, schema.AnyOf} {
		for _, ref := range list {
			out = append(out, parts(ref.Value)...)
		}
	}
	return out
}

// isSuccess reports whether a status is one of success.
func isSuccess(status int) bool { return status >= http.StatusOK && status < http.StatusBadRequest }
