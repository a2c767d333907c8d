package operations_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"github.com/boxconnection/connector/plugin/box/boxsim"
	"github.com/boxconnection/connector/plugin/box/operations"
	"github.com/boxconnection/connector/proto/connector"
)

const anyItems = "/2.0/folders/0/items"

// A list is read to its end by its markers, with the fields that were asked
// for; it goes on from each of its checkpoints.
func TestList(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for n := range 5 {
		p.one(p.run("create-folder", operations.CreateFolderInput{Name: fmt.Sprint("folder ", n)}, work{}))
	}
	input := operations.ListInput{FolderID: "0", Fields: []string{"name", "id"}, PageSize: 2}
	all := p.run("get-folder-items", input, work{})
	if all.err != nil || len(all.documents) < 5 || len(all.checkpoints) != (len(all.documents)-1)/2 {
		t.Fatalf("%d documents, %d checkpoints: %v", len(all.documents), len(all.checkpoints), all.err)
	}
	names := map[string]bool{}
	for _, item := range all.documents {
		names[item.Name] = true
		if item.Type == "" || item.ID == "" || item.ETag != "" {
			t.Errorf("fields that weren't asked for, or not those that were: %+v", item)
		}
	}
	if len(names) != len(all.documents) {
		t.Error("an item came twice")
	}
	for i, mark := range all.checkpoints {
		rest := p.run("get-folder-items", input, work{checkpoint: mark})
		if want := len(all.documents) - 2*(i+1); rest.err != nil || len(rest.documents) != want {
			t.Errorf("from checkpoint %d come %d documents, want %d: %v", i, len(rest.documents), want, rest.err)
		}
	}
}

// A list whose markers lead back to a page before is an error, however long
// the way back is.
func TestListInCircles(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for circle := 1; circle <= 3; circle++ {
		for n := range 12 {
			p.fault(boxsim.Fault{Match: boxsim.Match{Path: anyItems}, Then: boxsim.Action{
				Status: 200, Body: fmt.Sprintf(`{"entries":[],"next_marker":"m%d"}`, n%circle),
			}})
		}
		d := p.fails(p.run("get-folder-items", operations.ListInput{FolderID: "0", PageSize: 1}, work{}), connector.UnexpectedAnswer)
		if d.Disposition != connector.Retry {
			t.Errorf("a circle of %d: %v", circle, d)
		}
		if err := p.control.ClearFaults(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// What is searched for reaches Box in its own words.
func TestSearchParameters(t *testing.T) {
	t.Parallel()
	asked := make(chan url.Values, 1)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Query()
		_, _ = io.WriteString(w, `{"entries":[],"total_count":0}`)
	}))
	defer api.Close()
	p := newPlaceAt(t, api.URL)
	p.fails(p.run("search", map[string]any{"query": "  "}, work{}), connector.InputInvalid)
	p.fails(p.run("search", map[string]any{"mdfilters": nil}, work{}), connector.InputInvalid)
	p.fails(p.run("search", map[string]any{"query": "x", "type": "user", "page_size": 201, "file_extensions": []string{"a,b"}}, work{}), connector.InputInvalid)
	if len(asked) != 0 {
		t.Fatalf("sent: %v", <-asked)
	}
	from, to := int64(0), int64(1000)
	o := p.run("search", operations.SearchInput{
		Query: `"two words" AND x`, Type: "file", AncestorFolderIDs: []string{"0", "160000000003"}, FileExtensions: []string{"pdf", "txt"},
		ContentTypes: []string{"name", "tag"}, CreatedAfter: "2020-01-01T00:00:00Z", UpdatedBefore: "2030-01-01T00:00:00+01:00",
		SizeFrom: &from, SizeTo: &to, OwnerUserIDs: []string{"7", "8"}, TrashContent: "non_trashed_only", Fields: []string{"name", "type"},
		MetadataFilters: json.RawMessage(`{"scope":"global"}`), PageSize: 20, MaxResults: 5,
	}, work{})
	if o.err != nil || !o.done || len(o.documents) != 0 {
		t.Fatal(o.err)
	}
	want := url.Values{
		"query": {`"two words" AND x`}, "type": {"file"}, "ancestor_folder_ids": {"0,160000000003"}, "file_extensions": {"pdf,txt"},
		"content_types": {"name,tag"}, "created_at_range": {"2020-01-01T00:00:00Z,"}, "updated_at_range": {",2030-01-01T00:00:00+01:00"},
		"size_range": {"0,1000"}, "owner_user_ids": {"7,8"}, "trash_content": {"non_trashed_only"}, "fields": {"type,id,name"},
		"mdfilters": {`[{"scope":"global"}]`}, "limit": {"5"}, "offset": {"0"},
	}
	got := <-asked
	for name := range want {
		if got.Get(name) != want.Get(name) {
			t.Errorf("%s is %q, want %q", name, got.Get(name), want.Get(name))
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("also sent: %v", got)
	}
}

// A search is read page by page, up to where Box's own ends, and goes on from
// its checkpoints.
func TestSearchPages(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	page := func(from, n int, total int64) {
		entries := make([]json.RawMessage, 0, n)
		for i := range n {
			entries = append(entries, json.RawMessage(fmt.Sprintf(`{"type":"file","id":"%d"}`, from+i)))
		}
		body, err := json.Marshal(map[string]any{"entries": entries, "total_count": total})
		if err != nil {
			t.Fatal(err)
		}
		p.fault(boxsim.Fault{Match: boxsim.Match{Path: "/2.0/search"}, Then: boxsim.Action{Status: 200, Body: string(body)}})
	}
	input := operations.SearchInput{Query: "x", PageSize: 2}
	page(1, 2, 3)
	page(3, 1, 3)
	o := p.run("search", input, work{})
	if o.err != nil || len(o.documents) != 3 || len(o.checkpoints) != 1 {
		t.Fatalf("%d documents, %d checkpoints: %v", len(o.documents), len(o.checkpoints), o.err)
	}
	page(3, 1, 3)
	if o = p.run("search", input, work{checkpoint: o.checkpoints[0]}); o.err != nil || len(o.documents) != 1 {
		t.Errorf("%d documents: %v", len(o.documents), o.err)
	}
	// One whose pages end before its count says so.
	page(1, 2, 30)
	page(3, 0, 30)
	if o = p.run("search", input, work{}); o.err != nil || len(o.documents) != 2 {
		t.Errorf("%d documents: %v", len(o.documents), o.err)
	}
	page(10000, 2, 20000)
	p.fails(p.run("search", input, work{checkpoint: []byte("9999")}), connector.LimitExceeded)
	p.fails(p.run("search", input, work{checkpoint: []byte("-1")}), connector.CheckpointUnreadable)
}

// A version that was asked for comes, and says which it is; a file without
// content comes empty.
func TestVersions(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	first := p.upload("versions", []byte("one"))
	p.one(p.run("upsert-file", operations.UploadInput{Name: "versions"}, whole([]byte("number two"))))
	p.download(first.ID, []byte("number two"))
	o := p.run("get-file", operations.GetFileInput{FileID: first.ID, VersionID: first.FileVersion.ID}, work{})
	if item := p.one(o); string(o.content) != "one" || item.FileVersion.ID != first.FileVersion.ID || item.SHA1 != "" {
		t.Errorf("%q of %+v", o.content, item)
	}
	p.download(p.upload("no content", nil).ID, nil)
}

// A download counts only if it is what Box said of it.
func TestDamagedDownloads(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	content := bytes.Repeat([]byte("0123456789"), 10_000) // text, as the fault's body is
	file := p.upload("file", content)
	other := slices.Clone(content)
	other[50_000] ^= 1
	for name, body := range map[string][]byte{"another digest": other, "longer": append(slices.Clone(content), "more"...)} {
		p.fault(boxsim.Fault{Match: boxsim.Match{Path: "/d/*"}, Then: boxsim.Action{Status: 200, Body: string(body)}})
		o := p.run("get-file", operations.GetFileInput{FileID: file.ID}, work{})
		if d := p.fails(o, connector.ContentDamaged); d.Disposition != connector.Retry || d.Origin != connector.OriginService {
			t.Errorf("%s: %+v", name, d)
		}
	}
	// Shorter, and then the rest; broken off, and then all over again.
	p.fault(boxsim.Fault{Match: boxsim.Match{Path: "/d/*"}, Then: boxsim.Action{Status: 200, Body: string(content[:40_000])}})
	p.download(file.ID, content)
	p.fault(boxsim.Fault{Match: boxsim.Match{Path: "/d/*"}, Then: boxsim.Action{Truncate: true}})
	p.fault(boxsim.Fault{Match: boxsim.Match{Path: "/d/*"}, Then: boxsim.Action{Status: 200, Body: string(content)}})
	p.download(file.ID, content)
	// A range that wasn't asked for.
	p.fault(boxsim.Fault{Match: boxsim.Match{Path: "/d/*"}, Then: boxsim.Action{Truncate: true}})
	p.fault(boxsim.Fault{Match: boxsim.Match{Path: "/d/*"}, Then: boxsim.Action{
		Status: 206, Body: "x", Headers: map[string]string{"Content-Range": "bytes 7-7/100000"},
	}})
	p.fails(p.run("get-file", operations.GetFileInput{FileID: file.ID}, work{}), connector.UnexpectedAnswer)
}

// A file that Box is still preparing is asked for again when Box says.
func TestDownloadNotReady(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	file := p.upload("file", []byte("content"))
	path := "/2.0/files/" + file.ID + "/content"
	p.fault(boxsim.Fault{Match: boxsim.Match{Path: path}, Then: boxsim.Action{Status: 202, Headers: map[string]string{"Retry-After": "2"}}})
	p.download(file.ID, []byte("content"))
	if seen := p.seen("GET", path); len(seen) != 2 || seen[1].Time.Sub(seen[0].Time).Seconds() < 2 {
		t.Errorf("asked: %+v", seen)
	}
}
