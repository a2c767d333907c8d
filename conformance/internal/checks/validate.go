package checks

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

const (
	required   = connectorv1.Code_CODE_SETTING_REQUIRED
	invalid    = connectorv1.Code_CODE_SETTING_INVALID
	unknown    = connectorv1.Code_CODE_SETTING_UNKNOWN
	unreadable = connectorv1.Code_CODE_SETTINGS_UNREADABLE
)

// unknownName is a setting that no connector has.
const unknownName = "zz_no_such_setting"

// validateChecks judge what is said about settings.
func validateChecks() []*check.Check {
	const need = check.Description
	const filled = check.Description | check.Settings
	return []*check.Check{
		{
			ID: "validate.offline", Level: check.Must, Clauses: []string{"S-5"}, Needs: filled | check.Peer,
			Title: "ValidateSettings makes no traffic.",
			Run: func(t *check.T) {
				w := t.Watch()
				validate(t, t.Start(w.Environment()), t.Good())
				w.NoTraffic("ValidateSettings")
			},
		},
		{
			ID: "validate.good", Level: check.Must, Clauses: []string{"S-6"}, Needs: filled,
			Title: "Settings that work have no error.",
			Run: func(t *check.T) {
				for _, d := range validate(t, t.Start(), t.Good()) {
					if d.GetSeverity() == connectorv1.Severity_SEVERITY_ERROR {
						t.Errorf("%s at %q", d.GetCode(), short(d.GetPointer()))
					}
				}
			},
		},
		{
			ID: "validate.all", Level: check.Must, Clauses: []string{"S-6"}, Needs: need,
			Title: "All problems that the schema knows are reported in one answer, in the form's order, then unknown names.",
			Run:   allProblems,
		},
		{
			ID: "validate.pointers", Level: check.Must, Clauses: []string{"S-7"}, Needs: need,
			Title: "Each problem of a setting carries its JSON pointer.",
			Run: func(t *check.T) {
				eachProblem(t, func(d *connectorv1.Diagnostic, names []string) {
					if !slices.Contains(names, strings.TrimPrefix(d.GetPointer(), "/")) {
						t.Errorf("%s has the pointer %q", d.GetCode(), short(d.GetPointer()))
					}
				})
			},
		},
		{
			ID: "validate.codes", Level: check.Must, Clauses: []string{"S-10"}, Needs: need,
			Title: "What is missing, unknown or otherwise wrong has the code for it.",
			Run:   problemCodes,
		},
		{
			ID: "validate.blame", Level: check.Must, Clauses: []string{"S-15"}, Needs: need,
			Title: "Problems of settings are to be fixed in the settings.",
			Run: func(t *check.T) {
				eachProblem(t, func(d *connectorv1.Diagnostic, _ []string) {
					if d.GetDisposition() != connectorv1.Disposition_DISPOSITION_FIX_SETTINGS || d.GetOrigin() != connectorv1.Origin_ORIGIN_SETTINGS {
						t.Errorf("%s at %q has %s and %s", d.GetCode(), short(d.GetPointer()), d.GetDisposition(), d.GetOrigin())
					}
				})
			},
		},
		{
			ID: "validate.unreadable", Level: check.Must, Clauses: []string{"S-8"}, Needs: need,
			Title: "Settings that aren't one JSON object in UTF-8 are reported in the answer.",
			Run:   unreadableSettings,
		},
		{
			ID: "validate.large", Level: check.Must, Clauses: []string{"S-9"}, Needs: need,
			Title: "Settings of more than 256 KiB are reported as CODE_LIMIT_EXCEEDED.",
			Run: func(t *check.T) {
				big := []byte(`{"` + unknownName + `":"` + strings.Repeat("x", handshake.MaxSettingsBytes) + `"}`)
				answer, err := t.Start().ValidateSettings(t.Call(), &connectorv1.ValidateSettingsRequest{Settings: big})
				got := code(err)
				for _, d := range answer.GetDiagnostics() {
					got = d.GetCode()
				}
				if got != connectorv1.Code_CODE_LIMIT_EXCEEDED {
					t.Errorf("%d bytes are answered with %s", len(big), got)
				}
			},
		},
		{
			ID: "validate.defaults", Level: check.Must, Clauses: []string{"S-11"}, Needs: filled,
			Title: "A setting that is missing, null or blank counts as its default.",
			Run:   defaults,
		},
		{
			ID: "validate.trim", Level: check.Must, Clauses: []string{"S-12"}, Needs: filled,
			Title: "White space at the ends of values is ignored, and nothing else is changed.",
			Run:   trim,
		},
		{
			ID: "validate.secrets", Level: check.Must, Clauses: []string{"S-13"}, Needs: need,
			Title: "No text about a problem holds the value of a secret.",
			Run:   secretValues,
		},
		{
			ID: "validate.guard", Level: check.Must, Clauses: []string{"S-14"}, Needs: filled | check.Peer,
			Title: "Every other call fails with the settings' error before it makes traffic.",
			Run:   guard,
		},
	}
}

func validate(t *check.T, c *check.Conn, settings []byte) []*connectorv1.Diagnostic {
	answer, err := c.ValidateSettings(t.Call(), &connectorv1.ValidateSettingsRequest{Settings: settings})
	if err != nil {
		t.Blockf("ValidateSettings fails: %s", check.Brief(err))
	}
	return answer.GetDiagnostics()
}

// form is the connector's descriptor.
func form(t *check.T) *descriptor.Descriptor {
	d := t.Described()
	f, err := descriptor.Parse(d.GetSchema(), d.GetLayout())
	if err != nil {
		t.Blockf("the descriptor can't be read: %v", err)
	}
	return f
}

// variants are settings with many problems.
func variants(f *descriptor.Descriptor) []map[string]any {
	empty, types, values := map[string]any{}, map[string]any{unknownName: 1}, map[string]any{unknownName: "x", "aa_no_such_setting": nil}
	mixed := map[string]any{unknownName: true}
	for i, field := range f.Fields() {
		if field.ReadOnly {
			continue
		}
		if field.Type == descriptor.String {
			types[field.Name] = 12345
			values[field.Name] = "\x01 no such choice, no URL"
		} else {
			types[field.Name] = "neither true nor a number"
			values[field.Name] = "x"
		}
		if i%2 == 0 {
			mixed[field.Name] = types[field.Name]
		}
	}
	// With a selector that is right, what it requires shows as well.
	chosen := map[string]any{}
	for _, field := range f.Fields() {
		if len(field.Choices) > 0 {
			chosen[field.Name] = field.Choices[0].Value
		}
	}
	chosen[unknownName] = []any{}
	return []map[string]any{empty, types, values, mixed, chosen}
}

// problem is what the schema finds.
type problem struct{ pointer, code string }

// expected is what the descriptor finds in settings.
func expected(t *check.T, f *descriptor.Descriptor, raw []byte) []problem {
	settings, err := descriptor.Decode(raw)
	if err != nil {
		t.Brokenf("settings of the suite: %v", err)
	}
	var out []problem
	for _, d := range f.Validate(f.Normalize(settings)) {
		out = append(out, problem{d.Pointer, "CODE_" + strings.ToUpper(string(d.Code))})
	}
	return out
}

func allProblems(t *check.T) {
	f, c := form(t), t.Start()
	for i, settings := range variants(f) {
		raw := t.JSON(settings)
		want, got := expected(t, f, raw), validate(t, c, raw)
		if len(got) < len(want) {
			t.Errorf("case %d: %d problems are reported, the schema knows %d", i, len(got), len(want))
			continue
		}
		at := 0
		for _, d := range got {
			if d.GetPointer() == "" {
				continue
			}
			if next := slices.IndexFunc(want, func(p problem) bool { return p.pointer == d.GetPointer() }); next >= 0 {
				if next < at {
					t.Errorf("case %d: %s is reported out of order", i, short(d.GetPointer()))
				}
				at = next
			}
		}
	}
}

// eachProblem calls f for each problem of a setting, with the settings' names.
func eachProblem(t *check.T, f func(d *connectorv1.Diagnostic, names []string)) {
	d, c := form(t), t.Start()
	names := []string{unknownName, "aa_no_such_setting"}
	for _, field := range d.Fields() {
		names = append(names, field.Name)
	}
	for _, settings := range variants(d) {
		for _, p := range validate(t, c, t.JSON(settings)) {
			if slices.Contains([]connectorv1.Code{required, invalid, unknown}, p.GetCode()) {
				f(p, names)
			}
		}
	}
}

func problemCodes(t *check.T) {
	f, c := form(t), t.Start()
	for i, settings := range variants(f) {
		raw := t.JSON(settings)
		want := expected(t, f, raw)
		for _, d := range validate(t, c, raw) {
			j := slices.IndexFunc(want, func(p problem) bool { return p.pointer == d.GetPointer() })
			if d.GetPointer() != "" && j >= 0 && want[j].code != d.GetCode().String() {
				t.Errorf("case %d: %s is reported as %s, not as %s", i, short(d.GetPointer()), d.GetCode(), want[j].code)
			}
		}
	}
}

func unreadableSettings(t *check.T) {
	c := t.Start()
	for name, raw := range map[string]string{
		"nothing": "", "half an object": `{"a":`, "an array": "[]", "a text": `"a"`, "null": "null",
		"no UTF-8": "{\"a\":\"\xff\"}", "two objects": "{} {}", "a text after the object": `{}x`, "UTF-16": "\xff\xfe{\x00}\x00",
	} {
		answer, err := c.ValidateSettings(t.Call(), &connectorv1.ValidateSettingsRequest{Settings: []byte(raw)})
		if err != nil {
			t.Errorf("%s: the call fails with %s", name, check.Brief(err))
			continue
		}
		if !slices.ContainsFunc(answer.GetDiagnostics(), func(d *connectorv1.Diagnostic) bool { return d.GetCode() == unreadable }) {
			t.Errorf("%s isn't reported as %s", name, unreadable)
		}
	}
}

func defaults(t *check.T) {
	f, c := form(t), t.Start()
	for _, field := range f.Fields() {
		if field.Default == nil || field.ReadOnly {
			continue
		}
		for _, value := range []any{"missing", nil, "", "  \t"} {
			settings := t.Settings()
			settings[field.Name] = value
			if value == "missing" {
				delete(settings, field.Name)
			}
			for _, d := range validate(t, c, t.JSON(settings)) {
				if d.GetPointer() == "/"+field.Name && d.GetSeverity() == connectorv1.Severity_SEVERITY_ERROR {
					t.Errorf("%s, which has a default, with the value %q: %s", field.Name, fmt.Sprint(value), d.GetCode())
				}
			}
		}
	}
}

func trim(t *check.T) {
	c := t.Start()
	padded := t.Settings()
	for name, value := range padded {
		if text, ok := value.(string); ok {
			padded[name] = " \t" + text + "\n "
		}
	}
	plain := validate(t, c, t.Good())
	for _, d := range validate(t, c, t.JSON(padded)) {
		if d.GetSeverity() == connectorv1.Severity_SEVERITY_ERROR && !slices.ContainsFunc(plain, func(p *connectorv1.Diagnostic) bool { return same(p, d) }) {
			t.Errorf("with white space around the values: %s at %s", d.GetCode(), short(d.GetPointer()))
		}
	}
	if !t.SignsIn() {
		return
	}
	query := func(settings map[string]any) (string, url.Values) {
		answer, err := c.BeginAuthorization(t.Call(), &connectorv1.BeginAuthorizationRequest{
			Settings: t.JSON(settings), RedirectUri: t.Profile().RedirectURI, State: check.State, Now: timestamppb.Now(),
		})
		if err != nil {
			t.Blockf("BeginAuthorization fails: %s", check.Brief(err))
		}
		u, err := url.Parse(answer.GetAuthorizationUrl())
		if err != nil {
			t.Blockf("the authorization URL can't be read")
		}
		values := u.Query()
		u.RawQuery = ""
		return u.String(), values
	}
	base, first := query(t.Settings())
	_, second := query(t.Settings())
	paddedBase, got := query(padded)
	if base != paddedBase {
		t.Errorf("white space around the values changes the authorization URL")
	}
	for name := range first {
		if first.Get(name) == second.Get(name) && got.Get(name) != first.Get(name) {
			t.Errorf("white space around the values changes %s of the authorization URL", name)
		}
	}
}

func secretValues(t *check.T) {
	f, c := form(t), t.Start()
	const canary = "c4nary-Xq7/+=&%z"
	var secrets []string
	for _, field := range f.Fields() {
		if field.Secret {
			secrets = append(secrets, field.Name)
		}
	}
	var cases [][]byte
	for _, wrong := range []any{[]any{canary}, map[string]any{"v": canary}, canary, canary + strings.Repeat(canary, 8<<10)} {
		for _, settings := range variants(f) {
			for _, name := range secrets {
				settings[name] = wrong
			}
			cases = append(cases, t.JSON(settings))
		}
	}
	for _, name := range secrets {
		quoted, _ := json.Marshal(canary)
		cases = append(cases,
			fmt.Appendf(nil, `{%q:%s,%q:%s}`, name, quoted, name, quoted), fmt.Appendf(nil, `{%q:%s`, name, quoted),
			fmt.Appendf(nil, `{%q:%s garbage`, name, quoted))
	}
	for _, raw := range cases {
		answer, err := c.ValidateSettings(t.Call(), &connectorv1.ValidateSettingsRequest{Settings: raw})
		texts := []string{err2text(err)}
		for _, d := range answer.GetDiagnostics() {
			texts = append(texts, d.GetSummary(), d.GetDetail(), d.GetSuggestion(), string(d.GetFix().GetValue()))
		}
		for _, text := range texts {
			if where := check.FindSecret([]byte(text), []string{canary}); where != "" {
				t.Fatalf("a text holds a secret's value (%s)", where)
			}
		}
	}
}

func err2text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func guard(t *check.T) {
	signedIn(t)
	c := t.Start()
	credential := t.SignIn(c)
	access := t.Access(c, credential)
	var begun *check.Begun
	if t.SignsIn() {
		begun = t.Begin(c)
	}
	bad := t.Settings()
	bad[unknownName] = "x"
	raw := t.JSON(bad)
	want := slices.IndexFunc(validate(t, c, raw), func(d *connectorv1.Diagnostic) bool { return d.GetCode() == unknown })
	if want < 0 {
		t.Blockf("ValidateSettings finds nothing wrong with an unknown setting")
	}
	calls := t.Calls(c, raw, credential, access, begun)
	mark := t.Mark()
	for _, call := range calls {
		if call.Capability != 0 && !t.Declares(call.Capability) {
			continue
		}
		err := call.Make()
		d := check.Failed(err).Diagnostic()
		if d.GetCode() != unknown || !strings.Contains(d.GetPointer(), unknownName) {
			t.Errorf("%s with wrong settings is answered with %s", call.Name, check.Brief(err))
		}
	}
	t.NoTraffic(mark, "a call with wrong settings")
}
