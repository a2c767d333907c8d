package descriptor

import "slices"

// Type is the type of a field's value.
type Type string

// The types.
const (
	String  Type = "string"
	Boolean Type = "boolean"
	Integer Type = "integer"
	Number  Type = "number"
)

// Field is one setting, with all that a form or a prompt needs.
type Field struct {
	// Name is the setting's name in the settings: [a-z][a-z0-9_]*.
	Name string `json:"name"`
	// Title and Description are for people; Description may be empty.
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	Type        Type   `json:"type"`
	// Format is the asserted format ("uri", "password", ...) or empty.
	Format string `json:"format,omitempty"`
	// Default is the value if none is given, nil for none.
	Default  any      `json:"default,omitempty"`
	Examples []any    `json:"examples,omitempty"`
	Choices  []Choice `json:"choices,omitempty"`
	// ReadOnly fields show something that the host fills in, such as the
	// callback URL or the state of a token. They are never part of settings.
	ReadOnly bool `json:"read_only,omitempty"`
	// Secret values are masked, sealed, and never returned to a form.
	Secret bool `json:"secret,omitempty"`
	// Destination marks a URL that secrets are sent to.
	Destination bool `json:"destination,omitempty"`
	// Multiline values have several lines, such as a key in PEM.
	Multiline bool `json:"multiline,omitempty"`
	// Advanced fields are folded away until asked for.
	Advanced bool `json:"advanced,omitempty"`
	// Tab and Group are where the field stands; Group may be empty.
	Tab   string `json:"tab"`
	Group string `json:"group,omitempty"`
	// Action is the name of a button beside the field ("generate", "copy") or
	// empty. What a host doesn't know it ignores.
	Action string `json:"action,omitempty"`
	// Required fields always need a value. The host checks secrets on the
	// merged settings, since a form doesn't have the stored ones.
	Required bool `json:"required,omitempty"`
	// RequiredWhen lists conditions, each of which makes a value needed.
	RequiredWhen []Condition `json:"required_when,omitempty"`
	// ShowWhen is when the field is shown, nil for always. A field that isn't
	// shown has no value.
	ShowWhen *Condition `json:"show_when,omitempty"`
}

// Choice is one of the values that a field may have.
type Choice struct {
	Value string `json:"const"`
	Title string `json:"title"`
}

// Condition holds while the setting Selector has one of Values.
type Condition struct {
	Selector string   `json:"selector"`
	Values   []string `json:"values"`
}

// Holds reports whether the condition holds for settings in which defaults
// are merged.
func (c Condition) Holds(s Settings) bool {
	value, ok := s[c.Selector].(string)
	return ok && slices.Contains(c.Values, value)
}

// VisibleIn reports whether the field is shown for settings in which defaults
// are merged.
func (f *Field) VisibleIn(s Settings) bool { return f.ShowWhen == nil || f.ShowWhen.Holds(s) }

// RequiredIn reports whether settings in which defaults are merged need a
// value for the field.
func (f *Field) RequiredIn(s Settings) bool {
	if f.Required {
		return true
	}
	for i := range f.RequiredWhen {
		if f.RequiredWhen[i].Holds(s) {
			return true
		}
	}
	return false
}

// clone returns a copy that shares nothing that can be changed.
func (f *Field) clone() Field {
	c := *f
	c.Examples = slices.Clone(f.Examples)
	c.Choices = slices.Clone(f.Choices)
	c.RequiredWhen = slices.Clone(f.RequiredWhen)
	for i := range c.RequiredWhen {
		c.RequiredWhen[i].Values = slices.Clone(c.RequiredWhen[i].Values)
	}
	if f.ShowWhen != nil {
		c.ShowWhen = &Condition{f.ShowWhen.Selector, slices.Clone(f.ShowWhen.Values)}
	}
	return c
}
