package boxsim_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

func TestUploadAndDownload(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada := s.signIn("ada@acme.example").access
	content := strings.Repeat("0123456789", 100)
	r := s.upload(ada, "160000000003", "Ünits.txt", content)
	got := r.first(t)
	id, _ := got["id"].(string)
	if r.status != http.StatusCreated || got["sha1"] != hexSHA1(content) || got["size"] != 1000.0 || got["etag"] != "0" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if s.info.UploadURL == s.info.APIURL || strings.HasPrefix(s.info.UploadURL, s.info.BaseURL+"/") {
		t.Errorf("uploads should have a host of their own: %s", s.info.UploadURL)
	}
	r = s.send(http.MethodGet, "/files/"+id+"/content", ada, "")
	where := r.header.Get("Location")
	if r.status != http.StatusFound || !strings.HasPrefix(where, s.info.ContentURL+"/d/1/") || r.body != "" {
		t.Fatalf("%d %q %v", r.status, r.body, r.header)
	}
	r = s.must(s.request(http.MethodGet, where, ""))
	if r.status != http.StatusOK || r.body != content || r.header.Get("Content-Disposition") != `attachment;filename="_nits.txt";filename*=UTF-8''%C3%9Cnits.txt` {
		t.Errorf("%d %v", r.status, r.header)
	}
	for header, want := range map[string]struct {
		status      int
		body, place string
	}{
		"bytes=0-9":      {206, "0123456789", "bytes 0-9/1000"},
		"bytes=995-":     {206, "56789", "bytes 995-999/1000"},
		"bytes=-3":       {206, "789", "bytes 997-999/1000"},
		"bytes=-5000":    {206, content, "bytes 0-999/1000"},
		"bytes=-0":       {416, "", "bytes */1000"},
		"bytes=998-5000": {206, "89", "bytes 998-999/1000"},
		"bytes=1000-":    {416, "", "bytes */1000"},
		"bytes=0-1,4-5":  {200, content, ""},
		"bytes=9-1":      {200, content, ""},
		"lines=1-2":      {200, content, ""},
	} {
		r := s.content(ada, id, "Range", header)
		if r.status != want.status || (want.status != 416 && r.body != want.body) || r.header.Get("Content-Range") != want.place {
			t.Errorf("%s: %d %q %q", header, r.status, r.body, r.header.Get("Content-Range"))
		}
	}
	s.advance(16 * 60e9)
	if r := s.must(s.request(http.MethodGet, where, "")); r.status != http.StatusNotFound {
		t.Errorf("an old address: %d", r.status)
	}
	if r := s.send(http.MethodDelete, "/files/"+id, ada, "", "If-Match", "0"); r.status != http.StatusNoContent {
		t.Errorf("delete: %d %s", r.status, r.body)
	}
	wantCode(t, s.content(ada, id), http.StatusNotFound, "trashed")
	empty := s.uploaded(ada, "0", "nothing", "")
	if r := s.content(ada, empty); r.status != http.StatusOK || r.body != "" {
		t.Errorf("an empty file: %d %q", r.status, r.body)
	}
	if r := s.content(ada, "920000000002"); r.body != "Welcome to the emulated Box.\n" {
		t.Errorf("a file that was there: %q", r.body)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada, ben := s.signIn("ada@acme.example").access, s.signIn("ben@acme.example").access
	id := s.uploaded(ada, "0", "report.txt", "one")
	version := func(content, attributes string, headers ...string) reply {
		req := s.uploadRequest("/files/"+id+"/content", ben, attributes, []byte(content))
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		return s.must(req)
	}
	r := version("two", `{"name":"report 2.txt"}`, "If-Match", "0")
	if got := r.first(t); r.status != http.StatusOK || got["etag"] != "1" || got["name"] != "report 2.txt" || got["id"] != id {
		t.Errorf("%d %s", r.status, r.body)
	}
	wantCode(t, version("three", `{"name":"report 2.txt"}`, "If-Match", "0"), http.StatusPreconditionFailed, "precondition_failed")
	version("three", `{"name":"report 2.txt","content_modified_at":"2020-01-02T03:04:05Z"}`).first(t)
	if r := s.content(ada, id); r.body != "three" {
		t.Errorf("current: %q", r.body)
	}
	page := s.send(http.MethodGet, "/files/"+id+"/versions", ada, "").parse(t)
	entries := page["entries"].([]any)
	if page["total_count"] != 2.0 || len(entries) != 2 {
		t.Fatalf("%v", page)
	}
	second, firstOne := entries[0].(map[string]any), entries[1].(map[string]any)
	if second["sha1"] != hexSHA1("two") || firstOne["sha1"] != hexSHA1("one") || firstOne["version_number"] != "1" || firstOne["name"] != "report.txt" {
		t.Errorf("%v", page)
	}
	for v, want := range map[any]string{second["id"]: "two", firstOne["id"]: "one"} {
		r := s.send(http.MethodGet, "/files/"+id+"/content?version="+v.(string), ada, "")
		if r := s.must(s.request(http.MethodGet, r.header.Get("Location"), "")); r.body != want {
			t.Errorf("version %v: %q", v, r.body)
		}
	}
	wantCode(t, s.send(http.MethodGet, "/files/"+id+"/content?version=1", ada, ""), http.StatusNotFound, "not_found")
	got := s.send(http.MethodGet, "/files/"+id+"?fields=content_modified_at,modified_by,version_number,extension", ada, "").parse(t)
	if got["content_modified_at"] != "2020-01-01T19:04:05-08:00" || got["version_number"] != "3" || got["extension"] != "txt" ||
		got["modified_by"].(map[string]any)["login"] != "ben@acme.example" {
		t.Errorf("%v", got)
	}
}

func TestUploadRefusals(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada := s.signIn("ada@acme.example").access
	req := s.uploadRequest("/files/content", ada, `{"name":"a","parent":{"id":"0"}}`, []byte("content"))
	req.Header.Set("Content-Md5", hexSHA1("other"))
	wantCode(t, s.must(req), http.StatusBadRequest, "bad_digest")
	req = s.uploadRequest("/files/content", ada, `{"name":"a","parent":{"id":"0"}}`, []byte("content"))
	req.Header.Set("Content-Md5", strings.ToUpper(hexSHA1("content")))
	s.must(req).first(t)

	// The file before its attributes.
	body, kind := form(t, `{"name":"b","parent":{"id":"0"}}`, []byte("content"))
	i := bytes.Index(body, []byte("\r\n--"))
	boundary := body[:bytes.Index(body, []byte("\r\n"))+2]
	swapped := slices.Concat(body[i+2:bytes.LastIndex(body, []byte("\r\n--"))+2], body[:i], []byte("\r\n"), bytes.TrimSpace(boundary), []byte("--\r\n"))
	wantCode(t, s.send(http.MethodPost, s.info.UploadURL+"/files/content", ada, string(swapped), "Content-Type", kind), http.StatusBadRequest, "metadata_after_file_contents")
	wantCode(t, s.send(http.MethodPost, s.info.UploadURL+"/files/content", ada, "{}", "Content-Type", "application/json"), http.StatusBadRequest, "bad_request")
	wantCode(t, s.send(http.MethodPost, s.info.UploadURL+"/files/content", ada, string(boundary), "Content-Type", kind), http.StatusBadRequest, "bad_request")
	wantCode(t, s.upload(ada, "404", "a", "x"), http.StatusNotFound, "not_found")
	if r := s.upload("garbage", "0", "c", strings.Repeat("x", 3<<20)); r.status != http.StatusUnauthorized || r.body != "" {
		t.Errorf("%d %s", r.status, r.body)
	}

	s.set(func(k *boxsim.Knobs) { k.Quota = 10 })
	wantCode(t, s.upload(ada, "0", "c", "more than ten"), http.StatusForbidden, "storage_limit_exceeded")
	s.set(func(k *boxsim.Knobs) { k.Quota = 20 })
	s.uploaded(ada, "0", "c", "more than ten")
	wantCode(t, s.send(http.MethodOptions, "/files/content", ada, `{"name":"d","size":8,"parent":{"id":"0"}}`), http.StatusForbidden, "storage_limit_exceeded")
	wantCode(t, s.send(http.MethodOptions, "/files/content", ada, `{"name":"C","size":1,"parent":{"id":"0"}}`), http.StatusConflict, "item_name_in_use")
	if r := s.send(http.MethodOptions, "/files/content", ada, `{"name":"d","size":0,"parent":{"id":"0"}}`); r.get("upload_url") != s.info.UploadURL+"/files/content" {
		t.Errorf("%d %s", r.status, r.body)
	}
}
