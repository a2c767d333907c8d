package descriptor_test

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/proto/connector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// parseFiles parses a fixture, "box" or "sample".
func parseFiles(t testing.TB, name string) *descriptor.Descriptor {
	t.Helper()
	d, err := descriptor.Parse(readFile(t, name+".schema.json"), readFile(t, name+".layout.json"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// object is a JSON object that tests change before it is parsed.
type object = map[string]any

// edited returns the sample's documents after a change.
func edited(t testing.TB, change func(schema, layout object)) (schema, layout []byte) {
	t.Helper()
	var s, l object
	for name, target := range map[string]*object{"sample.schema.json": &s, "sample.layout.json": &l} {
		if err := json.Unmarshal(readFile(t, name), target); err != nil {
			t.Fatal(err)
		}
	}
	change(s, l)
	schema, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	layout, err = json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	return schema, layout
}

// at walks members and elements: at(layout, "elements", 0, "label").
func at(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			value = value.(object)[step]
		case int:
			value = value.([]any)[step]
		}
	}
	return value
}

func property(schema object, name string) object { return at(schema, "properties", name).(object) }

func TestFixturesAreClean(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"box", "sample"} {
		for _, f := range descriptor.Lint(readFile(t, name+".schema.json"), readFile(t, name+".layout.json")) {
			t.Errorf("%s: %s", name, f)
		}
	}
}

// The order of a form is the layout's, whatever the order of the schema's
// members in memory.
func TestFieldsComeInTheOrderOfTheLayout(t *testing.T) {
	t.Parallel()
	want := []string{"connection_type", "authorize_url", "token_url", "revoke_url", "api_url", "upload_url",
		"callback_url", "client_id", "client_secret", "scopes", "access_token"}
	for range 100 {
		var got []string
		for _, f := range parseFiles(t, "box").Fields() {
			got = append(got, f.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestFieldTellsAllThatAFormNeeds(t *testing.T) {
	t.Parallel()
	d := parseFiles(t, "sample")
	key := descriptor.Condition{Selector: "method", Values: []string{"key"}}
	want := map[string]descriptor.Field{
		"method": {Name: "method", Title: "Method", Type: descriptor.String, Tab: "Connection", Required: true,
			Choices: []descriptor.Choice{{Value: "password", Title: "Password"}, {Value: "key", Title: "Private key"}, {Value: "none", Title: "None"}}},
		"base_url": {Name: "base_url", Title: "Base URL", Type: descriptor.String, Format: "uri", Tab: "Connection",
			Destination: true, Required: true},
		"port": {Name: "port", Title: "Port", Type: descriptor.Integer, Default: 443.0, Tab: "Connection", Group: "More", Advanced: true},
		"private_key": {Name: "private_key", Title: "Private Key", Type: descriptor.String, Format: "password", Tab: "Sign-in",
			Secret: true, Multiline: true, ShowWhen: &key, RequiredWhen: []descriptor.Condition{key}},
		"key_id": {Name: "key_id", Title: "Key ID", Type: descriptor.String, Tab: "Sign-in", Examples: []any{"0123abcd"},
			ShowWhen: &key, RequiredWhen: []descriptor.Condition{key}},
		"state": {Name: "state", Title: "State", Type: descriptor.String, Tab: "Sign-in", ReadOnly: true, Action: "generate"},
	}
	for name, want := range want {
		got, ok := d.Field(name)
		if !ok {
			t.Errorf("no field %s", name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	if _, ok := d.Field("nothing"); ok {
		t.Error("a field that isn't there was found")
	}
}

func TestFieldsCanBeChangedByTheirReader(t *testing.T) {
	t.Parallel()
	d := parseFiles(t, "sample")
	fields := d.Fields()
	for i := range fields {
		fields[i].Name = "x"
		for j := range fields[i].Choices {
			fields[i].Choices[j].Value = "x"
		}
		if c := fields[i].ShowWhen; c != nil {
			c.Values[0] = "x"
		}
		for j := range fields[i].RequiredWhen {
			fields[i].RequiredWhen[j].Values[0] = "x"
		}
	}
	if diff := cmp.Diff(parseFiles(t, "sample").Fields(), d.Fields()); diff != "" {
		t.Error(diff)
	}
}

func TestParseRefusesWithTheRuleAndThePlace(t *testing.T) {
	t.Parallel()
	// Lookahead is legal in ECMA-262 and unknown to RE2.
	schema, layout := edited(t, func(schema, _ object) {
		property(schema, "user")["pattern"] = "^(?!test)"
		property(schema, "email")["format"] = "e-mail"
	})
	_, err := descriptor.Parse(schema, layout)
	d, ok := errors.AsType[*connector.Diagnostic](err)
	if !ok || d.Code != connector.PluginContractBroken || d.Origin != connector.OriginConnector {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{`"format-known"`, "schema#/properties/email/format"} {
		if !strings.Contains(d.Summary, want) {
			t.Errorf("%q lacks %q", d.Summary, want)
		}
	}
	if d.Detail == "" {
		t.Error("the second finding isn't counted")
	}
}

// A schema must not make the host read a file or open a connection, whatever
// keyword the address stands in.
func TestReferencesAreRefusedAndNeverFollowed(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			t.Errorf("a connection was opened from %s", c.RemoteAddr())
			_ = c.Close()
		}
	}()
	defer func() { _ = listener.Close(); <-accepted }()

	targets := []string{"http://" + listener.Addr().String() + "/x", "file:///etc/hostname", "../../secret.json", "#", "#/properties/user",
		"https://json-schema.org/draft/2020-12/schema"}
	places := map[string]func(schema object, target string){
		"$ref of a property":        func(s object, to string) { property(s, "user")["$ref"] = to },
		"$dynamicRef of a property": func(s object, to string) { property(s, "user")["$dynamicRef"] = to },
		"$recursiveRef":             func(s object, to string) { property(s, "user")["$recursiveRef"] = to },
		"$id of a property":         func(s object, to string) { property(s, "user")["$id"] = to },
		"$ref of the root":          func(s object, to string) { s["$ref"] = to },
		"$id of the root":           func(s object, to string) { s["$id"] = to },
		"$defs":                     func(s object, to string) { s["$defs"] = object{"x": object{"$ref": to}} },
		"$ref of a choice":          func(s object, to string) { property(s, "method")["oneOf"] = []any{object{"$ref": to}} },
		"$ref of a branch":          func(s object, to string) { s["allOf"] = []any{object{"$ref": to}} },
		"$ref of an if":             func(s object, to string) { at(s, "allOf", 0).(object)["if"] = object{"$ref": to} },
		"$ref of a stub": func(s object, to string) {
			at(s, "allOf", 0, "then", "properties").(object)["user"] = object{"$ref": to}
		},
		"$schema": func(s object, to string) {
			if strings.HasPrefix(to, "https://json-schema.org/") {
				to = "https://json-schema.org/draft/2019-09/schema"
			}
			s["$schema"] = to
		},
		"$vocabulary": func(s object, to string) { s["$vocabulary"] = object{to: true} },
	}
	for place, set := range places {
		for _, target := range targets {
			schema, layout := edited(t, func(s, _ object) { set(s, target) })
			if _, err := descriptor.Parse(schema, layout); !errors.Is(err, connector.PluginContractBroken) {
				t.Errorf("%s to %s: %v", place, target, err)
			}
		}
	}
}

func TestReferenceIsNamed(t *testing.T) {
	t.Parallel()
	schema, layout := edited(t, func(s, _ object) { property(s, "user")["$ref"] = "file:///etc/hostname" })
	found := descriptor.Lint(schema, layout)
	if len(found) != 1 || found[0].Pointer != "/properties/user/$ref" || !strings.Contains(found[0].Message, "file:///etc/hostname") {
		t.Errorf("got %v", found)
	}
}

func TestDescriptorIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	d := parseFiles(t, "box")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				s := d.Normalize(descriptor.Settings{"client_id": "a", "client_secret": "b"})
				if found := d.Validate(s); found != nil {
					t.Error(found)
				}
				_ = d.Validate(descriptor.Settings{"client_idd": "a"})
				_, _, _ = d.Fields(), d.Destinations(s), d.Redact(s)
			}
		})
	}
	all.Wait()
}

func TestTitle(t *testing.T) {
	t.Parallel()
	if d := parseFiles(t, "box"); d.Title() != "Box" || d.Description() == "" {
		t.Errorf("got %q, %q", d.Title(), d.Description())
	}
}
