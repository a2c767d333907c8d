package boxsim_test

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // Box's own content hash
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
)

// send makes an API call with a JSON body; an address without a host is one of
// the API.
func (s *sim) send(method, target, token, body string, headers ...string) reply {
	s.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = s.info.APIURL + target
	}
	req := s.request(method, target, body)
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return s.must(req)
}

// form makes the body of an upload.
func form(t *testing.T, attributes string, content []byte) (body []byte, kind string) {
	t.Helper()
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	if err := w.WriteField("attributes", attributes); err != nil {
		t.Fatal(err)
	}
	part, err := w.CreateFormFile("file", "upload")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), w.FormDataContentType()
}

// uploadRequest prepares an upload to a path below the upload URL.
func (s *sim) uploadRequest(path, token, attributes string, content []byte) *http.Request {
	s.t.Helper()
	body, kind := form(s.t, attributes, content)
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.info.UploadURL+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Authorization", "Bearer "+token)
	return req
}

func (s *sim) upload(token, parent, name, content string) reply {
	s.t.Helper()
	about := fmt.Sprintf(`{"name":%q,"parent":{"id":%q}}`, name, parent)
	return s.must(s.uploadRequest("/files/content", token, about, []byte(content)))
}

// first is the file of an upload's answer.
func (r reply) first(t *testing.T) map[string]any {
	t.Helper()
	entries, _ := r.parse(t)["entries"].([]any)
	if r.status >= 300 || len(entries) != 1 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	return entries[0].(map[string]any)
}

// uploaded demands that an upload succeeds, and returns the file's ID.
func (s *sim) uploaded(token, parent, name, content string) string {
	s.t.Helper()
	return s.upload(token, parent, name, content).first(s.t)["id"].(string)
}

// content downloads a file, following the redirect without a token.
func (s *sim) content(token, id string, headers ...string) reply {
	s.t.Helper()
	r := s.send(http.MethodGet, "/files/"+id+"/content", token, "", headers...)
	if r.status != http.StatusFound {
		return r
	}
	req := s.request(http.MethodGet, r.header.Get("Location"), "")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return s.must(req)
}

func hexSHA1(content string) string {
	sum := sha1.Sum([]byte(content)) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

// wantCode checks a refusal of the API.
func wantCode(t *testing.T, r reply, status int, code string) {
	t.Helper()
	if r.status != status || r.get("code") != code {
		t.Errorf("got %d %s, want %d %s", r.status, r.body, status, code)
	}
}

func (s *sim) makeFolder(token, parent, name string) string {
	s.t.Helper()
	r := s.send(http.MethodPost, "/folders", token, fmt.Sprintf(`{"name":%q,"parent":{"id":%q}}`, name, parent))
	if r.status != http.StatusCreated {
		s.t.Fatalf("%d %s", r.status, r.body)
	}
	return r.get("id")
}

func TestFolderLife(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada := s.signIn("ada@acme.example").access
	id := s.makeFolder(ada, "0", "Plans")
	r := s.send(http.MethodGet, "/folders/"+id, ada, "")
	body := r.parse(t)
	if body["name"] != "Plans" || body["etag"] != "0" || body["created_at"] != "2026-03-01T04:00:00-08:00" {
		t.Errorf("%s", r.body)
	}

	r = s.send(http.MethodPut, "/folders/"+id+"?fields=name,description,tags,shared_link,folder_upload_email,parent,etag,sync_state", ada, `{
		"name":"Plans 2026","description":"to do","tags":["a","b"],"parent":{"id":"160000000003"},"sync_state":"synced",
		"shared_link":{"access":"open","password":"S3cret-word","unshared_at":"2026-04-01T00:00:00Z","permissions":{"can_download":false}},
		"folder_upload_email":{"access":"open"}}`, "If-Match", "0")
	body = r.parse(t)
	link, _ := body["shared_link"].(map[string]any)
	email, _ := body["folder_upload_email"].(map[string]any)
	parent, _ := body["parent"].(map[string]any)
	if body["name"] != "Plans 2026" || body["description"] != "to do" || len(body["tags"].([]any)) != 2 || parent["id"] != "160000000003" ||
		body["etag"] != "1" || body["sync_state"] != "synced" || link["is_password_enabled"] != true || link["access"] != "open" ||
		link["unshared_at"] != "2026-03-31T16:00:00-08:00" || link["effective_permission"] != "can_preview" || email["access"] != "open" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if strings.Contains(r.body, "S3cret") {
		t.Error("the password is shown")
	}
	// What is null goes away, what isn't named stays.
	r = s.send(http.MethodPut, "/folders/"+id+"?fields=description,shared_link,folder_upload_email", ada, `{"shared_link":null,"folder_upload_email":null}`)
	if body = r.parse(t); body["shared_link"] != nil || body["folder_upload_email"] != nil || body["description"] != "to do" {
		t.Errorf("%d %s", r.status, r.body)
	}
	wantCode(t, s.send(http.MethodPut, "/folders/"+id, ada, `{"name":"X"}`, "If-Match", "0"), http.StatusPreconditionFailed, "precondition_failed")
	wantCode(t, s.send(http.MethodDelete, "/folders/"+id, ada, "", "If-Match", "0"), http.StatusPreconditionFailed, "precondition_failed")
	if r := s.send(http.MethodGet, "/folders/"+id, ada, "", "If-None-Match", "2"); r.status != http.StatusNotModified || r.body != "" {
		t.Errorf("unchanged: %d %s", r.status, r.body)
	}

	child := s.makeFolder(ada, id, "Child")
	wantCode(t, s.send(http.MethodPut, "/folders/"+id, ada, `{"parent":{"id":"`+child+`"}}`), http.StatusBadRequest, "cyclical_folder_structure")
	wantCode(t, s.send(http.MethodDelete, "/folders/"+id, ada, ""), http.StatusBadRequest, "folder_not_empty")
	if r := s.send(http.MethodDelete, "/folders/"+id+"?recursive=true", ada, ""); r.status != http.StatusNoContent || r.body != "" {
		t.Errorf("delete: %d %s", r.status, r.body)
	}
	for _, gone := range []string{id, child} {
		wantCode(t, s.send(http.MethodGet, "/folders/"+gone, ada, ""), http.StatusNotFound, "trashed")
	}
	wantCode(t, s.send(http.MethodDelete, "/folders/0?recursive=true", ada, ""), http.StatusForbidden, "access_denied_insufficient_permissions")
	wantCode(t, s.send(http.MethodDelete, "/folders/404", ada, ""), http.StatusNotFound, "not_found")
}

func TestNames(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada := s.signIn("ada@acme.example").access
	for name, code := range map[string]string{
		"": "bad_request", ".": "item_name_invalid", "..": "item_name_invalid", "a/b": "item_name_invalid", `a\b`: "item_name_invalid",
		"a ": "item_name_invalid", "a\x01": "item_name_invalid", strings.Repeat("ä", 256): "item_name_too_long",
	} {
		raw, err := json.Marshal(map[string]any{"name": name, "parent": map[string]string{"id": "0"}})
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, s.send(http.MethodPost, "/folders", ada, string(raw)), http.StatusBadRequest, code)
		wantCode(t, s.must(s.uploadRequest("/files/content", ada, string(raw), []byte("x"))), http.StatusBadRequest, code)
	}
	for _, name := range []string{strings.Repeat("ä", 255), " a", "..a", "Ünïcode 漢字"} {
		s.makeFolder(ada, "0", name)
	}
	r := s.send(http.MethodPost, "/folders", ada, `{"name":"CONTRACTS","parent":{"id":"0"}}`)
	wantCode(t, r, http.StatusConflict, "item_name_in_use")
	info, _ := r.parse(t)["context_info"].(map[string]any)
	conflicts, ok := info["conflicts"].([]any)
	if !ok || len(conflicts) != 1 || conflicts[0].(map[string]any)["id"] != "160000000001" {
		t.Errorf("conflicts of a folder: %s", r.body)
	}
	r = s.upload(ada, "0", "budget.CSV", "x")
	wantCode(t, r, http.StatusConflict, "item_name_in_use")
	info, _ = r.parse(t)["context_info"].(map[string]any)
	if one, ok := info["conflicts"].(map[string]any); !ok || one["id"] != "920000000001" || one["etag"] != "0" {
		t.Errorf("conflicts of a file: %s", r.body)
	}
	for body, code := range map[string]string{
		`{"name":"a"}`: "bad_request", `{"parent":{"id":"0"}}`: "bad_request", `[]`: "bad_request", ``: "bad_request",
		`{"name":7,"parent":{"id":"0"}}`: "bad_request",
	} {
		wantCode(t, s.send(http.MethodPost, "/folders", ada, body), http.StatusBadRequest, code)
	}
	wantCode(t, s.send(http.MethodPost, "/folders", ada, `{"name":"a","parent":{"id":"404"}}`), http.StatusNotFound, "not_found")
}
