package descriptor

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/boxconnection/connector/proto/connector"
)

// The limits of a descriptor's documents: bytes of each, and levels.
const (
	MaxDocument      = 256 << 10
	maxDocumentDepth = 16
)

// Descriptor is a parsed schema with its layout. It never changes and is safe
// for concurrent use.
type Descriptor struct {
	title, description string
	fields             []Field
	index              map[string]int
	needed             []int // fields that may be required
	schema             *jsonschema.Schema
	properties         map[string]map[string]any // as written, for Diff
}

// Parse reads a connector's schema and layout. Every finding of [Lint] of
// severity error refuses them: the error is a [connector.Diagnostic],
// PluginContractBroken, that names the rule and the place of the first and
// counts the others.
func Parse(schema, layout []byte) (*Descriptor, error) {
	documents, findings := inspect(schema, layout)
	if err := refusal(findings); err != nil {
		return nil, err
	}
	compiled, err := compile(documents.schemaValue)
	if err != nil {
		// Unreachable as long as the rules cover all that can't be compiled.
		return nil, connector.Errorf(connector.PluginContractBroken, connector.OriginConnector,
			"The schema of the connector's settings can't be compiled.").Because(err)
	}
	d := &Descriptor{
		title: documents.schema.Title, description: documents.schema.Description,
		fields: documents.fields(), index: map[string]int{}, schema: compiled,
		properties: map[string]map[string]any{},
	}
	for i := range d.fields {
		f := &d.fields[i]
		d.index[f.Name] = i
		d.properties[f.Name] = documents.property(f.Name)
		if f.Required || len(f.RequiredWhen) > 0 {
			d.needed = append(d.needed, i)
		}
	}
	return d, nil
}

// Title returns the schema's title, or "".
func (d *Descriptor) Title() string { return d.title }

// Description returns the schema's description, or "".
func (d *Descriptor) Description() string { return d.description }

// Fields returns the fields in the order of the layout.
func (d *Descriptor) Fields() []Field {
	fields := make([]Field, len(d.fields))
	for i := range d.fields {
		fields[i] = d.fields[i].clone()
	}
	return fields
}

// Field returns the field of a name and whether there is one.
func (d *Descriptor) Field(name string) (Field, bool) {
	if f := d.field(name); f != nil {
		return f.clone(), true
	}
	return Field{}, false
}

func (d *Descriptor) field(name string) *Field {
	if i, ok := d.index[name]; ok {
		return &d.fields[i]
	}
	return nil
}

// fields derives the fields from documents without findings.
func (doc *documents) fields() []Field {
	var fields []Field
	for _, c := range doc.controls {
		p := doc.schema.Properties[c.name()]
		f := Field{
			Name: c.name(), Title: p.Title, Description: p.Description, Type: p.Type, Format: p.Format,
			Default: p.Default, Examples: p.Examples, Choices: p.OneOf,
			ReadOnly: p.ReadOnly, Secret: p.WriteOnly, Destination: p.Destination,
			Multiline: c.Options.Multi, Advanced: c.advanced, Tab: c.tab, Group: c.group,
			Action: c.Options.Action, ShowWhen: c.condition(),
			Required: slices.Contains(doc.schema.Required, c.name()) || (p.Required && c.Rule == nil),
		}
		if p.Required && c.Rule != nil {
			f.RequiredWhen = append(f.RequiredWhen, *f.ShowWhen)
		}
		for i := range doc.schema.AllOf {
			branch := &doc.schema.AllOf[i]
			if slices.Contains(branch.Then.Required, f.Name) {
				selector, value := branch.selects()
				f.RequiredWhen = append(f.RequiredWhen, Condition{selector, []string{value}})
			}
		}
		fields = append(fields, f.clone())
	}
	return fields
}

// property returns a property as it was written.
func (doc *documents) property(name string) map[string]any {
	root, _ := doc.schemaValue.(map[string]any)
	properties, _ := root["properties"].(map[string]any)
	p, _ := properties[name].(map[string]any)
	return p
}

// errNoLoading refuses every reference out of a document.
var errNoLoading = errors.New("references are not loaded")

// compile compiles a decoded schema of the subset. URLs are checked by this
// package's rules, which are stricter than the format's.
func compile(document any) (*jsonschema.Schema, error) {
	data, err := json.Marshal(withURLFormats(document))
	if err != nil {
		return nil, err
	}
	c := newCompiler()
	c.Formats[formatURI] = func(v any) bool { return urlProblem(v, false) == "" }
	c.Formats[formatDestination] = func(v any) bool { return urlProblem(v, true) == "" }
	return compileAs(c, "settings:schema", data)
}

// newCompiler returns a compiler for 2020-12 that reads no file and no
// network, and asserts formats.
func newCompiler() *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft2020
	c.AssertFormat = true
	c.LoadURL = func(string) (io.ReadCloser, error) { return nil, errNoLoading }
	return c
}

func compileAs(c *jsonschema.Compiler, url string, data []byte) (*jsonschema.Schema, error) {
	if err := c.AddResource(url, bytes.NewReader(data)); err != nil {
		return nil, err
	}
	return c.Compile(url)
}

// withURLFormats returns a copy of the schema in which destinations have the
// format of their own.
func withURLFormats(document any) any {
	root, _ := document.(map[string]any)
	properties, _ := root["properties"].(map[string]any)
	replaced := make(map[string]any, len(properties))
	for name, value := range properties {
		replaced[name] = value
		if p, _ := value.(map[string]any); p["x-destination"] == true {
			p = maps.Clone(p)
			p["format"] = formatDestination
			replaced[name] = p
		}
	}
	root = maps.Clone(root)
	root["properties"] = replaced
	return root
}
