package descriptor_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/proto/connector"
)

// canary stands for a secret that must never appear in a message.
const canary = "c4n4ry-5ecret"

// Windows editors and shells write byte order marks, UTF-16 and CRLF; a file
// that was cut off ends in NULs.
func TestDecode(t *testing.T) {
	t.Parallel()
	const text = "{\r\n  \"user\": \"" + canary + "\",\r\n  \"port\": 8443\r\n}\r\n"
	want := descriptor.Settings{"user": canary, "port": 8443.0}
	for name, data := range map[string]string{
		"plain": text, "byte order mark": "\uFEFF" + text, "blanks around": " \t\n" + text + "\n ",
	} {
		got, err := descriptor.Decode([]byte(data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(map[string]any(want), map[string]any(got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	const member = `"user": "` + canary + `"`
	for name, tt := range map[string]struct {
		data, says, pointer string
		code                connector.Code
	}{
		"empty":                   {data: "", says: "empty"},
		"blanks only":             {data: " \r\n", says: "empty"},
		"NULs only":               {data: "\x00\x00", says: "empty"},
		"UTF-16LE with a mark":    {data: inUTF16("\uFEFF{"+member+"}", false), says: "UTF-16"},
		"UTF-16BE with a mark":    {data: inUTF16("\uFEFF{"+member+"}", true), says: "UTF-16"},
		"UTF-16LE without a mark": {data: inUTF16("{"+member+"}", false), says: "UTF-16"},
		"UTF-16BE without a mark": {data: inUTF16("{"+member+"}", true), says: "UTF-16"},
		"another encoding":        {data: "{\"user\": \"" + canary + "\xE9\"}", says: "UTF-8"},
		"NULs at the end":         {data: "{" + member + "}\n\x00\x00", says: "NUL"},
		"NUL inside":              {data: "{" + member + ",\x00}", says: "line 1, column 26"},
		"not JSON":                {data: "{\n  " + member + "\n  'x'}", says: "line 3, column 3"},
		"text":                    {data: canary, says: "line 1, column 1"},
		"cut off":                 {data: "{" + member, says: "valid JSON"},
		"two objects":             {data: "{" + member + "} {}", says: "line 1, column 27"},
		"two names":               {data: "{" + member + ", " + member + "}", says: "twice", pointer: "/user"},
		"two names, escaped":      {data: "{" + member + `, "us\u0065r": 1}`, says: "twice", pointer: "/user"},
		"an array":                {data: "[{" + member + "}]", says: "object"},
		"a string":                {data: `"` + canary + `"`, says: "object"},
		"null":                    {data: "null", says: "object"},
		"too deep":                {data: `{"a": ` + strings.Repeat("[", 20) + `"` + canary + `"` + strings.Repeat("]", 20) + "}", says: "nested", pointer: "/a" + strings.Repeat("/0", 16)},
		"a huge number":           {data: `{"port": 1e400}`, says: "exactly", pointer: "/port"},
		"an inexact number":       {data: `{"port": 12345678901234567890}`, says: "exactly", pointer: "/port"},
		"too large":               {data: `{"user": "` + strings.Repeat(canary, 30000) + `"}`, says: "256 KiB", code: connector.LimitExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := descriptor.Decode([]byte(tt.data))
			d, ok := errors.AsType[*connector.Diagnostic](err)
			if !ok || s != nil {
				t.Fatalf("got %v, %v", s, err)
			}
			code := connector.SettingsUnreadable
			if tt.code != "" {
				code = tt.code
			}
			if d.Code != code || d.Disposition != connector.FixSettings || d.Origin != connector.OriginSettings || d.Pointer != tt.pointer {
				t.Errorf("got %+v", d)
			}
			if !strings.Contains(d.Summary, tt.says) {
				t.Errorf("%q doesn't say %q", d.Summary, tt.says)
			}
			if strings.Contains(fmt.Sprintf("%+v %v", d, err), canary) {
				t.Errorf("it shows the value: %v", err)
			}
		})
	}
}

func inUTF16(text string, bigEndian bool) string {
	var b bytes.Buffer
	for _, unit := range utf16.Encode([]rune(text)) {
		pair := []byte{byte(unit), byte(unit >> 8)}
		if bigEndian {
			pair[0], pair[1] = pair[1], pair[0]
		}
		b.Write(pair)
	}
	return b.String()
}

func TestSettingsPrintNamesOnly(t *testing.T) {
	t.Parallel()
	s := descriptor.Settings{"user": canary, "pass\nword": canary}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "settings", s)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "settings", s)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&log, verb, s)
		fmt.Fprintf(&log, verb, struct{ S descriptor.Settings }{s})
	}
	if strings.Contains(log.String(), canary) || strings.Contains(log.String(), fmt.Sprintf("%x", canary)) {
		t.Errorf("a value was printed: %s", log.String())
	}
	if !strings.Contains(log.String(), "settings[pass�word user]") {
		t.Errorf("the names weren't printed: %s", log.String())
	}
	data, err := json.Marshal(s)
	if err != nil || !bytes.Contains(data, []byte(canary)) {
		t.Errorf("JSON lacks the value: %s, %v", data, err)
	}
}

// What copying and pasting leaves at the ends goes, in secrets and URLs too,
// and what stands inside stays.
func TestNormalizeTrims(t *testing.T) {
	t.Parallel()
	d := parseFiles(t, "sample")
	base := descriptor.Settings{"method": "key"}
	for given, want := range map[string]any{
		"abc123 ":                     "abc123",
		"\tabc":                       "abc",
		"abc\r\n":                     "abc",
		"\u00A0abc\u00A0":             "abc",
		"\u200Babc\u200B\u200B":       "abc",
		"\uFEFFabc\uFEFF":             "abc",
		"\u202A abc \u202C\u2028":     "abc",
		" \u00A0\uFEFF\u200B\r\n":     nil,
		"":                            nil,
		"sixsix":                      "sixsix",
		" inner blank\u00A0stays\t":   "inner blank\u00A0stays",
		"-----BEGIN\r\nx\n-----END\n": "-----BEGIN\r\nx\n-----END",
	} {
		for _, name := range []string{"user", "private_key", "passphrase", "base_url", "email"} {
			s := descriptor.Settings{name: given}
			for k, v := range base {
				s[k] = v
			}
			got := d.Normalize(s)
			if v, ok := got[name]; v != want || ok != (want != nil) {
				t.Errorf("%s %q became %q, want %q", name, given, v, want)
			}
			if s[name] != given {
				t.Errorf("the settings given were changed")
			}
			if diff := cmp.Diff(map[string]any(got), map[string]any(d.Normalize(got))); diff != "" {
				t.Errorf("normalizing twice: %s", diff)
			}
		}
	}
}

func TestNormalizeMergesDefaultsAndDropsWhatIsHidden(t *testing.T) {
	t.Parallel()
	d := parseFiles(t, "sample")
	got := d.Normalize(descriptor.Settings{
		"method": " password ", "user": "someone", "password": "p", "key_id": "01234567", "private_key": "k",
		"verbose": true, "email": nil, "state": "signed in", "unknown ": " kept ", "port": " ",
	})
	want := map[string]any{"method": "password", "user": "someone", "password": "p", "verbose": true, "port": 443.0, "unknown ": " kept "}
	if diff := cmp.Diff(want, map[string]any(got)); diff != "" {
		t.Error(diff)
	}
	got = d.Normalize(descriptor.Settings{"user": "someone", "password": "p"})
	want = map[string]any{"port": 443.0, "verbose": false}
	if diff := cmp.Diff(want, map[string]any(got)); diff != "" {
		t.Errorf("without a method: %s", diff)
	}
}

func TestWithDefaultsKeepsWhatIsGiven(t *testing.T) {
	t.Parallel()
	d := parseFiles(t, "sample")
	got := d.WithDefaults(descriptor.Settings{"port": 1.0, "user": " x "})
	want := map[string]any{"port": 1.0, "user": " x ", "verbose": false}
	if diff := cmp.Diff(want, map[string]any(got)); diff != "" {
		t.Error(diff)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	d := parseFiles(t, "sample")
	s := descriptor.Settings{"method": "key", "password": canary, "private_key": canary, "passphrase": " ", "passwrod": canary,
		"state": canary, "port": 1.0}
	got := d.Redact(s)
	if diff := cmp.Diff(map[string]any{"method": "key", "port": 1.0}, map[string]any(got)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"password", "private_key"}, d.SecretsSet(s)); diff != "" {
		t.Error(diff)
	}
}

func TestMergeEditAndMergeForm(t *testing.T) {
	t.Parallel()
	d := parseFiles(t, "sample")
	stored := descriptor.Settings{"method": "key", "user": "someone", "private_key": "stored", "passphrase": "stored"}
	for name, tt := range map[string]struct{ edit, edited, form descriptor.Settings }{
		"nothing":        {descriptor.Settings{}, stored, descriptor.Settings{"private_key": "stored", "passphrase": "stored"}},
		"untouched form": {d.Redact(stored), stored, stored},
		"a secret replaced, one cleared": {
			descriptor.Settings{"private_key": "new", "passphrase": nil},
			descriptor.Settings{"method": "key", "user": "someone", "private_key": "new"},
			descriptor.Settings{"private_key": "new"}},
		"a blank secret keeps": {
			descriptor.Settings{"private_key": "", "passphrase": " "}, stored,
			descriptor.Settings{"private_key": "stored", "passphrase": "stored"}},
		"a field set, one cleared": {
			descriptor.Settings{"method": "password", "user": nil},
			descriptor.Settings{"method": "password", "private_key": "stored", "passphrase": "stored"},
			descriptor.Settings{"method": "password", "private_key": "stored", "passphrase": "stored"}},
		"what is only shown isn't taken": {
			descriptor.Settings{"state": "x"}, stored, descriptor.Settings{"private_key": "stored", "passphrase": "stored"}},
		"unknown names are left to Validate": {
			descriptor.Settings{"nmae": "x"},
			descriptor.Settings{"method": "key", "user": "someone", "private_key": "stored", "passphrase": "stored", "nmae": "x"},
			descriptor.Settings{"private_key": "stored", "passphrase": "stored", "nmae": "x"}},
	} {
		if diff := cmp.Diff(map[string]any(tt.edited), map[string]any(d.MergeEdit(stored, tt.edit))); diff != "" {
			t.Errorf("%s, edit: %s", name, diff)
		}
		if diff := cmp.Diff(map[string]any(tt.form), map[string]any(d.MergeForm(stored, tt.edit))); diff != "" {
			t.Errorf("%s, form: %s", name, diff)
		}
	}
	if len(stored) != 4 || stored["private_key"] != "stored" {
		t.Error("the stored settings were changed")
	}
	if got := d.MergeEdit(nil, descriptor.Settings{"user": "x"}); got["user"] != "x" {
		t.Errorf("a first edit gave %v", got)
	}
}
