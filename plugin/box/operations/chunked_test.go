package operations_test

import (
	"bytes"
	"testing"

	"github.com/boxconnection/connector/plugin/box/boxsim"
	"github.com/boxconnection/connector/plugin/box/operations"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	sessionsPath = "/api/2.0/files/upload_sessions/*"
	// large is uploaded in parts, three of this size.
	large    = 51_000_000
	partSize = 20 << 20
)

// newLarge is a place whose uploads have few parts, and content for one.
func newLarge(t *testing.T) (*place, []byte) {
	t.Helper()
	p := newPlace(t)
	if err := p.control.SetKnobs(t.Context(), func(k *boxsim.Knobs) { k.PartSize = partSize }); err != nil {
		t.Fatal(err)
	}
	return p, pattern(large)
}

// commit matches the commits, which are the only POSTs below a session.
var commit = boxsim.Match{Method: "POST", Path: sessionsPath}

// A commit is repeated while Box puts the parts together, and if its answer is
// lost the file is found.
func TestCommit(t *testing.T) {
	t.Parallel()
	p, content := newLarge(t)
	p.fault(boxsim.Fault{Match: commit, Then: boxsim.Action{Row: "content_not_ready"}})
	p.fault(boxsim.Fault{Match: commit, Then: boxsim.Action{Drop: true}})
	p.fault(boxsim.Fault{Match: commit, Then: boxsim.Action{When: boxsim.AfterCommit, Drop: true}})
	file := p.upload("lost", content)
	if file.SHA1 != digest(content) || file.Size == nil || *file.Size != large || file.ETag != "0" {
		t.Errorf("%+v", file)
	}
	p.download(file.ID, content)
	p.sessions(0)

	// The same for a version.
	content[0]++
	p.fault(boxsim.Fault{Match: commit, Then: boxsim.Action{When: boxsim.AfterCommit, Status: 502, Body: "x"}})
	if next := p.one(p.run("upsert-file", operations.UploadInput{Name: "lost"}, whole(content))); next.ID != file.ID || next.ETag != "1" {
		t.Errorf("%+v", next)
	}
	p.download(file.ID, content)
	p.sessions(0)
}

// What can't succeed any more leaves no parts at Box.
func TestAbandonedUploads(t *testing.T) {
	t.Parallel()
	p, content := newLarge(t)
	put := boxsim.Match{Method: "PUT", Path: sessionsPath}
	damaged := func(told int64, content []byte) work { return work{content: bytes.NewReader(content), length: told} }
	for _, c := range []struct {
		fault boxsim.Fault
		work  work
		code  connector.Code
	}{
		{boxsim.Fault{Match: put, Skip: 1, Then: boxsim.Action{Status: 200, Body: `{"part":{"part_id":"A","offset":0,"size":20971520}}`}}, whole(content), connector.UnexpectedAnswer},
		{boxsim.Fault{Match: put, Skip: 1, Then: boxsim.Action{Status: 200, Body: `{}`}}, whole(content), connector.UnexpectedAnswer},
		{boxsim.Fault{Match: put, Skip: 1, Then: boxsim.Action{Row: "content_storage_limit"}}, whole(content), connector.StorageFull},
		{boxsim.Fault{Match: commit, Then: boxsim.Action{Row: "content_item_name_in_use"}}, whole(content), connector.ItemExists},
		{boxsim.Fault{}, damaged(large+1, content), connector.ContentDamaged},
		{boxsim.Fault{}, damaged(large-1, content), connector.ContentDamaged},
	} {
		if c.fault.Match != (boxsim.Match{}) {
			p.fault(c.fault)
		}
		p.fails(p.run("create-file", operations.UploadInput{Name: "never"}, c.work), c.code)
		p.sessions(0)
		if err := p.control.ClearFaults(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if o := p.run("get-folder-items", operations.ListInput{FolderID: "0", Fields: []string{"name"}, PageSize: 100}, work{}); o.err != nil {
		t.Fatal(o.err)
	} else {
		for _, item := range o.documents {
			if item.Name == "never" {
				t.Error("there is a file")
			}
		}
	}
}

// A limit of requests in the middle of an upload is waited for; where it stays,
// the upload goes on later, with the rest of the same content only.
func TestLimitedUpload(t *testing.T) {
	t.Parallel()
	p, content := newLarge(t)
	put := boxsim.Match{Method: "PUT", Path: sessionsPath}
	limited := boxsim.Action{Row: "api_rate_limited", Headers: map[string]string{"Retry-After": "1"}}
	p.fault(boxsim.Fault{Match: put, Skip: 1, Then: limited})
	p.download(p.upload("waited", content).ID, content)

	// Longer than anybody waits.
	limited.Headers = map[string]string{"Retry-After": "86400"}
	p.fault(boxsim.Fault{Match: put, Skip: 2, Times: -1, Then: limited})
	o := p.run("create-file", operations.UploadInput{Name: "later"}, whole(content))
	if d := p.fails(o, connector.RateLimited); d.Disposition != connector.Retry || d.RetryAfter <= 0 {
		t.Errorf("%+v", d)
	}
	p.sessions(1)
	if len(o.checkpoints) != 2 {
		t.Fatalf("%d checkpoints, want 2", len(o.checkpoints))
	}
}

// An upload that was cut off goes on with the parts that are missing, and only
// with the same content. Where Box doesn't have it any more it begins anew.
func TestResume(t *testing.T) {
	t.Parallel()
	p, content := newLarge(t)
	input := operations.UploadInput{Name: "file"}
	put := boxsim.Match{Method: "PUT", Path: sessionsPath}
	p.fault(boxsim.Fault{Match: put, Skip: 2, Times: 4, Then: boxsim.Action{Drop: true}})
	o := p.run("create-file", input, whole(content))
	p.fails(o, connector.ConnectionFailed)
	mark := o.checkpoints[len(o.checkpoints)-1]
	resumed := func(w work) *outcome {
		w.checkpoint = mark
		return p.run("create-file", input, w)
	}
	other := bytes.Clone(content)
	other[0]++
	p.fails(resumed(whole(other)), connector.ContentDamaged)
	p.fails(resumed(whole(content[:1000])), connector.ContentDamaged)
	p.fails(resumed(work{content: bytes.NewReader(content[:1000]), length: -1}), connector.ContentDamaged)
	p.fails(p.run("create-file", operations.UploadInput{Name: "other"}, work{content: bytes.NewReader(content), length: large, checkpoint: mark}), connector.CheckpointUnreadable)
	before := len(p.seen("PUT", sessionsPath))
	file := p.one(resumed(work{content: bytes.NewReader(content), length: -1}))
	if n := len(p.seen("PUT", sessionsPath)) - before; n != 1 {
		t.Errorf("%d parts were sent, want 1", n)
	}
	p.download(file.ID, content)
	p.sessions(0)
	p.one(p.run("delete-file", operations.DeleteFileInput{FileID: file.ID}, work{}))
	p.download(p.one(resumed(whole(content))).ID, content)
}
