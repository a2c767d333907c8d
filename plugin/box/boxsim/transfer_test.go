package boxsim_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

const uploadPath = "/api/2.0/files/content"

// about describes a file for root.
func about(name string) string { return fmt.Sprintf(`{"name":%q,"parent":{"id":"0"}}`, name) }

// A connection that breaks in the middle of an upload leaves nothing behind.
func TestUploadBreaks(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada := s.signIn("ada@acme.example").access
	content := bytes.Repeat([]byte("x"), 1<<20)
	f := s.fault(boxsim.Fault{Match: boxsim.Match{Path: uploadPath}, Then: boxsim.Action{Drop: true, AfterBytes: 500_000}})
	if r, err := s.do(s.uploadRequest("/files/content", ada, about("a"), content)); err == nil {
		t.Errorf("got %d %s", r.status, r.body)
	}
	seen := s.wait(boxsim.RequestQuery{Path: uploadPath, Stage: boxsim.Done}, 1)
	if got := seen[0]; got.Received != 500_000 || !got.Dropped || got.Committed || got.Fault != f.ID {
		t.Errorf("%+v", got)
	}
	if st := s.contentState(); st.Files != 8 || st.Stored != 0 {
		t.Errorf("%+v", st)
	}
	s.uploaded(ada, "0", "a", string(content)) // the name is free
}

// Whatever the fault, the client gets its answer although it is still sending.
func TestUploadIsRefusedMidway(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada := s.signIn("ada@acme.example")
	content := bytes.Repeat([]byte("x"), 4<<20)
	for _, tc := range []struct {
		then   boxsim.Action
		status int
	}{
		{boxsim.Action{Row: "api_unavailable", AfterBytes: 1 << 20}, http.StatusServiceUnavailable},
		{boxsim.Action{Status: 429, Headers: map[string]string{"retry-after": "7"}}, http.StatusTooManyRequests},
		{boxsim.Action{ExpireToken: true, AfterBytes: 1 << 20}, http.StatusUnauthorized},
	} {
		s.fault(boxsim.Fault{Match: boxsim.Match{Path: uploadPath}, Then: tc.then})
		if r := s.must(s.uploadRequest("/files/content", ada.access, about("a"), content)); r.status != tc.status {
			t.Errorf("%+v: %d %s", tc.then, r.status, r.body)
		}
	}
	if s.works(ada.access) {
		t.Error("the token should have expired")
	}
	ada = s.renewed(ada.refresh)
	s.uploaded(ada.access, "0", "a", string(content))
}

// An answer that is lost after the upload took effect: the file is there.
func TestUploadedButNotTold(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada := s.signIn("ada@acme.example").access
	s.fault(boxsim.Fault{Match: boxsim.Match{Path: uploadPath}, Then: boxsim.Action{When: boxsim.AfterCommit, Drop: true}})
	if r, err := s.do(s.uploadRequest("/files/content", ada, about("a"), []byte("x"))); err == nil {
		t.Errorf("got %d %s", r.status, r.body)
	}
	wantCode(t, s.upload(ada, "0", "a", "x"), http.StatusConflict, "item_name_in_use")
}

// A request that is held in the middle can be watched there.
func TestUploadIsHeldMidway(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada := s.signIn("ada@acme.example").access
	f := s.fault(boxsim.Fault{Match: boxsim.Match{Path: uploadPath}, Then: boxsim.Action{Hold: true, AfterBytes: 100_000}})
	done := make(chan reply, 1)
	req := s.uploadRequest("/files/content", ada, about("a"), bytes.Repeat([]byte("x"), 1<<20))
	go func() {
		r, err := s.do(req)
		if err != nil {
			r.body = err.Error()
		}
		done <- r
	}()
	if got := s.wait(boxsim.RequestQuery{Path: uploadPath, Stage: boxsim.Held}, 1)[0]; got.Received != 100_000 || got.Stage != boxsim.Held {
		t.Errorf("%+v", got)
	}
	if err := s.ctl.Release(t.Context(), f.ID); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.status != http.StatusCreated {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestDownloadBreaks(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada := s.signIn("ada@acme.example").access
	content := strings.Repeat("0123456789abcdef", 1<<16)
	id := s.uploaded(ada, "0", "a", content)
	const path = "/d/1/*"
	for _, tc := range []struct {
		then boxsim.Action
		got  int
	}{
		{boxsim.Action{Drop: true, AfterBytes: 300_000}, 300_000},
		{boxsim.Action{Truncate: true}, len(content) / 2},
		{boxsim.Action{Truncate: true, AfterBytes: 10}, 10},
		{boxsim.Action{Truncate: true, AfterBytes: 11, When: boxsim.AfterCommit}, 11},
	} {
		s.fault(boxsim.Fault{Match: boxsim.Match{Path: path}, Then: tc.then})
		where := s.send(http.MethodGet, "/files/"+id+"/content", ada, "").header.Get("Location")
		res, err := s.hc.Do(s.request(http.MethodGet, where, ""))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		if cerr := res.Body.Close(); cerr != nil {
			t.Error(cerr)
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) != tc.got || string(got) != content[:len(got)] {
			t.Errorf("%+v: %d bytes, %v", tc.then, len(got), err)
		}
		// The rest can be had.
		s.must(s.request(http.MethodGet, where, ""))
		req := s.request(http.MethodGet, where, "")
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", len(got)))
		if r := s.must(req); string(got)+r.body != content {
			t.Errorf("%+v: the rest has %d bytes", tc.then, len(r.body))
		}
	}
	if err := s.ctl.ResetRequests(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.fault(boxsim.Fault{Match: boxsim.Match{Path: path}, Then: boxsim.Action{Hold: true, AfterBytes: 1000}})
	where := s.send(http.MethodGet, "/files/"+id+"/content", ada, "").header.Get("Location")
	done := make(chan reply, 1)
	req := s.request(http.MethodGet, where, "")
	go func() {
		r, err := s.do(req)
		if err != nil {
			r.body = err.Error()
		}
		done <- r
	}()
	if got := s.wait(boxsim.RequestQuery{Path: path, Stage: boxsim.Held}, 1)[0]; got.Sent != 1000 {
		t.Errorf("%+v", got)
	}
	if err := s.ctl.ClearFaults(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.body != content {
		t.Errorf("%d, %d bytes", r.status, len(r.body))
	}
	s.fault(boxsim.Fault{Match: boxsim.Match{Path: path}, Then: boxsim.Action{SlowBody: boxsim.Duration(200 * time.Millisecond)}})
	begun := time.Now()
	if r := s.must(s.request(http.MethodGet, where, "")); r.body != content || time.Since(begun) < 150*time.Millisecond {
		t.Errorf("%d bytes after %s", len(r.body), time.Since(begun))
	}
}

// Faults on a part, and on the path of other calls.
func TestFaultsOnContentCalls(t *testing.T) {
	t.Parallel()
	s := newSim(t, withKnobs(smallParts))
	ada := s.signIn("ada@acme.example").access
	u := s.session(ada, "a", "0123456789")
	const path = "/api/2.0/files/upload_sessions/*"
	s.fault(boxsim.Fault{Match: boxsim.Match{Method: http.MethodPut, Path: path}, Then: boxsim.Action{Drop: true, AfterBytes: 2}})
	req := s.request(http.MethodPut, u.url, "0123")
	req.Header = http.Header{"Authorization": {"Bearer " + ada}, "Digest": {digest("0123")}, "Content-Range": {"bytes 0-3/10"}}
	if r, err := s.do(req); err == nil {
		t.Errorf("got %d %s", r.status, r.body)
	}
	s.fault(boxsim.Fault{Match: boxsim.Match{Method: http.MethodPut, Path: path}, Then: boxsim.Action{Row: "content_digest_mismatch"}})
	wantCode(t, u.put(0), http.StatusBadRequest, "digest_mismatch")
	parts := u.all()
	for row, want := range map[string]int{"content_upload_failed": 410, "api_precondition_failed": 412, "content_item_name_in_use": 409, "content_storage_limit": 403} {
		s.fault(boxsim.Fault{Match: boxsim.Match{Path: path}, Then: boxsim.Action{Row: row}})
		if r := u.commit(parts); r.status != want {
			t.Errorf("%s: %d %s", row, r.status, r.body)
		}
	}
	u.commit(parts).first(t)
	s.fault(boxsim.Fault{Match: boxsim.Match{Method: http.MethodDelete, Path: "/2.0/folders/*"}, Then: boxsim.Action{Row: "content_operation_blocked"}})
	wantCode(t, s.send(http.MethodDelete, "/folders/160000000003?recursive=true", ada, ""), http.StatusConflict, "operation_blocked_temporary")
	for _, wrong := range []boxsim.Action{
		{AfterBytes: -1, Drop: true}, {AfterBytes: 5}, {AfterBytes: 5, When: boxsim.AfterCommit, Row: "api_unavailable"},
	} {
		if _, err := s.ctl.AddFault(t.Context(), boxsim.Fault{Then: wrong}); err == nil {
			t.Errorf("%+v is taken", wrong)
		}
	}
}

// Content lies in one private folder, which is gone with the emulator.
func TestContentFolder(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	in, err := boxsim.Listen(t.Context(), "localhost:0", boxsim.Options{ContentFolder: parent, Now: func() time.Time { return noon }}, boxsim.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	hc := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ctl := in.Control()
	ctl.Client = hc
	s := &sim{t: t, in: in, info: in.Info(), ctl: ctl, hc: hc}
	ada := s.signIn("ada@acme.example").access
	id := s.uploaded(ada, "0", "a", strings.Repeat("x", 1000))
	folders, err := filepath.Glob(filepath.Join(parent, "*"))
	if err != nil || len(folders) != 1 {
		t.Fatalf("%v, %v", folders, err)
	}
	if info, err := os.Stat(folders[0]); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if st := s.contentState(); st.Stored != 1000 {
		t.Errorf("%+v", st)
	}
	s.send(http.MethodDelete, "/files/"+id, ada, "")
	files, err := filepath.Glob(filepath.Join(folders[0], "*"))
	if err != nil || len(files) != 0 || s.contentState().Stored != 0 {
		t.Errorf("after the deletion: %v, %v", files, err)
	}
	s.uploaded(ada, "0", "b", "y")
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(parent, "*")); err != nil || len(left) != 0 {
		t.Errorf("at the end: %v, %v", left, err)
	}
}

// A body that ends early, although its client waits for an answer, is none.
func TestHalfABody(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada := s.signIn("ada@acme.example").access
	req := s.uploadRequest("/files/content", ada, about("a"), bytes.Repeat([]byte("x"), 1000))
	whole, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.info.ContentURL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		uploadPath, ada, req.Header.Get("Content-Type"), len(whole), whole[:len(whole)/2]); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); len(got) > 0 {
		t.Errorf("answered %q, %v", got, err)
	}
	if got := s.wait(boxsim.RequestQuery{Path: uploadPath, Stage: boxsim.Done}, 1)[0]; !got.ClientGone || got.Committed {
		t.Errorf("%+v", got)
	}
	if st := s.contentState(); st.Files != 8 || st.Stored != 0 {
		t.Errorf("%+v", st)
	}

	// A whole request whose form isn't.
	body, kind := form(t, about("a"), []byte("content"))
	wantCode(t, s.send(http.MethodPost, s.info.UploadURL+"/files/content", ada, string(body[:len(body)-30]), "Content-Type", kind), http.StatusBadRequest, "bad_request")
	if st := s.contentState(); st.Files != 8 || st.Stored != 0 {
		t.Errorf("%+v", st)
	}
}

// Of many uploads of one name at the same time one wins, and the others leave
// nothing behind. Parts may come at the same time too.
func TestUploadsAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := newSim(t, withKnobs(smallParts))
	ada := s.signIn("ada@acme.example").access
	const clients = 8
	content := strings.Repeat("0123456789", 10_000)
	together := func(call func(n int) *http.Request) map[int]int {
		var wg sync.WaitGroup
		answers := make(chan int, clients)
		for n := range clients {
			req := call(n)
			wg.Go(func() {
				r, err := s.do(req)
				if err != nil {
					t.Error(err)
				}
				answers <- r.status
			})
		}
		wg.Wait()
		close(answers)
		got := map[int]int{}
		for status := range answers {
			got[status]++
		}
		return got
	}
	got := together(func(int) *http.Request { return s.uploadRequest("/files/content", ada, about("same"), []byte(content)) })
	if got[http.StatusCreated] != 1 || got[http.StatusConflict] != clients-1 || s.contentState().Stored != int64(len(content)) {
		t.Errorf("%v, %+v", got, s.contentState())
	}
	u := s.session(ada, "parts", content[:4*clients])
	put := func(n int) *http.Request {
		part := u.content[4*n : 4*n+4]
		req := s.request(http.MethodPut, u.url, part)
		req.Header = http.Header{"Authorization": {"Bearer " + ada}, "Digest": {digest(part)},
			"Content-Range": {fmt.Sprintf("bytes %d-%d/%d", 4*n, 4*n+3, len(u.content))}}
		return req
	}
	if got := together(put); got[http.StatusOK] != clients {
		t.Errorf("%v", got)
	}
	if got := together(put); got[http.StatusConflict] != clients {
		t.Errorf("again: %v", got)
	}
	parts := s.send(http.MethodGet, u.url+"/parts", ada, "").parse(t)["entries"].([]any)
	body, err := json.Marshal(map[string]any{"parts": parts})
	if err != nil {
		t.Fatal(err)
	}
	got = together(func(int) *http.Request {
		req := s.request(http.MethodPost, u.url+"/commit", string(body))
		req.Header = http.Header{"Authorization": {"Bearer " + ada}, "Digest": {digest(u.content)}}
		return req
	})
	if got[http.StatusCreated] != 1 || got[http.StatusNotFound]+got[http.StatusConflict] != clients-1 {
		t.Errorf("commits: %v", got)
	}
	if st := s.contentState(); st.Stored != int64(len(content)+len(u.content)) || len(st.UploadSessions) != 0 {
		t.Errorf("%+v", st)
	}
}
