package descriptor_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/proto/connector"
)

// valid returns settings of the sample without a problem.
func valid() descriptor.Settings {
	return descriptor.Settings{"method": "key", "base_url": "https://example.com", "user": "someone", "key_id": "0123abcd",
		"private_key": "k", "port": 443.0, "factor": 0.5, "verbose": true, "email": "a@example.com", "help_url": "http://example.com/help"}
}

// with returns valid settings with some replaced, or removed by nil.
func with(changes descriptor.Settings) descriptor.Settings {
	s := valid()
	for name, value := range changes {
		if s[name] = value; value == nil {
			delete(s, name)
		}
	}
	return s
}

// places lists the codes and pointers of diagnostics.
func places(found connector.Diagnostics) []string {
	var list []string
	for _, d := range found {
		list = append(list, string(d.Code)+" "+d.Pointer)
	}
	return list
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const required, invalid, unknown = "SETTING_REQUIRED ", "SETTING_INVALID ", "SETTING_UNKNOWN "
	for name, tt := range map[string]struct {
		settings descriptor.Settings
		want     []string
	}{
		"valid":                          {valid(), nil},
		"nothing":                        {nil, []string{required + "/method", required + "/base_url"}},
		"a short secret is none of ours": {with(descriptor.Settings{"private_key": "sixsix"}), nil},
		"required by the choice":         {with(descriptor.Settings{"user": nil, "key_id": nil}), []string{required + "/user", required + "/key_id"}},
		"secret required by its mark":    {with(descriptor.Settings{"private_key": nil}), []string{required + "/private_key"}},
		"secret of another choice":       {descriptor.Settings{"method": "none", "base_url": "https://example.com"}, nil},
		"blank counts as missing":        {with(descriptor.Settings{"user": " \u00A0", "private_key": "\u200B"}), []string{required + "/user", required + "/private_key"}},
		"unknown, by the alphabet": {with(descriptor.Settings{"zeta": 1.0, "a/b~c": true, "Port": 1.0}),
			[]string{unknown + "/Port", unknown + "/a~1b~0c", unknown + "/zeta"}},
		"everything at once": {descriptor.Settings{"method": "key", "base_url": "ftp://x", "port": 0.5, "email": "no", "usr": "x"},
			[]string{invalid + "/base_url", invalid + "/port", required + "/user", required + "/key_id",
				required + "/private_key", invalid + "/email", unknown + "/usr"}},
		"wrong types": {with(descriptor.Settings{"user": 5.0, "port": "443", "verbose": "yes", "factor": true}),
			[]string{invalid + "/port", invalid + "/factor", invalid + "/verbose", invalid + "/user"}},
		"nested values": {with(descriptor.Settings{"user": object{"a": 1.0}, "port": []any{}}), []string{invalid + "/port", invalid + "/user"}},
		"null":          {descriptor.Settings{"method": "none", "base_url": "https://example.com", "email": nil}, []string{invalid + "/email"}},
		"pattern":       {with(descriptor.Settings{"key_id": "xyz"}), []string{invalid + "/key_id"}},
		"too short":     {with(descriptor.Settings{"user": "u"}), []string{invalid + "/user"}},
		"too long":      {with(descriptor.Settings{"user": strings.Repeat("u", 21)}), []string{invalid + "/user"}},
		"far too long":  {with(descriptor.Settings{"passphrase": strings.Repeat("u", descriptor.MaxValue+1)}), []string{invalid + "/passphrase"}},
		"bounds":        {with(descriptor.Settings{"port": 65536.0, "factor": 0.0}), []string{invalid + "/port", invalid + "/factor"}},
		"other bounds":  {with(descriptor.Settings{"port": 0.0, "factor": 1.0}), []string{invalid + "/port", invalid + "/factor"}},
		"choice":        {with(descriptor.Settings{"method": "oauth"}), []string{invalid + "/method"}},
		"Go numbers":    {with(descriptor.Settings{"port": 443, "factor": json.Number("0.25")}), nil},
		"no numbers": {with(descriptor.Settings{"port": math.NaN(), "factor": math.Inf(1)}),
			[]string{invalid + "/port", invalid + "/factor"}},
		"a number that would fill the memory": {with(descriptor.Settings{"port": json.Number("1e999999999")}), []string{invalid + "/port"}},
		"a Go type without a JSON one":        {with(descriptor.Settings{"user": struct{}{}, "x": make(chan int)}), []string{invalid + "/user", unknown + "/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := parseFiles(t, "sample").Validate(tt.settings)
			if diff := cmp.Diff(tt.want, places(found)); diff != "" {
				t.Errorf("%s\n%v", diff, found)
			}
			for _, d := range found {
				if d.Disposition != connector.FixSettings || d.Origin != connector.OriginSettings || d.Severity != connector.SeverityError {
					t.Errorf("got %+v", d)
				}
			}
			if (found.Err() != nil) != (tt.want != nil) {
				t.Errorf("Err: %v", found.Err())
			}
		})
	}
}

// Several faults are found at their own fields, in the same order every time.
func TestValidateIsDeterministic(t *testing.T) {
	t.Parallel()
	d := parseFiles(t, "box")
	s := d.Normalize(descriptor.Settings{"clientid": "x", "zzz": 1.0, "scopes": "a\nb", "token_url": "javascript:alert(1)", "api_url": "nope"})
	want := d.Validate(s)
	wantPlaces := []string{"SETTING_INVALID /token_url", "SETTING_INVALID /api_url", "SETTING_REQUIRED /client_id",
		"SETTING_REQUIRED /client_secret", "SETTING_INVALID /scopes", "SETTING_UNKNOWN /clientid", "SETTING_UNKNOWN /zzz"}
	if diff := cmp.Diff(wantPlaces, places(want)); diff != "" {
		t.Fatal(diff)
	}
	for range 100 {
		for i, got := range parseFiles(t, "box").Validate(s) {
			if got.Error() != want[i].Error() {
				t.Fatalf("got %v, want %v", got, want[i])
			}
		}
	}
}

func TestSuggestions(t *testing.T) {
	t.Parallel()
	d := parseFiles(t, "box")
	for name, want := range map[string]string{
		"clientid": "client_id", "clientId": "client_id", "client-secret": "client_secret", "client_secert": "client_secret",
		"Token URL": "token_url", "tokn_url": "token_url", "x": "", "completely_different": "",
	} {
		found := d.Validate(descriptor.Settings{"connection_type": "x", name: "y"})
		last := found[len(found)-1]
		if got := last.Suggestion; (want == "" && got != "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	found := d.Validate(descriptor.Settings{"connection_type": "OAuth 2"})
	if fix := found[0].Fix; fix == nil || fix.Pointer != "/connection_type" || string(fix.Value) != `"oauth2"` {
		t.Errorf("fix %+v", fix)
	}
	if found := d.Validate(descriptor.Settings{"connection_type": "saml"}); found[0].Fix != nil {
		t.Errorf("a fix out of nowhere: %+v", found[0].Fix)
	}
}

// Whatever value is wrong, wherever: no message contains it.
func TestNoMessageHoldsAValue(t *testing.T) {
	t.Parallel()
	for _, fixture := range []string{"box", "sample"} {
		d := parseFiles(t, fixture)
		for _, value := range []any{canary, canary + "\x00", "http://" + canary + ":x@h/", "https://u:" + canary + "@h", "https://h#" + canary,
			strings.Repeat(canary, 5000), object{canary: canary}, []any{canary}, json.Number(canary)} {
			s := descriptor.Settings{"unknown": value}
			for _, f := range d.Fields() {
				s[f.Name] = value
			}
			for _, selector := range []any{value, "oauth2", "key", "password"} {
				for _, name := range []string{"connection_type", "method"} {
					if _, ok := d.Field(name); ok {
						s[name] = selector
					}
				}
				found := d.Validate(s)
				data, err := json.Marshal(found)
				if err != nil {
					t.Fatal(err)
				}
				text := string(data) + fmt.Sprintf("%+v", found)
				for _, one := range found {
					text += fmt.Sprintf("%v %+v %#v", one, one, *one)
				}
				if len(found) == 0 || strings.Contains(text, canary) {
					t.Errorf("%s, %v: %d messages: %.500s", fixture, selector, len(found), text)
				}
			}
		}
	}
}

func TestUnknownNamesAreTamed(t *testing.T) {
	t.Parallel()
	d := parseFiles(t, "box")
	s := descriptor.Settings{"connection_type": "x", "bad\x1b[31m\u202e\n": 1.0, "long" + strings.Repeat("é", 100000): 1.0}
	for _, one := range d.Validate(s) {
		if text := one.Error(); strings.ContainsAny(text, "\x1b\n\u202e") || len(text) > 1000 {
			t.Errorf("%d bytes: %.200q", len(text), text)
		}
	}
	for i := range 5000 {
		s[fmt.Sprintf("name%d", i)] = 1.0
	}
	if found := d.Validate(s); len(found) > 30 {
		t.Errorf("%d diagnostics", len(found))
	}
}

// A connector of ill will can't keep its host busy: patterns are limited at
// load time, values when they are matched.
func TestMatchingTimeIsBounded(t *testing.T) {
	t.Parallel()
	schema, layout := edited(t, func(s, _ object) {
		user := property(s, "user")
		delete(user, "maxLength")
		user["pattern"] = ".{0,700}x" // every character starts a thread of its own
	})
	d, err := descriptor.Parse(schema, layout)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	found := d.Validate(with(descriptor.Settings{"user": strings.Repeat("ab", 1<<20)}))
	if diff := cmp.Diff([]string{"SETTING_INVALID /user"}, places(found)); diff != "" {
		t.Error(diff)
	}
	// Without the limit it takes half a minute.
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}
