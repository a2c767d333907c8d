package descriptor

import (
	"fmt"
	"slices"
)

// Compatibility says whether settings that were stored under one descriptor
// are still good, and mean the same, under the next.
type Compatibility string

// The kinds of compatibility.
const (
	Breaking Compatibility = "breaking"
	Safe     Compatibility = "safe"
)

// Change is one difference between two descriptors.
type Change struct {
	// Rule is the stable id of the kind of change, such as "field-removed".
	Rule          string        `json:"rule"`
	Compatibility Compatibility `json:"compatibility"`
	// Pointer is the JSON pointer to the setting, or "" for all of them.
	Pointer string `json:"pointer,omitempty"`
	Message string `json:"message"`
}

// String returns the change in one line.
func (c Change) String() string {
	return fmt.Sprintf("%s %s %s: %s", c.Compatibility, c.Rule, c.Pointer, c.Message)
}

// Diff compares two versions of a connector's descriptor. It is cautious: a
// change that it can't judge is breaking. Changes come in the order of the
// previous form, then of the fields that are new.
func Diff(previous, next *Descriptor) []Change {
	c := comparison{previous: previous, next: next}
	var before, after []string // the names that both have
	for i := range previous.fields {
		old := &previous.fields[i]
		f := next.field(old.Name)
		if f == nil {
			c.note(old, "field-removed", Breaking, "The field was removed: stored settings have an unknown name.")
			continue
		}
		before = append(before, old.Name)
		c.field(old, f)
	}
	for i := range next.fields {
		f := &next.fields[i]
		if previous.field(f.Name) == nil {
			c.added(f)
			continue
		}
		after = append(after, f.Name)
	}
	if !slices.Equal(before, after) {
		c.changes = append(c.changes, Change{"order-changed", Safe, "", "The fields stand in another order."})
	}
	if previous.title != next.title || previous.description != next.description {
		c.changes = append(c.changes, Change{"text-changed", Safe, "", "The descriptor's title or description changed."})
	}
	return c.changes
}

type comparison struct {
	previous, next *Descriptor
	changes        []Change
}

func (c *comparison) note(f *Field, rule string, compatibility Compatibility, format string, args ...any) {
	c.changes = append(c.changes, Change{rule, compatibility, "/" + f.Name, fmt.Sprintf(format, args...)})
}

// added judges a new field.
func (c *comparison) added(f *Field) {
	reached := f.ShowWhen == nil || c.possible(*f.ShowWhen)
	switch {
	case f.Destination && reached && !f.ReadOnly:
		c.note(f, "field-added", Breaking, "A new destination: stored secrets would be sent there.")
	case f.Default == nil && c.neededBefore(f):
		c.note(f, "field-added", Breaking, "A new field that needs a value: stored settings have none.")
	default:
		c.note(f, "field-added", Safe, "A new field that stored settings don't need.")
	}
}

// field compares a field that both have.
func (c *comparison) field(old, f *Field) {
	if old.Type != f.Type {
		c.note(f, "type-changed", Breaking, "The type changed from %s to %s.", old.Type, f.Type)
	}
	c.marks(old, f)
	c.choices(old, f)
	c.constraints(old, f)
	c.defaults(old, f)
	c.requirement(old, f)
	c.visibility(old, f)
	c.appearance(old, f)
	c.rest(old, f)
}

func (c *comparison) marks(old, f *Field) {
	switch {
	case old.Secret && !f.Secret:
		c.note(f, "secret-exposed", Breaking, "The secret became a visible field: stored secrets would be shown.")
	case !old.Secret && f.Secret:
		c.note(f, "secret-added", Breaking, "The field became a secret: stored values are in the clear.")
	}
	switch {
	case old.Destination && !f.Destination:
		c.note(f, "destination-removed", Breaking, "The destination mark was removed: changes are no longer guarded.")
	case !old.Destination && f.Destination:
		c.note(f, "destination-added", Breaking, "The field became a destination: its value must be a safe URL, and is guarded.")
	}
	if old.ReadOnly != f.ReadOnly {
		c.note(f, "read-only-changed", Breaking, "The field became or is no longer read-only.")
	}
}

func (c *comparison) choices(old, f *Field) {
	switch {
	case len(old.Choices) == 0 && len(f.Choices) > 0:
		c.note(f, "choices-added", Breaking, "Free values gave way to choices.")
		return
	case len(old.Choices) > 0 && len(f.Choices) == 0:
		c.note(f, "choices-lifted", Safe, "The choices gave way to free values.")
		return
	}
	for _, choice := range old.Choices {
		if !hasChoice(f, choice.Value) {
			c.note(f, "choice-removed", Breaking, "Choice %q was removed.", clean(choice.Value))
		}
	}
	for _, choice := range f.Choices {
		if !hasChoice(old, choice.Value) {
			c.note(f, "choice-added", Safe, "Choice %q was added.", clean(choice.Value))
		}
	}
}

func (c *comparison) defaults(old, f *Field) {
	switch {
	case old.Default == f.Default:
	case f.Default == nil:
		c.note(f, "default-removed", Breaking, "The default was removed: settings that rely on it have no value.")
	case old.Default != nil:
		c.note(f, "default-changed", Breaking, "The default changed: settings that rely on it mean something else.")
	case f.Destination:
		c.note(f, "default-added", Breaking, "A destination got a default: stored secrets would be sent there.")
	default:
		c.note(f, "default-added", Safe, "A default was added.")
	}
}

func (c *comparison) requirement(old, f *Field) {
	switch {
	case c.requiredMore(old, f) && f.Default == nil:
		c.note(f, "required-added", Breaking, "The field needs a value where it needed none.")
	case c.requiredMore(old, f):
		c.note(f, "required-added", Safe, "The field needs a value where it needed none, and has a default.")
	case c.requiredMore(f, old):
		c.note(f, "required-lifted", Safe, "The field needs a value in fewer cases.")
	}
}

func (c *comparison) visibility(old, f *Field) {
	switch before, now := old.ShowWhen, f.ShowWhen; {
	case now == nil && before == nil:
	case now == nil:
		c.note(f, "visibility-widened", Safe, "The field is always shown now.")
	case before == nil:
		if c.always(*now) {
			c.note(f, "visibility-narrowed", Safe, "The field has a rule now, which holds for every choice so far.")
			return
		}
		c.note(f, "visibility-narrowed", Breaking, "The field is hidden at times: its stored values are dropped.")
	case before.Selector != now.Selector || !subset(before.Values, now.Values):
		c.note(f, "visibility-narrowed", Breaking, "The field is hidden in more cases: its stored values are dropped.")
	case len(before.Values) != len(now.Values):
		c.note(f, "visibility-widened", Safe, "The field is shown in more cases.")
	}
}

// possible reports whether settings under the previous descriptor may fulfil
// a condition.
func (c *comparison) possible(condition Condition) bool {
	selector := c.previous.field(condition.Selector)
	if selector == nil || len(selector.Choices) == 0 {
		return true
	}
	return slices.ContainsFunc(condition.Values, func(v string) bool { return hasChoice(selector, v) })
}

// always reports whether all complete settings under the previous descriptor
// fulfil a condition.
func (c *comparison) always(condition Condition) bool {
	selector := c.previous.field(condition.Selector)
	if selector == nil || len(selector.Choices) == 0 || (!selector.Required && selector.Default == nil) {
		return false
	}
	return !slices.ContainsFunc(selector.Choices, func(choice Choice) bool {
		return !slices.Contains(condition.Values, choice.Value)
	})
}

// neededBefore reports whether settings under the previous descriptor may be
// such that a new field needs a value.
func (c *comparison) neededBefore(f *Field) bool {
	return f.Required || slices.ContainsFunc(f.RequiredWhen, c.possible)
}

// requiredMore reports whether b needs a value in a case, possible so far, in
// which a needs none.
func (c *comparison) requiredMore(a, b *Field) bool {
	if a.Required {
		return false
	}
	if b.Required {
		return !slices.ContainsFunc(a.RequiredWhen, c.always)
	}
	for _, condition := range b.RequiredWhen {
		for _, value := range condition.Values {
			one := Condition{condition.Selector, []string{value}}
			if c.possible(one) && !a.RequiredIn(Settings{one.Selector: value}) {
				return true
			}
		}
	}
	return false
}

func hasChoice(f *Field, value string) bool {
	return slices.ContainsFunc(f.Choices, func(c Choice) bool { return c.Value == value })
}

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(v string) bool { return !slices.Contains(b, v) })
}
