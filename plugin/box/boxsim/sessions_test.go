package boxsim_test

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // Box's own content hash
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

func digest(content string) string {
	sum := sha1.Sum([]byte(content)) //nolint:gosec // see the import
	return "sha=" + base64.StdEncoding.EncodeToString(sum[:])
}

// smallParts lets little files be uploaded in parts.
func smallParts(k *boxsim.Knobs) { k.ChunkedMinimum, k.PartSize = 10, 4 }

// session is an upload in parts.
type session struct {
	s       *sim
	token   string
	url     string
	content string
	size    int64
}

// session begins an upload of the content.
func (s *sim) session(token, name, content string) *session {
	s.t.Helper()
	r := s.send(http.MethodPost, s.info.UploadURL+"/files/upload_sessions", token,
		fmt.Sprintf(`{"folder_id":"160000000003","file_size":%d,"file_name":%q}`, len(content), name))
	if r.status != http.StatusCreated {
		s.t.Fatalf("%d %s", r.status, r.body)
	}
	return s.sessionOf(r, token, content)
}

func (s *sim) sessionOf(r reply, token, content string) *session {
	var body struct {
		PartSize  int64 `json:"part_size"`
		Endpoints struct {
			Part string `json:"upload_part"`
		} `json:"session_endpoints"`
	}
	if err := json.Unmarshal([]byte(r.body), &body); err != nil {
		s.t.Fatal(err)
	}
	return &session{s: s, token: token, url: body.Endpoints.Part, content: content, size: body.PartSize}
}

// put uploads the part at an offset.
func (u *session) put(offset int64) reply {
	u.s.t.Helper()
	end := min(offset+u.size, int64(len(u.content)))
	part := u.content[offset:end]
	return u.s.send(http.MethodPut, u.url, u.token, part, "Digest", digest(part),
		"Content-Range", fmt.Sprintf("bytes %d-%d/%d", offset, end-1, len(u.content)), "Content-Type", "application/octet-stream")
}

// all uploads all parts and returns what a commit lists.
func (u *session) all() []any {
	u.s.t.Helper()
	var parts []any
	for offset := int64(0); offset < int64(len(u.content)); offset += u.size {
		r := u.put(offset)
		part, ok := r.parse(u.s.t)["part"].(map[string]any)
		if r.status != http.StatusOK || !ok {
			u.s.t.Fatalf("part at %d: %d %s", offset, r.status, r.body)
		}
		parts = append(parts, part)
	}
	return parts
}

func (u *session) commit(parts []any, headers ...string) reply {
	u.s.t.Helper()
	body, err := json.Marshal(map[string]any{"parts": parts})
	if err != nil {
		u.s.t.Fatal(err)
	}
	return u.s.send(http.MethodPost, u.url+"/commit", u.token, string(body), append([]string{"Digest", digest(u.content)}, headers...)...)
}

func TestUploadInParts(t *testing.T) {
	t.Parallel()
	s := newSim(t, withKnobs(smallParts))
	ada := s.signIn("ada@acme.example").access
	u := s.session(ada, "parts.bin", "0123456789abcde")
	r := s.send(http.MethodGet, u.url, ada, "")
	if got := r.parse(t); got["total_parts"] != 4.0 || got["part_size"] != 4.0 || got["num_parts_processed"] != 0.0 || got["session_expires_at"] != "2026-03-08T04:00:00-08:00" {
		t.Errorf("%s", r.body)
	}
	u.put(8) // the order doesn't matter
	for _, offset := range []int64{12, 0, 4} {
		u.put(offset)
	}
	page := s.send(http.MethodGet, u.url+"/parts?limit=3&offset=1", ada, "").parse(t)
	if entries := page["entries"].([]any); page["total_count"] != 4.0 || len(entries) != 3 || entries[0].(map[string]any)["offset"] != 4.0 {
		t.Errorf("%v", page)
	}
	parts := s.send(http.MethodGet, u.url+"/parts", ada, "").parse(t)["entries"].([]any)
	wantCode(t, u.commit(parts[1:]), http.StatusBadRequest, "bad_request")
	got := u.commit(parts).first(t)
	if got["sha1"] != hexSHA1(u.content) || got["size"] != 15.0 || got["name"] != "parts.bin" {
		t.Errorf("%v", got)
	}
	if r := s.content(ada, got["id"].(string)); r.body != u.content {
		t.Errorf("content %q", r.body)
	}
	if r := s.content(ada, got["id"].(string), "Range", "bytes=3-8"); r.body != u.content[3:9] {
		t.Errorf("range over parts %q", r.body)
	}
	wantCode(t, u.commit(parts), http.StatusNotFound, "not_found")

	// A new version, with a precondition and a new name.
	id := got["id"].(string)
	r = s.send(http.MethodPost, s.info.UploadURL+"/files/"+id+"/upload_sessions", ada, `{"file_size":12,"file_name":"parts 2.bin"}`)
	u = s.sessionOf(r, ada, "ABCDEFGHIJKL")
	parts = u.all()
	wantCode(t, u.commit(parts, "If-Match", "7"), http.StatusPreconditionFailed, "precondition_failed")
	if got := u.commit(parts, "If-Match", "0").first(t); got["id"] != id || got["etag"] != "1" || got["name"] != "parts 2.bin" {
		t.Errorf("%v", got)
	}
	if r := s.content(ada, id); r.body != u.content {
		t.Errorf("content %q", r.body)
	}
}

func TestPartRefusals(t *testing.T) {
	t.Parallel()
	s := newSim(t, withKnobs(smallParts))
	ada := s.signIn("ada@acme.example").access
	u := s.session(ada, "parts.bin", "0123456789abcde")
	put := func(body, place, sum string) reply {
		return s.send(http.MethodPut, u.url, ada, body, "Digest", sum, "Content-Range", place)
	}
	wantCode(t, put("0123", "bytes 0-3/15", digest("4567")), http.StatusBadRequest, "digest_mismatch")
	wantCode(t, put("0123", "bytes 0-3/15", "md5=x"), http.StatusBadRequest, "bad_request")
	wantCode(t, put("0123", "0-3", digest("0123")), http.StatusBadRequest, "bad_request")
	wantCode(t, put("012", "bytes 0-3/15", digest("012")), http.StatusBadRequest, "bad_request")
	for _, place := range []string{"bytes 1-4/15", "bytes 0-3/16", "bytes 0-4/15", "bytes 12-15/15", "bytes 16-19/15"} {
		wantCode(t, put("0123", place, digest("0123")), http.StatusRequestedRangeNotSatisfiable, "range_not_satisfiable")
	}
	// A length isn't announced, and has to be right all the same.
	unannounced := func(content string) reply {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, u.url, struct{ *bytes.Buffer }{bytes.NewBufferString(content)})
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Authorization": {"Bearer " + ada}, "Digest": {digest(content)}, "Content-Range": {"bytes 0-3/15"}}
		return s.must(req)
	}
	wantCode(t, unannounced("01234"), http.StatusBadRequest, "bad_request")
	wantCode(t, unannounced("012"), http.StatusBadRequest, "bad_request")
	if r := s.send(http.MethodGet, u.url, ada, ""); r.parse(t)["num_parts_processed"] != 0.0 {
		t.Errorf("a refused part is there: %s", r.body)
	}

	if r := unannounced("0123"); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
	wantCode(t, u.put(0), http.StatusConflict, "range_overlaps_existing_part")
	s.set(func(k *boxsim.Knobs) { k.AcceptRepeatedParts = true })
	if r := u.put(0); r.status != http.StatusOK {
		t.Errorf("repeated: %d %s", r.status, r.body)
	}
	wantCode(t, put("0000", "bytes 0-3/15", digest("0000")), http.StatusConflict, "range_overlaps_existing_part")
	parts := u.all()
	wantCode(t, s.send(http.MethodPost, u.url+"/commit", ada, `{}`, "Digest", digest(u.content)), http.StatusBadRequest, "bad_request")
	wantCode(t, u.commit(append(parts[:3:3], map[string]any{"part_id": "00000000", "offset": 12, "size": 3})), http.StatusBadRequest, "bad_request")
	u.content = "0123456789abcdX"
	r := u.commit(parts)
	wantCode(t, r, http.StatusBadRequest, "digest_mismatch")
	if !strings.Contains(r.get("message"), "Expected: "+strings.TrimPrefix(digest(u.content), "sha=")) {
		t.Errorf("%s", r.body)
	}
	u.content = "0123456789abcde"
	s.uploaded(ada, "160000000003", "parts.bin", "first")
	wantCode(t, u.commit(parts), http.StatusConflict, "item_name_in_use")
}

func TestSessionRefusals(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada, ben := s.signIn("ada@acme.example").access, s.signIn("ben@acme.example").access
	begin := func(body string) reply {
		return s.send(http.MethodPost, s.info.UploadURL+"/files/upload_sessions", ada, body)
	}
	for body, code := range map[string]string{
		`{"file_size":30000000,"file_name":"a"}`:                   "missing_destination",
		`{"folder_id":"x","file_size":30000000,"file_name":"a"}`:   "invalid_folder_id",
		`{"folder_id":"0","file_name":"a"}`:                        "missing_file_size",
		`{"folder_id":"0","file_size":-1,"file_name":"a"}`:         "invalid_file_size",
		`{"folder_id":"0","file_size":19999999,"file_name":"a"}`:   "file_size_too_small",
		`{"folder_id":"0","file_size":30000000}`:                   "missing_file_name",
		`{"folder_id":"0","file_size":30000000,"file_name":"a/b"}`: "item_name_invalid",
		`nothing`: "bad_request",
	} {
		wantCode(t, begin(body), http.StatusBadRequest, code)
	}
	wantCode(t, begin(`{"folder_id":"404","file_size":30000000,"file_name":"a"}`), http.StatusNotFound, "not_found")
	wantCode(t, begin(`{"folder_id":"0","file_size":30000000,"file_name":"budget.csv"}`), http.StatusConflict, "item_name_in_use")
	wantCode(t, begin(`{"folder_id":"0","file_size":6000000000,"file_name":"a"}`), http.StatusForbidden, "file_size_limit_exceeded")
	s.set(func(k *boxsim.Knobs) { k.Quota = 0 })
	wantCode(t, begin(`{"folder_id":"0","file_size":30000000,"file_name":"a"}`), http.StatusForbidden, "storage_limit_exceeded")
	wantCode(t, s.send(http.MethodPost, s.info.UploadURL+"/files/920000000001/upload_sessions", ada, `{"file_size":1}`), http.StatusBadRequest, "file_size_too_small")
	s.set(func(k *boxsim.Knobs) { k.Quota = 1 << 30 })
	r := begin(`{"folder_id":"0","file_size":20000000,"file_name":"a"}`)
	if got := r.parse(t); got["part_size"] != 8388608.0 || got["total_parts"] != 3.0 {
		t.Errorf("%s", r.body)
	}
	s.set(smallParts)
	u := s.session(ada, "b", "0123456789")
	u.put(0)
	wantCode(t, s.send(http.MethodGet, u.url, ben, ""), http.StatusForbidden, "forbidden")
	wantCode(t, s.send(http.MethodGet, u.url[:len(u.url)-1], ada, ""), http.StatusBadRequest, "invalid_upload_session_id")
	s.advance(7 * 24 * time.Hour)
	ada = s.signIn("ada@acme.example").access
	wantCode(t, s.send(http.MethodGet, u.url, ada, ""), http.StatusGone, "session_expired")
	if st := s.contentState(); len(st.UploadSessions) != 2 || st.Stored != 4 {
		t.Errorf("%+v", st)
	}
	s.advance(25 * time.Hour)
	u = s.session(s.signIn("ada@acme.example").access, "c", "0123456789")
	u.put(4)
	if st := s.contentState(); len(st.UploadSessions) != 1 || st.Stored != 4 || st.UploadSessions[0].Parts != 1 {
		t.Errorf("%+v", st)
	}
	if r := s.send(http.MethodDelete, u.url, u.token, ""); r.status != http.StatusNoContent {
		t.Errorf("abort: %d %s", r.status, r.body)
	}
	wantCode(t, u.put(0), http.StatusNotFound, "not_found")
	if st := s.contentState(); len(st.UploadSessions) != 0 || st.Stored != 0 {
		t.Errorf("%+v", st)
	}
}

func (s *sim) contentState() boxsim.ContentState {
	s.t.Helper()
	st, err := s.ctl.State(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return st.Content
}

func TestCommitWaitsForItsParts(t *testing.T) {
	t.Parallel()
	s := newSim(t, withKnobs(smallParts), withKnobs(func(k *boxsim.Knobs) { k.ProcessingTime = boxsim.Duration(3 * time.Second) }))
	ada := s.signIn("ada@acme.example").access
	u := s.session(ada, "late.bin", "0123456789")
	parts := u.all()
	r := u.commit(parts)
	if r.status != http.StatusAccepted || r.header.Get("Retry-After") != "3" || r.body != "" {
		t.Errorf("%d %v %s", r.status, r.header, r.body)
	}
	if got := s.send(http.MethodGet, u.url, ada, "").parse(t); got["num_parts_processed"] != 0.0 {
		t.Errorf("%v", got)
	}
	s.advance(3 * time.Second)
	u.commit(parts).first(t)
}

// Tokens that are narrowed to a folder or a file carry a whole upload.
func TestNarrowedSessions(t *testing.T) {
	t.Parallel()
	s := newSim(t, withKnobs(smallParts))
	ada := s.signIn("ada@acme.example").access
	inside, outside := s.tokenFor(ada, "base_upload", "/folders/160000000003"), s.tokenFor(ada, "base_upload", "/folders/160000000001")
	u := s.session(inside, "a", "0123456789")
	parts := u.all()
	u.token = outside
	wantCode(t, u.commit(parts), http.StatusForbidden, "access_denied_insufficient_permissions")
	u.token = s.tokenFor(ada, "item_download", "/folders/160000000003")
	if r := u.commit(parts); r.status != http.StatusForbidden || r.body != "" {
		t.Errorf("%d %s", r.status, r.body)
	}
	u.token = inside
	u.commit(parts).first(t)
}
