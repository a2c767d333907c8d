package descriptor

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// ruleTexts says what each rule of the meta-schemas wants.
var ruleTexts = map[string]string{
	"standard":             "This isn't valid JSON Schema 2020-12.",
	"dialect":              `"$schema" must be "https://json-schema.org/draft/2020-12/schema".`,
	"root-object":          `The root must have "type": "object", "additionalProperties": false and 1 to 200 properties.`,
	"root-keyword":         "The root may have only $schema, $comment, title, description, type, additionalProperties, properties, required and allOf.",
	"property-name":        "A property's name must match [a-z][a-z0-9_]* and have at most 64 characters.",
	"property-keyword":     "A property has no references, nested objects, arrays, branches or unknown keywords.",
	"property-type":        "A property must have one type: string, boolean, integer or number.",
	"property-title":       "A property must have a title of at most 120 characters.",
	"pattern":              "A pattern must be a regular expression of RE2 (no lookaround, no back-references) of at most 1000 characters.",
	"format-known":         "A format must be one of uri, password, email, hostname, ipv4, ipv6, date, date-time and uuid.",
	"choice":               `A choice must be a string with oneOf of {"const": "...", "title": "..."} only.`,
	"conditional":          "allOf may hold only an if of one const on one selector, which it also requires, and a then of required with empty stubs.",
	"secret":               "A secret must be a string with both writeOnly and format password, without default, examples or oneOf.",
	"destination":          "A destination must be a string of format uri.",
	"read-only":            "A read-only property can't have a default or choices, nor be a secret or a destination.",
	"required-mark":        "x-required is for secrets; other properties stand in required.",
	"layout-root":          "The layout's root must be a Categorization with at least one Category.",
	"layout-category":      "A Categorization may hold only a Category with at least one element.",
	"layout-element":       "A Category may hold only a Group with at least one Control, or a Control.",
	"layout-leaf":          "A Group may hold only a Control.",
	"layout-label":         "A Category or Group must have a label of at most 120 characters.",
	"layout-keyword":       "An element of this type doesn't have this keyword.",
	"layout-scope":         `A Control's scope must be "#/properties/NAME".`,
	"layout-options":       `A Control's options may be only "format": "password", "multi", "advanced" and "action".`,
	"layout-group-options": `A Group's options may be only "advanced".`,
	"layout-rule":          `A rule must have effect SHOW and a condition of one scope, a schema of one const or enum of strings, and "failWhenUndefined": true.`,
}

// ruleOf finds the rule in the place of the keyword that failed: the last
// definition on its path.
func ruleOf(keywordLocation string) string {
	place, path, _ := strings.Cut(keywordLocation, "#")
	if strings.HasPrefix(place, "https://json-schema.org/") {
		if strings.HasSuffix(path, "/pattern/format") {
			return "pattern"
		}
		return "standard"
	}
	if i := strings.LastIndex(path, "/$defs/"); i >= 0 {
		name, _, _ := strings.Cut(path[i+len("/$defs/"):], "/")
		if _, known := ruleTexts[name]; known {
			return name
		}
	}
	return "standard"
}

// wording completes a rule's text with what was found.
func wording(rule string, document any, e *jsonschema.ValidationError) string {
	text := ruleTexts[rule]
	tokens := tokensOf(e.InstanceLocation)
	if len(tokens) == 0 {
		return text
	}
	last := tokens[len(tokens)-1]
	if strings.HasSuffix(e.KeywordLocation, "/propertyNames/enum") {
		text = fmt.Sprintf("%q isn't allowed here. %s", clean(last), text)
	}
	// A reference is named by where it leads, so that its author finds it.
	if target, ok := lookup(document, tokens).(string); ok && strings.HasSuffix(last, "ef") && strings.HasPrefix(last, "$") {
		text = fmt.Sprintf("%s It refers to %q.", text, clean(target))
	}
	return text
}

// tokensOf splits a location of the validator, which is a JSON pointer with
// URL escapes.
func tokensOf(location string) []string {
	if location == "" {
		return nil
	}
	tokens := strings.Split(strings.TrimPrefix(location, "/"), "/")
	for i, token := range tokens {
		if plain, err := url.PathUnescape(token); err == nil {
			token = plain
		}
		tokens[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
	}
	return tokens
}

// plainPointer turns a location of the validator into a JSON pointer.
func plainPointer(location string) string {
	var b strings.Builder
	for _, token := range tokensOf(location) {
		b.WriteString(pointerTo(token))
	}
	return b.String()
}

// lookup returns the value of a path of members, or nil.
func lookup(value any, tokens []string) any {
	for _, token := range tokens {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[token]
	}
	return value
}
