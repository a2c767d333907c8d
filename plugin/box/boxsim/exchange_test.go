package boxsim_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func (s *sim) narrow(subject string, pairs ...string) reply {
	s.t.Helper()
	f := url.Values{
		"grant_type":    {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token": {subject}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
	}
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return s.must(s.form(s.info.TokenURL, f))
}

func TestNarrow(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	full := s.signIn("ada@acme.example")
	const contracts, year, root = "/folders/160000000001/items", "/folders/160000000002/items", "/folders/0/items"

	for name, pairs := range map[string][]string{
		"resource":         {"scope", "base_explorer item_download", "resource", "https://api.box.com/2.0/folders/160000000001"},
		"own address":      {"scope", "base_explorer item_download", "resource", s.info.APIURL + "/folders/160000000001"},
		"with credentials": {"scope", "base_explorer item_download", "resource", "https://api.box.com/2.0/folders/160000000001", "client_id", s.info.ClientID, "client_secret", s.info.ClientSecret},
		"shared link":      {"scope", "base_explorer item_download", "box_shared_link", "https://app.box.com/s/contractsx0000000000000000000000"},
	} {
		r := s.narrow(full.access, pairs...)
		var got map[string]any
		if err := json.Unmarshal([]byte(r.body), &got); err != nil || r.status != http.StatusOK {
			t.Fatalf("%s: %d %s", name, r.status, r.body)
		}
		token, _ := got["access_token"].(string)
		if !strings.HasPrefix(token, "1!") || len(token) < 200 {
			t.Errorf("%s: token %q", name, token)
		}
		delete(got, "access_token")
		delete(got, "expires_in")
		object := map[string]any{"type": "folder", "id": "160000000001", "sequence_id": "0", "etag": "0", "name": "Contracts"}
		want := map[string]any{
			"token_type": "bearer", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
			"restricted_to": []any{
				map[string]any{"scope": "base_explorer", "object": object}, map[string]any{"scope": "item_download", "object": object},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		for path, status := range map[string]int{contracts: http.StatusOK, year: http.StatusOK, root: http.StatusForbidden} {
			if r := s.api(path, token); r.status != status {
				t.Errorf("%s: %s gives %d, want %d", name, path, r.status, status)
			}
		}
	}
	without := s.narrow(full.access, "scope", "item_download").get("access_token")
	if r := s.api(root, without); r.status != http.StatusForbidden || r.body != "" || !strings.Contains(r.header.Get("Www-Authenticate"), `error="insufficient_scope"`) {
		t.Errorf("a scope that doesn't list: %d %s %v", r.status, r.body, r.header)
	}
	wider := s.narrow(without, "scope", "base_explorer")
	if wider.status != http.StatusUnauthorized {
		t.Errorf("a narrowed token must not widen: %d %s", wider.status, wider.body)
	}
}

func TestNarrowingIsAUse(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	first := s.signIn("ada@acme.example")
	second := s.renewed(first.refresh)
	s.narrow(second.access, "scope", "item_preview")
	if s.works(first.access) {
		t.Error("narrowing the new access token must kill the old one")
	}
}

func TestNarrowRefusals(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	full := s.signIn("ada@acme.example")
	for name, tc := range map[string]struct {
		pairs  []string
		status int
		code   string
	}{
		"web address":    {[]string{"scope", "item_preview", "resource", "https://app.box.com/folder/160000000001"}, 400, "invalid_resource"},
		"unknown item":   {[]string{"scope", "item_preview", "resource", "https://api.box.com/2.0/files/1"}, 400, "invalid_resource"},
		"wrong kind":     {[]string{"scope", "item_preview", "resource", "https://api.box.com/2.0/files/160000000001"}, 400, "invalid_resource"},
		"unknown link":   {[]string{"scope", "item_preview", "box_shared_link", "https://app.box.com/s/none"}, 400, "invalid_resource"},
		"link and item":  {[]string{"scope", "item_preview", "box_shared_link", "x", "resource", "y"}, 400, "invalid_request"},
		"no scope":       {nil, 400, "invalid_request"},
		"scope not held": {[]string{"scope", "manage_webhook"}, 401, "unauthorized"},
		"unknown token":  {[]string{"scope", "item_preview", "subject_token", "x"}, 400, "invalid_grant"},
		"type of token":  {[]string{"scope", "item_preview", "subject_token_type", "x"}, 400, "invalid_request"},
		"wrong client":   {[]string{"scope", "item_preview", "client_id", "x", "client_secret", "y"}, 400, "invalid_client"},
	} {
		if r := s.narrow(full.access, tc.pairs...); r.status != tc.status || r.get("error") != tc.code {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
}

func TestNarrowedTokenEndsWithItsParent(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	for name, end := range map[string]func(full, narrowed string){
		"expiry":              func(string, string) { s.advance(4201 * time.Second) },
		"revocation of it":    func(_, narrowed string) { s.revoke(narrowed) },
		"revocation of other": func(full, _ string) { s.revoke(full) },
	} {
		full := s.signIn("ada@acme.example")
		narrowed := s.narrow(full.access, "scope", "item_preview").get("access_token")
		if !s.works(narrowed) {
			t.Fatal("the narrowed token must work")
		}
		end(full.access, narrowed)
		if s.works(narrowed) {
			t.Errorf("%s: the narrowed token must be dead", name)
		}
		if name == "revocation of it" && !s.works(full.access) {
			t.Errorf("%s: the full token must live", name)
		}
	}
}
