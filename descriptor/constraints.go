package descriptor

import (
	"maps"
	"reflect"
	"slices"
)

// The bounds of a value, by keyword: whether more is stricter.
var bounds = map[string]bool{
	"minLength": true, "minimum": true, "exclusiveMinimum": true,
	"maxLength": false, "maximum": false, "exclusiveMaximum": false,
}

// compared are the keywords that the other comparisons cover.
var compared = []string{
	"$comment", "title", "description", "examples", "type", "default", "readOnly", "writeOnly", "format", "pattern",
	"oneOf", "x-destination", "x-required",
}

// constraints compares what limits the values of a field.
func (c *comparison) constraints(old, f *Field) {
	before, now := c.previous.properties[f.Name], c.next.properties[f.Name]
	switch was, is := before["pattern"], now["pattern"]; {
	case was == is:
	case is == nil:
		c.note(f, "pattern-lifted", Safe, "The pattern was removed.")
	default:
		c.note(f, "pattern-changed", Breaking, "The pattern is new or another one: stored values may not match it.")
	}
	switch {
	case old.Format == f.Format || old.Secret != f.Secret:
	case f.Format == "":
		c.note(f, "format-lifted", Safe, "The format was removed.")
	default:
		c.note(f, "format-changed", Breaking, "The format is new or another one: stored values may not have it.")
	}
	for _, keyword := range slices.Sorted(maps.Keys(bounds)) {
		was, hadIt := before[keyword].(float64)
		is, hasIt := now[keyword].(float64)
		switch {
		case hadIt == hasIt && was == is:
		case !hasIt, hadIt && (is < was) == bounds[keyword]:
			c.note(f, "bound-loosened", Safe, "%s is looser or gone.", keyword)
		default:
			c.note(f, "bound-tightened", Breaking, "%s is new or stricter: stored values may break it.", keyword)
		}
	}
}

// appearance compares what people see and settings don't depend on.
func (c *comparison) appearance(old, f *Field) {
	if old.Title != f.Title || old.Description != f.Description || !reflect.DeepEqual(old.Examples, f.Examples) ||
		retitled(old, f) {
		c.note(f, "text-changed", Safe, "The title, description, examples or titles of choices changed.")
	}
	if old.Tab != f.Tab || old.Group != f.Group || old.Advanced != f.Advanced || old.Multiline != f.Multiline ||
		old.Action != f.Action {
		c.note(f, "layout-changed", Safe, "The field stands elsewhere or is edited in another way.")
	}
}

// retitled reports whether a choice that both have got another title.
func retitled(old, f *Field) bool {
	return slices.ContainsFunc(old.Choices, func(c Choice) bool {
		return hasChoice(f, c.Value) && !slices.Contains(f.Choices, c)
	})
}

// rest catches keywords that nothing above compares, so that one added to the
// subset is never taken for harmless.
func (c *comparison) rest(old, f *Field) {
	strip := func(p map[string]any) map[string]any {
		p = maps.Clone(p)
		maps.DeleteFunc(p, func(keyword string, _ any) bool {
			_, isBound := bounds[keyword]
			return isBound || slices.Contains(compared, keyword)
		})
		return p
	}
	if !reflect.DeepEqual(strip(c.previous.properties[old.Name]), strip(c.next.properties[f.Name])) {
		c.note(f, "other-changed", Breaking, "A keyword changed that this version can't judge.")
	}
}
