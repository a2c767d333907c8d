package descriptor_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/proto/connector"
)

var seeds = []string{
	"", "{}", "\uFEFF{}", "[]", "null", `{"a": 1, "a": 2}`, "{}\x00", "\xFF\xFE{\x00}\x00", `{"user": "\ud800"}`,
	`{"method": "key", "base_url": "https://example.com", "user": "someone", "key_id": "0123abcd", "private_key": "k"}`,
	`{"method": "password", "base_url": "http://[::1]:0", "user": "", "password": " ", "port": 1e999, "factor": -0}`,
	`{"method": null, "base_url": {"a": []}, "port": 0.5, "zzz": [[[]]], "Port": "\u202e"}`,
}

// What Decode reads it reads again from what encoding/json writes.
func FuzzDecode(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := descriptor.Decode(data)
		if err != nil {
			if !errors.Is(err, connector.SettingsUnreadable) && !errors.Is(err, connector.LimitExceeded) {
				t.Fatalf("another error: %v", err)
			}
			return
		}
		written, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if len(written) > descriptor.MaxSettings {
			return // escapes made it longer
		}
		again, err := descriptor.Decode(written)
		if err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if diff := cmp.Diff(map[string]any(s), map[string]any(again)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Validate agrees with the bare validator but for the rules that it adds, and
// nothing panics.
func FuzzValidate(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	d, bare := parseFiles(f, "sample"), bareSchema(f, "sample")
	f.Fuzz(func(t *testing.T, data []byte) {
		var s descriptor.Settings
		if json.Unmarshal(data, &s) != nil {
			return
		}
		normal := d.Normalize(s)
		if diff := cmp.Diff(map[string]any(normal), map[string]any(d.Normalize(normal))); diff != "" {
			t.Fatal(diff)
		}
		_, _, _ = d.Redact(s), d.Destinations(s), d.MergeForm(s, s)
		for _, s := range []descriptor.Settings{s, normal} {
			found, rejected := d.Validate(s), bare.Validate(map[string]any(s))
			if len(found) == 0 && rejected != nil {
				t.Fatalf("accepted, against %v", rejected)
			}
			if rejected != nil {
				continue
			}
			for _, one := range found {
				value, _ := s[strings.TrimPrefix(one.Pointer, "/")].(string)
				if one.Code != connector.SettingRequired && !strings.HasSuffix(one.Pointer, "_url") && len(value) <= descriptor.MaxValue {
					t.Fatalf("rejected by no rule of ours: %v", one)
				}
			}
		}
	})
}

// Whatever a connector sends, the linter answers, and what it passes works.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"box", "sample"} {
		f.Add(readFile(f, name+".schema.json"), readFile(f, name+".layout.json"))
	}
	f.Fuzz(func(t *testing.T, schema, layout []byte) {
		d, err := descriptor.Parse(schema, layout)
		if err != nil {
			if !errors.Is(err, connector.PluginContractBroken) {
				t.Fatalf("another error: %v", err)
			}
			return
		}
		defaults := d.Normalize(nil)
		for _, one := range d.Validate(defaults) {
			if one.Code != connector.SettingRequired {
				t.Fatalf("defaults are invalid: %v", one)
			}
		}
		if changes := descriptor.Diff(d, d); len(changes) != 0 {
			t.Fatalf("differs from itself: %v", changes)
		}
	})
}
