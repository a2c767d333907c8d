package boxsim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/boxconnection/connector/plugin/box/boxsim"
	"github.com/google/go-cmp/cmp"
)

// parse reads a JSON object.
func (r reply) parse(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		t.Fatalf("%v in %q", err, r.body)
	}
	return m
}

func TestUsersMe(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada := s.signIn("ada@acme.example").access

	standard := s.api("/users/me", ada).parse(t)
	for _, name := range []string{"type", "id", "name", "login", "created_at", "modified_at", "language", "timezone", "space_amount",
		"space_used", "max_upload_size", "status", "job_title", "phone", "address", "avatar_url", "notification_email"} {
		if _, ok := standard[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	if _, ok := standard["enterprise"]; ok || len(standard) != 17 {
		t.Errorf("only standard fields may be there: %v", standard)
	}
	asked := s.api("/users/me?fields=enterprise,%20login,nonsense&fields=role", ada).parse(t)
	want := map[string]any{
		"type": "user", "id": "3300001", "login": "ada@acme.example", "role": "admin",
		"enterprise": map[string]any{"type": "enterprise", "id": "7700001", "name": "Acme Corporation"},
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
	personal := s.api("/users/me?fields=enterprise", s.signIn("dora@personal.example").access).parse(t)
	if v, ok := personal["enterprise"]; !ok || v != nil {
		t.Errorf("a personal account's enterprise must be null: %v", personal)
	}
}

func TestRefusedAccessToken(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	invalid := `Bearer realm="Service", error="invalid_token", error_description="The access token provided is invalid."`
	for token, want := range map[string]string{"": `Bearer realm="Service"`, "garbage": invalid} {
		r := s.api("/users/me", token)
		if r.status != http.StatusUnauthorized || r.body != "" || r.header.Get("Content-Length") != "0" || r.header.Get("Www-Authenticate") != want {
			t.Errorf("token %q: %d %q %v", token, r.status, r.body, r.header)
		}
	}
}

func TestUnknownAddress(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	for _, tc := range []struct {
		method, path string
		status       int
		code         string
	}{
		{http.MethodGet, "/2.0/nonsense", http.StatusNotFound, "not_found"},
		{http.MethodDelete, "/2.0/users/me", http.StatusMethodNotAllowed, "method_not_allowed"},
		{http.MethodGet, "/oauth2/token", http.StatusMethodNotAllowed, "method_not_allowed"},
	} {
		r := s.must(s.request(tc.method, s.info.BaseURL+tc.path, ""))
		if r.status != tc.status || r.get("code") != tc.code || r.get("type") != "error" || r.get("request_id") == "" {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, r.status, r.body)
		}
		if id := r.header.Get("Box-Request-Id"); id == "" || id == r.get("request_id") {
			t.Errorf("%s: header ID %q, body %s", tc.path, id, r.body)
		}
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	token := s.signIn("ben@acme.example").access

	root := s.api("/folders/0", token).parse(t)
	if root["name"] != "All Files" || root["created_at"] != nil || root["parent"] != nil || root["etag"] != nil {
		t.Errorf("root: %v", root)
	}
	asked := s.api("/folders/160000000002?fields=path_collection", token).parse(t)
	path := asked["path_collection"].(map[string]any)
	var names []string
	for _, e := range path["entries"].([]any) {
		names = append(names, e.(map[string]any)["name"].(string))
	}
	if diff := cmp.Diff([]string{"All Files", "Contracts"}, names); diff != "" || len(asked) != 3 {
		t.Errorf("%s%v", diff, asked)
	}
	for _, id := range []string{"9", "920000000001"} {
		r := s.api("/folders/"+id, token)
		want := []any{map[string]any{"reason": "invalid_parameter", "name": "folder",
			"message": fmt.Sprintf("Invalid value 'd_%s'. 'folder' with value 'd_%[1]s' not found", id)}}
		body := r.parse(t)
		if info, _ := body["context_info"].(map[string]any); r.status != http.StatusNotFound || !cmp.Equal(want, info["errors"]) {
			t.Errorf("%s: %d %s", id, r.status, r.body)
		}
	}
}

// A shared link has the fields that the specification always requires, and an
// item without one answers null.
func TestSharedLink(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada := s.signIn("ada@acme.example").access
	link, ok := s.api("/folders/160000000001?fields=shared_link", ada).parse(t)["shared_link"].(map[string]any)
	if !ok {
		t.Fatal("Contracts has no shared link")
	}
	for _, name := range []string{"url", "access", "effective_access", "effective_permission", "is_password_enabled", "download_count", "preview_count"} {
		if _, ok := link[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	if none, ok := s.api("/folders/160000000003?fields=shared_link", ada).parse(t)["shared_link"]; !ok || none != nil {
		t.Errorf("a folder without a shared link answers %v (%v)", none, ok)
	}
}

// list reads one page and returns its names.
func (s *sim) list(token, query string) ([]string, map[string]any) {
	s.t.Helper()
	page := s.api("/folders/0/items?"+query, token).parse(s.t)
	names := []string{}
	for _, e := range page["entries"].([]any) {
		names = append(names, e.(map[string]any)["name"].(string))
	}
	return names, page
}

func TestPaging(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	token := s.signIn("ada@acme.example").access
	all, page := s.list(token, "")
	want := []string{"Contracts", "Empty", "Überblick", "Budget.csv", "Welcome.txt", "Intranet"}
	if diff := cmp.Diff(want, all); diff != "" || page["total_count"] != 6.0 || page["limit"] != 100.0 || page["offset"] != 0.0 {
		t.Errorf("%s%v", diff, page)
	}
	var byOffset []string
	for offset := 0; offset < 8; offset += 2 {
		names, page := s.list(token, fmt.Sprintf("limit=2&offset=%d", offset))
		byOffset = append(byOffset, names...)
		if _, marker := page["next_marker"]; marker || page["offset"] != float64(offset) {
			t.Errorf("offset %d: %v", offset, page)
		}
	}
	if diff := cmp.Diff(want, byOffset); diff != "" {
		t.Errorf("by offset: %s", diff)
	}
	var byMarker []string
	marker, pages := "", 0
	for more := true; more; pages++ {
		names, page := s.list(token, "usemarker=true&limit=4&marker="+marker)
		if _, total := page["total_count"]; total || pages > 5 {
			t.Fatalf("%v", page)
		}
		byMarker = append(byMarker, names...)
		marker = page["next_marker"].(string)
		more = marker != ""
	}
	slices.Sort(byMarker)
	slices.Sort(want)
	if diff := cmp.Diff(want, byMarker); diff != "" || pages != 2 {
		t.Errorf("by marker, %d pages: %s", pages, diff)
	}
	if names, _ := s.list(token, "sort=size&direction=DESC"); names[0] != "Contracts" || names[len(names)-1] != "Intranet" {
		t.Errorf("by size: %v", names)
	}
	if _, page := s.list(token, "limit=5000"); page["limit"] != 1000.0 {
		t.Errorf("limit: %v", page["limit"])
	}
	for _, bad := range []string{"limit=-1", "limit=x", "offset=x", "offset=10001", "usemarker=true&marker=x", "sort=colour"} {
		if r := s.api("/folders/0/items?"+bad, token); r.status != http.StatusBadRequest || r.get("code") != "bad_request" {
			t.Errorf("%s: %d %s", bad, r.status, r.body)
		}
	}
	fields := s.api("/folders/0/items?fields=size&limit=1&offset=3", token)
	if want := `"entries":[{"id":"920000000001","size":29,"type":"file"}]`; !strings.Contains(fields.body, want) {
		t.Errorf("fields: %s", fields.body)
	}
}

func TestScopeOfAGrant(t *testing.T) {
	t.Parallel()
	s := newSim(t, func(o *boxsim.Options) { o.Scopes = []string{"root_readonly", "manage_webhook"} })
	code := s.code("ada@acme.example", "scope", "manage_webhook")
	token := s.token("grant_type", "authorization_code", "code", code).get("access_token")
	if r := s.api("/folders/0", token); r.status != http.StatusForbidden || r.body != "" {
		t.Errorf("without the scope: %d %s", r.status, r.body)
	}
	if !s.works(token) {
		t.Error("users/me needs no scope")
	}
	if r := s.api("/folders/0", s.signIn("ada@acme.example").access); r.status != http.StatusOK {
		t.Errorf("with all scopes of the app: %d", r.status)
	}
}
