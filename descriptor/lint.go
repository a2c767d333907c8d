package descriptor

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/boxconnection/connector/proto/connector"
)

// Finding is one place where a descriptor breaks a rule of the subset.
type Finding struct {
	// Rule is the rule's stable id, such as "secret" or "layout-missing".
	Rule     string             `json:"rule"`
	Severity connector.Severity `json:"severity"`
	// Document is "schema" or "layout", Pointer the JSON pointer into it.
	Document string `json:"document"`
	Pointer  string `json:"pointer"`
	// Message says what is wrong and what the rule wants.
	Message string `json:"message"`
}

// String returns the finding in one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s#%s: %s (rule %s)", f.Document, f.Pointer, f.Message, f.Rule)
}

// Lint holds a connector's schema and layout against the subset and returns
// what it finds in a fixed order: by document, pointer and rule. Rules that
// need both documents to be sound are checked only when the meta-schemas
// accept both.
func Lint(schema, layout []byte) []Finding {
	_, findings := inspect(schema, layout)
	return findings
}

// The names of the documents in findings.
const (
	schemaDoc = "schema"
	layoutDoc = "layout"
)

// documents are a descriptor's two documents, read and decoded.
type documents struct {
	schemaValue any
	schema      schemaDocument
	layout      element
	controls    []control
}

// inspect reads and lints. The documents are complete only if no finding is
// an error.
func inspect(schema, layout []byte) (*documents, []Finding) {
	var found findings
	doc := &documents{}
	metas, err := metaSchemas()
	if err != nil {
		found.add("internal", schemaDoc, "", "The meta-schemas of this build can't be compiled: %v.", err)
		return doc, found
	}
	schemaValue, ok := found.read(schemaDoc, schema)
	if ok {
		found.structure(schemaDoc, metas.schema, schemaValue)
	}
	layoutValue, ok := found.read(layoutDoc, layout)
	if ok {
		found.structure(layoutDoc, metas.layout, layoutValue)
	}
	if len(found) == 0 {
		doc.schemaValue = schemaValue
		if err := into(schemaValue, &doc.schema); err != nil {
			found.add("internal", schemaDoc, "", "The schema can't be read: its members have types that the meta-schema should refuse.")
		}
		if err := into(layoutValue, &doc.layout); err != nil {
			found.add("internal", layoutDoc, "", "The layout can't be read: its members have types that the meta-schema should refuse.")
		}
	}
	if len(found) == 0 {
		doc.controls = doc.layout.controls()
		found.semantics(doc)
	}
	found.sort()
	return doc, found
}

// refusal turns findings into Parse's error.
func refusal(findings []Finding) error {
	var first *Finding
	count := 0
	for i := range findings {
		if findings[i].Severity == connector.SeverityError {
			if count++; first == nil {
				first = &findings[i]
			}
		}
	}
	if first == nil {
		return nil
	}
	d := connector.Errorf(connector.PluginContractBroken, connector.OriginConnector,
		"The connector's description of its settings breaks rule %q at %s#%s: %s",
		first.Rule, first.Document, first.Pointer, first.Message).
		Suggest("The connector's author must correct it.")
	if count > 1 {
		d = d.WithDetail("%d more finding(s)", count-1)
	}
	return d
}

//go:embed metaschema.json
var metaSchemaJSON []byte

//go:embed layout-metaschema.json
var layoutMetaSchemaJSON []byte

type metas struct{ schema, layout *jsonschema.Schema }

// metaSchemas compiles the meta-schemas at their first use.
var metaSchemas = sync.OnceValues(func() (m metas, err error) {
	if m.schema, err = compileAs(newCompiler(), "descriptor:metaschema", metaSchemaJSON); err != nil {
		return m, err
	}
	m.layout, err = compileAs(newCompiler(), "descriptor:layout-metaschema", layoutMetaSchemaJSON)
	return m, err
})

// findings collects what the rules find.
type findings []Finding

func (fs *findings) add(rule, document, pointer, format string, args ...any) {
	*fs = append(*fs, Finding{rule, connector.SeverityError, document, pointer, fmt.Sprintf(format, args...)})
}

func (fs *findings) warn(rule, document, pointer, format string, args ...any) {
	*fs = append(*fs, Finding{rule, connector.SeverityWarning, document, pointer, fmt.Sprintf(format, args...)})
}

// broken reports whether a finding is an error.
func (fs *findings) broken() bool {
	return slices.ContainsFunc(*fs, func(f Finding) bool { return f.Severity == connector.SeverityError })
}

// sort orders findings and keeps one for each rule and place, since several
// keywords of a rule may meet at one place.
func (fs *findings) sort() {
	slices.SortStableFunc(*fs, func(a, b Finding) int {
		if a.Document != b.Document {
			return strings.Compare(b.Document, a.Document) // schema first
		}
		if a.Pointer != b.Pointer {
			return strings.Compare(a.Pointer, b.Pointer)
		}
		if a.Rule != b.Rule {
			return strings.Compare(a.Rule, b.Rule)
		}
		return strings.Compare(a.Message, b.Message)
	})
	*fs = slices.CompactFunc(*fs, func(a, b Finding) bool {
		return a.Document == b.Document && a.Pointer == b.Pointer && a.Rule == b.Rule
	})
}

// read decodes a document (rule "document").
func (fs *findings) read(document string, data []byte) (any, bool) {
	if len(data) > MaxDocument {
		fs.add("document", document, "", "It is larger than %d KiB.", MaxDocument>>10)
		return nil, false
	}
	value, f := decodeDocument(data, maxDocumentDepth)
	if f != nil {
		fs.add("document", document, f.pointer, "The document can't be read: %s.", f.what)
		return nil, false
	}
	return value, true
}

// structure holds a document against its meta-schema.
func (fs *findings) structure(document string, meta *jsonschema.Schema, value any) {
	err := meta.Validate(value)
	if err == nil {
		return
	}
	broken, ok := err.(*jsonschema.ValidationError)
	if !ok {
		fs.add("internal", document, "", "It can't be held against the meta-schema.")
		return
	}
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			walk(cause)
		}
		if len(e.Causes) == 0 {
			rule := ruleOf(e.AbsoluteKeywordLocation)
			fs.add(rule, document, plainPointer(e.InstanceLocation), "%s", wording(rule, value, e))
		}
	}
	walk(broken)
}
