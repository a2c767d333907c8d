package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// refusalCall is a call that the emulator itself refuses, without a fault. Like
// a row of the catalogue it may differ from the file; then it is listed with
// the grade of its evidence.
type refusalCall struct {
	title    string
	endpoint string
	status   int
	entry    string // of the emulator's evidence
	make     maker
}

// refusalCalls are made after the success calls: those leave nothing behind but
// what the emulator began with.
func refusalCalls() []refusalCall {
	send := func(method, path, body string, headers ...string) maker {
		return func(ctx context.Context, s *session) (*reply, error) {
			h := map[string]string{}
			for i := 0; i < len(headers); i += 2 {
				h[headers[i]] = headers[i+1]
			}
			base := s.sim.BaseURL + "/2.0"
			if rest, ok := strings.CutPrefix(path, "UPLOAD"); ok {
				base, path = s.sim.UploadURL, rest
			}
			return s.sim.request(ctx, method, base+path, s.access, h, strings.NewReader(body))
		}
	}
	sessions, unknown := "UPLOAD/files/upload_sessions", "/00000000000000000000000000000000"
	return append([]refusalCall{
		{"folder without a name", postFolder, 400, postFolder, send(http.MethodPost, "/folders", `{"parent":{"id":"0"}}`)},
		{"folder with a bad name", postFolder, 400, postFolder + ": names", send(http.MethodPost, "/folders", `{"name":"a/b","parent":{"id":"0"}}`)},
		{"folder with a long name", postFolder, 400, postFolder + ": length of names", send(http.MethodPost, "/folders", fmt.Sprintf(`{"name":%q,"parent":{"id":"0"}}`, strings.Repeat("x", 256)))},
		{"folder whose name is in use", postFolder, 409, postFolder + ": name in use", send(http.MethodPost, "/folders", `{"name":"Empty","parent":{"id":"0"}}`)},
		{"folder in an unknown folder", postFolder, 404, postFolder, send(http.MethodPost, "/folders", `{"name":"a","parent":{"id":"404"}}`)},
		{"folder into itself", putFolder, 400, putFolder + ": cycle", send(http.MethodPut, "/folders/"+contracts, `{"parent":{"id":"`+contracts+`"}}`)},
		{"folder that has changed", putFolder, 412, putFolder, send(http.MethodPut, "/folders/"+contracts, `{"name":"a"}`, "If-Match", "99")},
		{"folder that isn't empty", deleteFolder, 400, deleteFolder, send(http.MethodDelete, "/folders/"+contracts, "")},
		{"root folder changed", putFolder, 403, putFolder + ": root", send(http.MethodPut, "/folders/0", `{"name":"a"}`)},
		{"unknown file", getFile, 404, getFile, send(http.MethodGet, "/files/404", "")},
		{"file that has changed", deleteFile, 412, deleteFile, send(http.MethodDelete, "/files/"+budget, "", "If-Match", "99")},
		{"file whose name is in use", putFile, 409, postUpload + ": name in use", send(http.MethodPut, "/files/"+budget, `{"name":"Welcome.txt"}`)},
		{"content of an unknown file", getContent, 404, getContent, send(http.MethodGet, "/files/404/content", "")},
		{"range outside of the file", getAddress, 416, getAddress + ": ranges", outOfRange},
		{"search for nothing", getSearch, 400, getSearch + ": neither query nor mdfilters", send(http.MethodGet, "/search?type=file", "")},
		{"search in an unknown folder", getSearch, 404, getSearch, send(http.MethodGet, "/search?query=a&ancestor_folder_ids=404", "")},
		{"search with a large limit", getSearch, 400, getSearch + ": limit", send(http.MethodGet, "/search?query=a&limit=201", "")},
		{"upload whose name is in use", postUpload, 409, postUpload + ": name in use", func(ctx context.Context, s *session) (*reply, error) {
			return s.upload(ctx, "/files/content", `{"name":"Budget.csv","parent":{"id":"0"}}`)
		}},
		{"upload without a form", postUpload, 400, postUpload, send(http.MethodPost, "UPLOAD/files/content", "")},
		{"upload that may not be", optionsUpload, 409, optionsUpload, send(http.MethodOptions, "/files/content", `{"name":"Budget.csv","size":1,"parent":{"id":"0"}}`)},
		{"upload to a full account", optionsUpload, 403, postUpload + ": full account", send(http.MethodOptions, "/files/content", `{"name":"a","size":5000000000,"parent":{"id":"0"}}`)},
		{"small upload in parts", postSession, 400, postSession, send(http.MethodPost, sessions, `{"folder_id":"0","file_size":0,"file_name":"a"}`)},
		{"upload in parts without a folder", postSession, 400, postSession, send(http.MethodPost, sessions, `{"file_size":30000000,"file_name":"a"}`)},
		{"malformed session", getSession, 400, getSession + ": malformed ID", send(http.MethodGet, sessions+"/x", "")},
		{"unknown session", getSession, 404, getSession + ": unknown session", send(http.MethodGet, sessions+unknown, "")},
		{"unknown session given up", deleteSession, 404, getSession + ": unknown session", send(http.MethodDelete, sessions+unknown, "")},
	}, partRefusals()...)
}

// partRefusals are about an upload in parts that the first of them begins.
func partRefusals() []refusalCall {
	put := func(place, content, sum string) maker {
		return func(ctx context.Context, s *session) (*reply, error) {
			return s.sim.request(ctx, http.MethodPut, s.upSession, s.access, map[string]string{"Digest": sum, "Content-Range": place}, strings.NewReader(content))
		}
	}
	return []refusalCall{
		{"part with a wrong digest", putPart, 400, putPart + ": wrong digest", func(ctx context.Context, s *session) (*reply, error) {
			if _, err := s.begin(ctx, "/files/"+budget+"/upload_sessions", `{"file_size":10}`); err != nil {
				return nil, err
			}
			return put("bytes 0-5/10", "012345", digest("x"))(ctx, s)
		}},
		{"part at a wrong place", putPart, 416, putPart + ": code of the status 416", put("bytes 1-6/10", "123456", digest("123456"))},
		{"part with a wrong length", putPart, 400, putPart + ": length that isn't the range's", put("bytes 0-5/10", "0123", digest("0123"))},
		{"part that overlaps", putPart, 409, putPart + ": the same part again", func(ctx context.Context, s *session) (*reply, error) {
			if _, err := part(0)(ctx, s); err != nil {
				return nil, err
			}
			return part(0)(ctx, s)
		}},
		{"commit without its parts", postCommit, 400, postCommit + ": missing or unknown parts", func(ctx context.Context, s *session) (*reply, error) {
			s.parts = nil
			return commit(ctx, s)
		}},
	}
}

// outOfRange asks for bytes behind the end of a file.
func outOfRange(ctx context.Context, s *session) (*reply, error) {
	r, err := s.api(ctx, "/files/"+budget+"/content")
	if err != nil {
		return nil, err
	}
	return s.sim.request(ctx, http.MethodGet, r.header.Get("Location"), "", map[string]string{"Range": "bytes=9999-"}, nil)
}

// refusals makes the calls that are refused.
func (rep *report) refusals(ctx context.Context, s *session, all []refusalCall) error {
	if err := s.signIn(ctx, s.sim.Users[0].Login); err != nil {
		return err
	}
	if err := s.knobs(ctx, map[string]any{"quota": 1 << 30, "chunked_minimum": 1, "part_size": partSize}); err != nil {
		return err
	}
	for _, c := range all {
		r, err := c.make(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", c.title, err)
		}
		grade := rep.evidence[c.entry]
		if r.status != c.status || grade == "" {
			rep.problems = append(rep.problems, fmt.Sprintf("%s: the emulator answers %d, expected %d with the evidence %q", c.title, r.status, c.status, c.entry))
		}
		f := finding{name: c.title, where: c.endpoint, grade: grade, status: r.status}
		if outside[c.endpoint] == "" {
			f.differs = s.doc.failure(c.endpoint, r)
		}
		rep.failures = append(rep.failures, f)
	}
	return nil
}
