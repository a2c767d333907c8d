package main

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // Box's own content hash
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
)

// The endpoints of folders, files and the search.
const (
	postFolder    = "POST /2.0/folders"
	putFolder     = "PUT /2.0/folders/{folder_id}"
	deleteFolder  = "DELETE /2.0/folders/{folder_id}"
	getFile       = "GET /2.0/files/{file_id}"
	putFile       = "PUT /2.0/files/{file_id}"
	deleteFile    = "DELETE /2.0/files/{file_id}"
	getVersions   = "GET /2.0/files/{file_id}/versions"
	getContent    = "GET /2.0/files/{file_id}/content"
	getAddress    = "GET /d/1/{ticket}/download"
	optionsUpload = "OPTIONS /2.0/files/content"
	getSearch     = "GET /2.0/search"
	postUpload    = "POST /api/2.0/files/content"
	postVersion   = "POST /api/2.0/files/{file_id}/content"
)

// The endpoints of uploads in parts.
const (
	postSession        = "POST /api/2.0/files/upload_sessions"
	postVersionSession = "POST /api/2.0/files/{file_id}/upload_sessions"
	getSession         = "GET /api/2.0/files/upload_sessions/{upload_session_id}"
	putPart            = "PUT /api/2.0/files/upload_sessions/{upload_session_id}"
	deleteSession      = "DELETE /api/2.0/files/upload_sessions/{upload_session_id}"
	getParts           = "GET /api/2.0/files/upload_sessions/{upload_session_id}/parts"
	postCommit         = "POST /api/2.0/files/upload_sessions/{upload_session_id}/commit"
)

// inParts is what is uploaded in parts of partSize bytes.
const (
	inParts  = "0123456789"
	partSize = 6
)

// budget is a file that the emulator begins with.
const budget = "920000000001"

// contentCalls make a folder, fill it, and take it away again.
func contentCalls() []call {
	return append(append(folderCalls(), fileCalls()...), append(sessionCalls(), endCalls()...)...)
}

func folderCalls() []call {
	folder := []string{"type", "id", "etag", "name", "parent", "item_status", "owned_by"}
	return []call{
		{title: "new folder", endpoint: postFolder, holds: folder, make: func(ctx context.Context, s *session) (*reply, error) {
			r, err := s.json(ctx, http.MethodPost, "/folders", `{"name":"New","parent":{"id":"0"}}`)
			if err == nil {
				s.folder = r.text("id")
			}
			return r, err
		}},
		{title: "changed folder", endpoint: putFolder, holds: append(folder, "shared_link"), make: func(ctx context.Context, s *session) (*reply, error) {
			return s.json(ctx, http.MethodPut, "/folders/"+s.folder, `{"name":"Newer","description":"d","tags":["a"],
				"shared_link":{"access":"open","password":"Secret-1234","unshared_at":"2040-01-01T00:00:00Z","permissions":{"can_download":false}},
				"folder_upload_email":{"access":"collaborators"}}`)
		}},
		{title: "changed folder, with all fields", endpoint: putFolder, holds: folder, make: func(ctx context.Context, s *session) (*reply, error) {
			return s.json(ctx, http.MethodPut, "/folders/"+s.folder+"?fields="+s.all(getFolder, ""), `{"sync_state":"synced","can_non_owners_invite":true}`)
		}},
		{title: "moved folder", endpoint: putFolder, holds: folder, make: func(ctx context.Context, s *session) (*reply, error) {
			return s.json(ctx, http.MethodPut, "/folders/"+s.folder, `{"parent":{"id":"`+empty+`"},"shared_link":null}`)
		}},
	}
}

func fileCalls() []call {
	file := []string{"type", "id", "etag", "name", "sha1", "file_version", "size", "parent", "item_status"}
	files := []string{"total_count", "entries"}
	get := func(path string) maker {
		return func(ctx context.Context, s *session) (*reply, error) { return s.api(ctx, s.fill(path)) }
	}
	return []call{
		{title: "upload", endpoint: postUpload, holds: files, make: func(ctx context.Context, s *session) (*reply, error) {
			r, err := s.upload(ctx, "/files/content", fmt.Sprintf(`{"name":"a.txt","parent":{"id":%q}}`, s.folder))
			if err == nil {
				s.file = r.firstID()
			}
			return r, err
		}},
		{title: "upload, with all fields", endpoint: postUpload, holds: files, make: func(ctx context.Context, s *session) (*reply, error) {
			return s.upload(ctx, "/files/content?fields="+s.all(getFile, ""), fmt.Sprintf(`{"name":"b.txt","parent":{"id":%q}}`, s.folder))
		}},
		{title: "new version", endpoint: postVersion, holds: files, make: func(ctx context.Context, s *session) (*reply, error) {
			return s.upload(ctx, "/files/"+s.file+"/content", `{"name":"a.txt"}`)
		}},
		{title: "may be uploaded", endpoint: optionsUpload, holds: []string{"upload_url"}, make: func(ctx context.Context, s *session) (*reply, error) {
			return s.json(ctx, http.MethodOptions, "/files/content", fmt.Sprintf(`{"name":"c.txt","size":10,"parent":{"id":%q}}`, s.folder))
		}},
		{title: "file", endpoint: getFile, holds: file, make: get("/files/FILE")},
		{title: "file, with fields", endpoint: getFile, holds: []string{"name", "size"}, make: get("/files/FILE?fields=name,size")},
		{title: "file, with all fields", endpoint: getFile, holds: file, make: func(ctx context.Context, s *session) (*reply, error) {
			return s.api(ctx, "/files/"+s.file+"?fields="+s.all(getFile, ""))
		}},
		{title: "file that hasn't changed", endpoint: getFile, empty: true, make: func(ctx context.Context, s *session) (*reply, error) {
			return s.sim.request(ctx, http.MethodGet, s.sim.BaseURL+"/2.0/files/"+s.file, s.access, map[string]string{"If-None-Match": "1"}, nil)
		}},
		{title: "changed file", endpoint: putFile, holds: file, make: func(ctx context.Context, s *session) (*reply, error) {
			return s.json(ctx, http.MethodPut, "/files/"+s.file, `{"name":"a 2.txt","description":"d","tags":["a"],"shared_link":{"access":"company"}}`)
		}},
		{title: "versions", endpoint: getVersions, holds: files, make: get("/files/FILE/versions")},
		{title: "versions, with all fields", endpoint: getVersions, holds: files, make: func(ctx context.Context, s *session) (*reply, error) {
			return s.api(ctx, "/files/"+s.file+"/versions?fields="+s.all(getVersions, "entries"))
		}},
		{title: "download", endpoint: getContent, empty: true, make: func(ctx context.Context, s *session) (*reply, error) {
			r, err := s.api(ctx, "/files/"+s.file+"/content")
			if err == nil {
				s.address = r.header.Get("Location")
			}
			return r, err
		}},
		{title: "downloaded content", endpoint: getAddress, make: func(ctx context.Context, s *session) (*reply, error) {
			return s.sim.get(ctx, s.address, "")
		}},
		{title: "download that isn't ready", endpoint: getContent, empty: true, make: func(ctx context.Context, s *session) (*reply, error) {
			if err := s.sim.control(ctx, http.MethodPost, "/faults", map[string]any{
				"match": map[string]string{"path": "/2.0/files/" + budget + "/content"}, "then": map[string]string{"row": "content_not_ready"},
			}, nil); err != nil {
				return nil, err
			}
			return s.api(ctx, "/files/"+budget+"/content")
		}},
	}
}

func sessionCalls() []call {
	described := []string{"type", "id", "part_size", "total_parts", "num_parts_processed", "session_endpoints", "session_expires_at"}
	at := func(method, suffix, body string) maker {
		return func(ctx context.Context, s *session) (*reply, error) {
			return s.sim.request(ctx, method, s.upSession+suffix, s.access, nil, strings.NewReader(body))
		}
	}
	return []call{
		{title: "upload in parts", endpoint: postSession, holds: described, make: beginParts},
		{title: "first part", endpoint: putPart, holds: []string{"part"}, make: part(0)},
		{title: "last part", endpoint: putPart, holds: []string{"part"}, make: part(partSize)},
		{title: "state of an upload", endpoint: getSession, holds: described, make: at(http.MethodGet, "", "")},
		{title: "parts", endpoint: getParts, holds: []string{"total_count", "entries"}, make: at(http.MethodGet, "/parts", "")},
		{title: "commit, not ready", endpoint: postCommit, empty: true, make: commitEarly},
		{title: "commit", endpoint: postCommit, holds: []string{"total_count", "entries"}, make: commit},
		{title: "new version in parts", endpoint: postVersionSession, holds: described, make: func(ctx context.Context, s *session) (*reply, error) {
			return s.begin(ctx, "/files/"+s.file+"/upload_sessions", `{"file_size":10}`)
		}},
		{title: "upload given up", endpoint: deleteSession, empty: true, make: at(http.MethodDelete, "", "")},
	}
}

func endCalls() []call {
	list := []string{"type", "total_count", "entries", "limit", "offset"}
	get := func(path string) maker {
		return func(ctx context.Context, s *session) (*reply, error) { return s.api(ctx, s.fill(path)) }
	}
	remove := func(path string) maker {
		return func(ctx context.Context, s *session) (*reply, error) {
			return s.json(ctx, http.MethodDelete, s.fill(path), "")
		}
	}
	return []call{
		{title: "items of a folder with files", endpoint: getItems, holds: []string{"entries"}, make: get("/folders/FOLDER/items")},
		{title: "items of a folder with files, with all fields", endpoint: getItems, holds: []string{"entries"}, make: func(ctx context.Context, s *session) (*reply, error) {
			return s.api(ctx, "/folders/"+s.folder+"/items?fields="+s.all(getItems, "entries"))
		}},
		{title: "search", endpoint: getSearch, holds: list, make: get("/search?query=e")},
		{title: "search, with fields", endpoint: getSearch, holds: list, make: get("/search?query=order&limit=2&offset=1&fields=name,size")},
		{title: "search, with all fields", endpoint: getSearch, holds: list, make: func(ctx context.Context, s *session) (*reply, error) {
			return s.api(ctx, "/search?query=e&fields="+s.all(getSearch, "entries"))
		}},
		{title: "search without a result", endpoint: getSearch, holds: list, make: get("/search?query=nothing")},
		{title: "deleted file", endpoint: deleteFile, empty: true, make: remove("/files/FILE")},
		{title: "deleted folder", endpoint: deleteFolder, empty: true, make: remove("/folders/FOLDER?recursive=true")},
		{title: "search in the trash", endpoint: getSearch, holds: list, make: func(ctx context.Context, s *session) (*reply, error) {
			if err := s.knobs(ctx, map[string]any{"index_delay": "0s"}); err != nil {
				return nil, err
			}
			return s.api(ctx, "/search?query=txt&trash_content=trashed_only")
		}},
	}
}

// fill puts the IDs of the session's folder and file into a path.
func (s *session) fill(path string) string {
	return strings.NewReplacer("FOLDER", s.folder, "FILE", s.file).Replace(path)
}

// all are the names of all fields that the file gives an answer.
func (s *session) all(endpoint, list string) string {
	return strings.Join(s.doc.fields(endpoint, list), ",")
}

func (s *session) knobs(ctx context.Context, knobs map[string]any) error {
	return s.sim.control(ctx, http.MethodPatch, "/knobs", knobs, nil)
}

func (s *session) json(ctx context.Context, method, path, body string) (*reply, error) {
	return s.sim.request(ctx, method, s.sim.BaseURL+"/2.0"+path, s.access, map[string]string{"Content-Type": "application/json"}, strings.NewReader(body))
}

// upload sends a small file.
func (s *session) upload(ctx context.Context, path, attributes string) (*reply, error) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	if err := w.WriteField("attributes", attributes); err != nil {
		return nil, err
	}
	part, err := w.CreateFormFile("file", "file")
	if err != nil {
		return nil, err
	}
	if _, err := part.Write([]byte("content\n")); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return s.sim.request(ctx, http.MethodPost, s.sim.UploadURL+path, s.access, map[string]string{"Content-Type": w.FormDataContentType()}, &body)
}

// beginParts begins an upload in parts, of a file that is small enough for a
// test.
func beginParts(ctx context.Context, s *session) (*reply, error) {
	if err := s.knobs(ctx, map[string]any{"chunked_minimum": 1, "part_size": partSize}); err != nil {
		return nil, err
	}
	return s.begin(ctx, "/files/upload_sessions", fmt.Sprintf(`{"folder_id":%q,"file_size":%d,"file_name":"parts"}`, s.folder, len(inParts)))
}

func (s *session) begin(ctx context.Context, path, body string) (*reply, error) {
	r, err := s.sim.request(ctx, http.MethodPost, s.sim.UploadURL+path, s.access, nil, strings.NewReader(body))
	if err == nil {
		s.upSession = s.sim.UploadURL + "/files/upload_sessions/" + r.text("id")
	}
	return r, err
}

func digest(content string) string {
	sum := sha1.Sum([]byte(content)) //nolint:gosec // see the import
	return "sha=" + base64.StdEncoding.EncodeToString(sum[:])
}

// part uploads the part at an offset and keeps what the answer says of it.
func part(offset int) maker {
	return func(ctx context.Context, s *session) (*reply, error) {
		end := min(offset+partSize, len(inParts))
		content := inParts[offset:end]
		r, err := s.sim.request(ctx, http.MethodPut, s.upSession, s.access, map[string]string{
			"Digest": digest(content), "Content-Range": fmt.Sprintf("bytes %d-%d/%d", offset, end-1, len(inParts)),
		}, strings.NewReader(content))
		if err != nil {
			return nil, err
		}
		var body struct {
			Part json.RawMessage `json:"part"`
		}
		if json.Unmarshal(r.body, &body) == nil {
			s.parts = append(s.parts, string(body.Part))
		}
		return r, nil
	}
}

func commit(ctx context.Context, s *session) (*reply, error) {
	return s.sim.request(ctx, http.MethodPost, s.upSession+"/commit", s.access, map[string]string{"Digest": digest(inParts)},
		strings.NewReader(`{"parts":[`+strings.Join(s.parts, ",")+`]}`))
}

// commitEarly commits while the parts aren't ready yet.
func commitEarly(ctx context.Context, s *session) (*reply, error) {
	if err := s.knobs(ctx, map[string]any{"processing_time": "1h"}); err != nil {
		return nil, err
	}
	r, err := commit(ctx, s)
	if err != nil {
		return nil, err
	}
	return r, s.knobs(ctx, map[string]any{"processing_time": "0s"})
}

// text is a string of the answer's body, or empty.
func (r *reply) text(name string) string {
	var body map[string]any
	if json.Unmarshal(r.body, &body) != nil {
		return ""
	}
	text, _ := body[name].(string)
	return text
}

// firstID is the ID of the first entry of a list.
func (r *reply) firstID() string {
	var body struct {
		Entries []struct {
			ID string `json:"id"`
		} `json:"entries"`
	}
	if json.Unmarshal(r.body, &body) != nil || len(body.Entries) == 0 {
		return ""
	}
	return body.Entries[0].ID
}
