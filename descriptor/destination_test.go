package descriptor_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/boxconnection/connector/descriptor"
)

// Whether a URL may receive secrets doesn't rest on the format alone.
func TestURLs(t *testing.T) {
	t.Parallel()
	d := parseFiles(t, "sample")
	for url, tt := range map[string]struct{ destination, link bool }{
		"https://example.com":                {true, true},
		"https://example.com:8443/a/b?c=d":   {true, true},
		"HTTPS://EXAMPLE.com":                {true, true},
		"http://localhost:8080/x":            {true, true},
		"http://LOCALHOST":                   {true, true},
		"http://127.0.0.1":                   {true, true},
		"http://127.1.2.3:1":                 {true, true},
		"http://[::1]:8080":                  {true, true},
		"http://[::ffff:127.0.0.1]":          {true, true},
		"http://example.com":                 {false, true},
		"http://localhost.example.com":       {false, true},
		"http://localhost@example.com":       {false, true},
		"http://10.0.0.1":                    {false, true},
		"http://[::2]":                       {false, true},
		"https://user:pass@example.com":      {false, true},
		"https://user@example.com":           {false, true},
		"https://example.com/#x":             {false, true},
		"https://example.com/#":              {false, true},
		"ftp://example.com":                  {false, true},
		"file:///etc/passwd":                 {},
		"not a url":                          {},
		"javascript:alert(1)":                {},
		"/relative":                          {},
		"relative":                           {},
		"//example.com/x":                    {},
		"example.com":                        {},
		"https:example.com":                  {},
		"https://":                           {},
		"https:///path":                      {},
		"https://:443":                       {},
		"https://example.com:0":              {},
		"https://example.com:65536":          {},
		"https://example.com:x":              {},
		"https://example.com\\@evil.example": {},
		"https://exa mple.com":               {},
		"https://example.com/\n":             {},
		"https://[::1":                       {},
	} {
		want := []string{"SETTING_INVALID /base_url"}
		if tt.destination {
			want = nil
		}
		if diff := cmp.Diff(want, places(d.Validate(with(descriptor.Settings{"base_url": url})))); diff != "" {
			t.Errorf("destination %s: %s", url, diff)
		}
		want = []string{"SETTING_INVALID /help_url"}
		if tt.link {
			want = nil
		}
		if diff := cmp.Diff(want, places(d.Validate(with(descriptor.Settings{"help_url": url})))); diff != "" {
			t.Errorf("link %s: %s", url, diff)
		}
	}
}

func TestDestinations(t *testing.T) {
	t.Parallel()
	d := parseFiles(t, "box")
	want := map[string]string{
		"authorize_url": "https://account.box.com:443", "token_url": "https://api.box.com:443", "revoke_url": "https://api.box.com:443",
		"api_url": "https://api.box.com:443", "upload_url": "https://upload.box.com:443",
	}
	for name, s := range map[string]descriptor.Settings{
		"blank":         {},
		"null":          {"api_url": nil, "token_url": " "},
		"explicit port": {"api_url": "https://api.box.com:443/other/path?q"},
		"capitals":      {"api_url": "HTTPS://API.Box.COM"},
		"zero port":     {"api_url": "https://api.box.com:0443"},
		"with blanks":   {"api_url": " https://api.box.com/2.0\n"},
		"empty port":    {"api_url": "https://api.box.com:/2.0"},
	} {
		got := d.Destinations(s)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if changed := descriptor.ChangedDestinations(want, got); changed != nil {
			t.Errorf("%s: changed %v", name, changed)
		}
	}
	for url, origin := range map[string]string{
		"https://api.box.com:8443": "https://api.box.com:8443",
		"http://localhost/x":       "http://localhost:80",
		"http://[::1]:8080/":       "http://[::1]:8080",
		"https://evil.example":     "https://evil.example:443",
		"https://api.box.com.":     "https://api.box.com.:443",
		"http://api.box.com":       "",
		"https://u:p@api.box.com":  "",
		"nonsense":                 "",
	} {
		got := d.Destinations(descriptor.Settings{"token_url": url})
		if got["token_url"] != origin {
			t.Errorf("%s: origin %q, want %q", url, got["token_url"], origin)
		}
		if diff := cmp.Diff([]string{"token_url"}, descriptor.ChangedDestinations(want, got)); diff != "" {
			t.Errorf("%s: %s", url, diff)
		}
	}
	if got := d.Destinations(descriptor.Settings{"token_url": 5.0}); got["token_url"] != "" {
		t.Errorf("a number has the origin %q", got["token_url"])
	}
}

func TestChangedDestinations(t *testing.T) {
	t.Parallel()
	one, two := "https://one.example:443", "https://two.example:443"
	for name, tt := range map[string]struct {
		previous, next map[string]string
		want           []string
	}{
		"same":           {map[string]string{"a": one}, map[string]string{"a": one}, nil},
		"several":        {map[string]string{"a": one, "b": one, "c": one}, map[string]string{"c": two, "b": one, "a": two}, []string{"a", "c"}},
		"new":            {map[string]string{}, map[string]string{"a": one}, []string{"a"}},
		"gone":           {map[string]string{"a": one}, map[string]string{}, nil},
		"never unusable": {map[string]string{"a": ""}, map[string]string{"a": ""}, []string{"a"}},
	} {
		if diff := cmp.Diff(tt.want, descriptor.ChangedDestinations(tt.previous, tt.next)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A destination that the chosen method hides receives nothing.
func TestHiddenDestinationsDoNotCount(t *testing.T) {
	t.Parallel()
	schema, layout := edited(t, func(s, l object) {
		s["required"] = []any{"method"}
		at(l, "elements", 0, "elements", 1).(object)["rule"] = shows("method", "key")
	})
	d, err := descriptor.Parse(schema, layout)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Destinations(descriptor.Settings{"method": "none", "base_url": "https://example.com"}); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if got := d.Destinations(descriptor.Settings{"method": "key", "base_url": "https://example.com"}); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}
