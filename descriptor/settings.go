package descriptor

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/boxconnection/connector/proto/connector"
)

// MaxSettings is the largest document of settings that [Decode] reads, in
// bytes.
const MaxSettings = 256 << 10

// maxSettingsDepth is generous: settings are flat, and what is nested is
// reported by Validate with the field's name.
const maxSettingsDepth = 16

// Settings are the values that a person gave, by name: strings, bools and
// float64 numbers. They hold secrets in the clear, so printing them shows
// names only, under every verb of fmt and in log/slog; encoding/json writes
// the values. No function of this package changes settings that it was given.
type Settings map[string]any

// Decode reads settings that a person or a program supplied. It skips a byte
// order mark and fails with a [connector.Diagnostic], SettingsUnreadable or
// LimitExceeded, if the bytes aren't one JSON object in UTF-8, if a name is
// given twice, or if anything follows the object. Messages give the place and
// never a value.
func Decode(data []byte) (Settings, error) {
	if len(data) > MaxSettings {
		return nil, connector.Errorf(connector.LimitExceeded, connector.OriginSettings,
			"The settings are larger than %d KiB.", MaxSettings>>10).With(connector.FixSettings)
	}
	value, f := decodeDocument(data, maxSettingsDepth)
	if f == nil {
		if object, ok := value.(map[string]any); ok {
			return object, nil
		}
		f = &fault{what: "it isn't a JSON object", remedy: `Give an object such as {"name": "value"}.`}
	}
	d := connector.Errorf(connector.SettingsUnreadable, connector.OriginSettings,
		"The document of settings can't be read: %s.", f.what).
		At(f.pointer).With(connector.FixSettings)
	if f.remedy != "" {
		d = d.Suggest("%s", f.remedy)
	}
	return nil, d
}

// Format writes the names of the settings, whatever the verb.
func (s Settings) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// String returns the names of the settings.
func (s Settings) String() string {
	names := slices.Sorted(maps.Keys(s))
	for i, name := range names {
		names[i] = clean(name)
	}
	return "settings[" + strings.Join(names, " ") + "]"
}

// LogValue returns the names of the settings.
func (s Settings) LogValue() slog.Value { return slog.StringValue(s.String()) }

// blank reports whether a value counts as not given.
func blank(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == "" || trim(v) == ""
	}
	return false
}

// trim removes what copying and pasting leaves at the ends: white space of
// any script, byte order marks and other characters that nobody sees.
func trim(s string) string {
	return strings.TrimFunc(s, func(c rune) bool { return unicode.IsSpace(c) || unicode.Is(unicode.Cf, c) })
}
