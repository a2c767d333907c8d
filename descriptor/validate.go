package descriptor

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/boxconnection/connector/proto/connector"
)

// MaxValue is the longest value of a setting, in bytes. Keys in PEM, the
// longest that are known, stay below a quarter of it.
const MaxValue = 32 << 10

// keywordSize stands beside the schema's keywords for the limit MaxValue.
const keywordSize = "size"

// maxUnknown is how many unknown names are reported one by one.
const maxUnknown = 20

// Validate checks settings as they are to be stored and used: merged and
// normalized, with their secrets. It reports every problem at once, in the
// order of the form, then unknown names in alphabetical order, each at the
// pointer of the setting itself, missing and unknown ones included. The codes
// are SettingRequired, SettingInvalid and SettingUnknown, the disposition is
// FixSettings. No message holds a value. It returns nil for valid settings.
func (d *Descriptor) Validate(s Settings) connector.Diagnostics {
	if d.complete(s) && d.schema.Validate(map[string]any(s)) == nil {
		return nil
	}
	return d.explain(s)
}

// complete reports whether every needed value is there, and every value is of
// a kind that the validator knows: it panics at some others.
func (d *Descriptor) complete(s Settings) bool {
	for _, value := range s {
		switch v := value.(type) {
		case bool:
		case string:
			if len(v) > MaxValue {
				return false
			}
		case float64:
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return false
			}
		default:
			return false
		}
	}
	for _, i := range d.needed {
		if f := &d.fields[i]; blank(s[f.Name]) && f.RequiredIn(s) {
			return false
		}
	}
	return true
}

// explain finds each problem by itself, since the validator reports missing
// and unknown names at their parent and quotes values.
func (d *Descriptor) explain(s Settings) connector.Diagnostics {
	var found connector.Diagnostics
	for i := range d.fields {
		f := &d.fields[i]
		value, given := s[f.Name]
		switch {
		case blank(value) && f.RequiredIn(s):
			found = append(found, required(f))
		case given:
			found = append(found, d.invalid(f, value)...)
		}
	}
	return append(found, d.unknown(s)...)
}

func required(f *Field) *connector.Diagnostic {
	return suggestExample(connector.Errorf(connector.SettingRequired, connector.OriginSettings,
		"%q is missing.", f.Title).Suggest("Fill it in."), f).At("/" + f.Name).With(connector.FixSettings)
}

// invalid returns the problems of a value that was given.
func (d *Descriptor) invalid(f *Field, value any) connector.Diagnostics {
	plainValue, ok := plain(value)
	if !ok {
		return connector.Diagnostics{problem(f, "type", d.schema.Properties[f.Name], nil)}
	}
	own := d.schema.Properties[f.Name]
	if text, ok := value.(string); ok && len(text) > MaxValue {
		return connector.Diagnostics{problem(f, keywordSize, own, nil)}
	}
	broken, ok := errors.AsType[*jsonschema.ValidationError](own.Validate(plainValue))
	if !ok {
		return nil
	}
	var found connector.Diagnostics
	for _, cause := range broken.Causes {
		keyword, _, _ := strings.Cut(strings.TrimPrefix(cause.KeywordLocation, "/"), "/")
		found = append(found, problem(f, keyword, own, plainValue))
	}
	return found
}

// plain turns the numbers that Go code may have put into settings into
// float64, and reports whether a value is one that a setting can have.
func plain(value any) (any, bool) {
	switch v := value.(type) {
	case string, bool:
		return v, true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case json.Number:
		n, err := v.Float64()
		return n, err == nil
	}
	return nil, false
}

// problem words one broken keyword. The value serves only to find the choice
// that was meant.
func problem(f *Field, keyword string, own *jsonschema.Schema, value any) *connector.Diagnostic {
	say := func(format string, args ...any) *connector.Diagnostic {
		return connector.Errorf(connector.SettingInvalid, connector.OriginSettings,
			"%q %s.", f.Title, fmt.Sprintf(format, args...)).At("/" + f.Name).With(connector.FixSettings)
	}
	switch keyword {
	case "type":
		return say("must be %s", map[Type]string{
			String: "text", Boolean: "true or false", Integer: "a whole number", Number: "a number"}[f.Type])
	case "oneOf":
		return suggestChoice(say("isn't one of its choices"), f, value)
	case keywordSize:
		return say("is too long: it may have at most %d KiB", MaxValue>>10)
	case "pattern":
		return suggestExample(say("doesn't have the right form"), f).
			WithDetail("it must match the regular expression %s", own.Pattern)
	case "minLength":
		return say("is too short: it needs at least %d character(s)", own.MinLength)
	case "maxLength":
		return say("is too long: it may have at most %d character(s)", own.MaxLength)
	case "minimum":
		return say("is too small: at least %s", own.Minimum.RatString())
	case "exclusiveMinimum":
		return say("is too small: more than %s", own.ExclusiveMinimum.RatString())
	case "maximum":
		return say("is too large: at most %s", own.Maximum.RatString())
	case "exclusiveMaximum":
		return say("is too large: less than %s", own.ExclusiveMaximum.RatString())
	case "format":
		if f.Format == formatURI {
			return suggestExample(say("can't be used: %s", urlProblem(value, f.Destination)), f)
		}
		return suggestExample(say("doesn't have the format %q", f.Format), f)
	}
	return say("breaks the rule %q of its schema", keyword)
}

// unknown reports the names that the descriptor doesn't have.
func (d *Descriptor) unknown(s Settings) connector.Diagnostics {
	var found connector.Diagnostics
	more := 0
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if d.field(name) != nil {
			continue
		}
		if len(found) == maxUnknown {
			more++
			continue
		}
		one := connector.Errorf(connector.SettingUnknown, connector.OriginSettings,
			"There is no setting %q.", clean(name)).At(pointerTo(name)).With(connector.FixSettings)
		if near := nearest(name, d.names()); near != "" {
			one = one.Suggest("Did you mean %q?", near)
		}
		found = append(found, one)
	}
	if more > 0 {
		found = append(found, connector.Errorf(connector.SettingUnknown, connector.OriginSettings,
			"%d more names are no settings.", more).With(connector.FixSettings))
	}
	return found
}

func (d *Descriptor) names() []string {
	names := make([]string, len(d.fields))
	for i := range d.fields {
		names[i] = d.fields[i].Name
	}
	return names
}
