package descriptor

import (
	"maps"
	"regexp/syntax"
	"slices"
	"strconv"
)

// semantics checks the rules that a meta-schema can't express. Both documents
// have the right structure.
func (fs *findings) semantics(doc *documents) {
	fs.properties(doc)
	fs.layoutNames(doc)
	if fs.broken() {
		return // what follows relies on names that exist and patterns that compile
	}
	shown := map[string]*Condition{}
	for i := range doc.controls {
		shown[doc.controls[i].name()] = doc.controls[i].condition()
	}
	fs.required(doc, shown)
	fs.conditionals(doc, shown)
	fs.controlRules(doc, shown)
	if !fs.broken() {
		fs.values(doc)
	}
}

// maxProgram bounds the time of a match, which RE2 makes proportional to the
// length of the value times the size of the program: with values of at most
// [MaxValue] a hostile pattern costs a host about a second, an honest one
// microseconds.
const maxProgram = 1500

// programSize returns the number of instructions of a pattern's program.
func programSize(pattern string) (int, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, err
	}
	return len(program.Inst), nil
}

// properties checks each property by itself.
func (fs *findings) properties(doc *documents) {
	titles := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(doc.schema.Properties)) {
		p, at := doc.schema.Properties[name], "/properties/"+name
		if size, err := programSize(p.Pattern); err != nil {
			fs.add("pattern", schemaDoc, at+"/pattern", "%s", ruleTexts["pattern"])
		} else if size > maxProgram {
			fs.add("pattern-size", schemaDoc, at+"/pattern",
				"The pattern takes %d steps for each character, more than %d: its repetitions are too many or nested.", size, maxProgram)
		}
		seen := map[string]bool{}
		for i, choice := range p.OneOf {
			if seen[choice.Value] {
				fs.add("choice-duplicate", schemaDoc, at+"/oneOf/"+strconv.Itoa(i), "Two choices have the same const.")
			}
			seen[choice.Value] = true
		}
		if other, twice := titles[p.Title]; twice {
			fs.warn("title-duplicate", schemaDoc, at+"/title", "It has the same title as %q.", other)
		}
		titles[p.Title] = name
	}
}

// layoutNames checks that controls and properties belong together.
func (fs *findings) layoutNames(doc *documents) {
	controls := map[string]int{}
	for i := range doc.controls {
		c := &doc.controls[i]
		p, ok := doc.schema.Properties[c.name()]
		if !ok {
			fs.add("layout-unknown", layoutDoc, c.pointer+"/scope", "The schema has no property %q.", clean(c.name()))
			continue
		}
		if controls[c.name()]++; controls[c.name()] == 2 {
			fs.add("layout-duplicate", layoutDoc, c.pointer, "Property %q has a control already.", c.name())
		}
		if masked := c.Options.Format == "password"; masked != p.WriteOnly {
			fs.add("layout-secret", layoutDoc, c.pointer,
				"The control of a secret, and of nothing else, must have options.format \"password\".")
		}
		if c.Options.Multi && (p.Type != String || len(p.OneOf) > 0) {
			fs.add("layout-multi", layoutDoc, c.pointer+"/options/multi", "Only free text can have several lines.")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(doc.schema.Properties)) {
		if controls[name] == 0 {
			fs.add("layout-missing", schemaDoc, "/properties/"+name, "The layout has no control for it.")
		}
	}
}

// required checks the names in required.
func (fs *findings) required(doc *documents, shown map[string]*Condition) {
	for i, name := range doc.schema.Required {
		at := "/required/" + strconv.Itoa(i)
		if fs.requirable(doc, name, at) && shown[name] != nil {
			fs.add("required-hidden", schemaDoc, at,
				"%q is hidden at times and would then be missing: require it in allOf, under the value that shows it.", name)
		}
	}
}

// requirable reports whether a name may stand in a required list.
func (fs *findings) requirable(doc *documents, name, at string) bool {
	p, ok := doc.schema.Properties[name]
	switch {
	case !ok:
		fs.add("required-unknown", schemaDoc, at, "There is no property %q.", clean(name))
	case p.WriteOnly:
		fs.add("required-secret", schemaDoc, at,
			"%q is a secret: stored secrets don't come back to a form, so mark it with x-required instead.", name)
	case p.ReadOnly:
		fs.add("required-read-only", schemaDoc, at, "%q is read-only and never given.", name)
	default:
		return true
	}
	return false
}

// conditionals checks the branches of allOf.
func (fs *findings) conditionals(doc *documents, shown map[string]*Condition) {
	for i := range doc.schema.AllOf {
		branch, at := &doc.schema.AllOf[i], "/allOf/"+strconv.Itoa(i)
		selector, value := branch.selects()
		if branch.If.Required[0] != selector {
			fs.add("conditional", schemaDoc, at+"/if/required/0", "It must be the selector, %q.", clean(selector))
		}
		fs.selector(doc, shown, selector, []string{value}, schemaDoc, at+"/if/properties/"+clean(selector))
		for _, name := range slices.Sorted(maps.Keys(branch.Then.Properties)) {
			if _, ok := doc.schema.Properties[name]; !ok {
				fs.add("stub-unknown", schemaDoc, at+"/then/properties"+pointerTo(name), "There is no property %q.", clean(name))
			}
		}
		for j, name := range branch.Then.Required {
			at := at + "/then/required/" + strconv.Itoa(j)
			if !fs.requirable(doc, name, at) {
				continue
			}
			if c := shown[name]; c != nil && (c.Selector != selector || !slices.Contains(c.Values, value)) {
				fs.add("required-hidden", schemaDoc, at, "The layout doesn't show %q under this value, so it would be missing.", name)
			}
		}
	}
}

// controlRules checks the rules of the layout.
func (fs *findings) controlRules(doc *documents, shown map[string]*Condition) {
	for i := range doc.controls {
		if c := doc.controls[i].condition(); c != nil {
			fs.selector(doc, shown, c.Selector, c.Values, layoutDoc, doc.controls[i].pointer+"/rule/condition")
		}
	}
}

// selector checks that conditions hang on a choice that is always shown.
func (fs *findings) selector(doc *documents, shown map[string]*Condition, name string, values []string, document, at string) {
	p, ok := doc.schema.Properties[name]
	if !ok || len(p.OneOf) == 0 {
		fs.add("selector-choice", document, at, "The selector %q isn't a property with choices.", clean(name))
		return
	}
	if shown[name] != nil {
		fs.add("selector-hidden", document, at, "The selector %q has a rule itself: conditions don't nest.", name)
	}
	for _, value := range values {
		if !slices.ContainsFunc(p.OneOf, func(c Choice) bool { return c.Value == value }) {
			fs.add("selector-value", document, at, "%q isn't a choice of %q.", clean(value), name)
		}
	}
}

// values checks defaults and examples against their own property.
func (fs *findings) values(doc *documents) {
	schema, err := compile(doc.schemaValue)
	if err != nil {
		fs.add("compile", schemaDoc, "", "The schema can't be compiled.")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(doc.schema.Properties)) {
		p, at := doc.schema.Properties[name], "/properties/"+name
		own := schema.Properties[name]
		if p.Default != nil && (own.Validate(p.Default) != nil || untrimmed(p.Default)) {
			fs.add("default-invalid", schemaDoc, at+"/default", "The default breaks its own property's rules, or has blanks at its ends.")
		}
		for i, example := range p.Examples {
			if own.Validate(example) != nil {
				fs.warn("example-invalid", schemaDoc, at+"/examples/"+strconv.Itoa(i), "The example breaks its own property's rules.")
			}
		}
	}
}

// untrimmed reports whether Normalize would change a value.
func untrimmed(value any) bool {
	text, ok := value.(string)
	return ok && (text == "" || trim(text) != text)
}
