package operations_test

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/boxconnection/connector/plugin/box/boxsim"
	"github.com/boxconnection/connector/plugin/box/operations"
	"github.com/boxconnection/connector/proto/connector"
)

const uploadPath, preflightPath = "/api/2.0/files/content", "/2.0/files/content"

// What is in the way of a new file is told, whether Box names it alone or in a
// list; an upsert makes a version of it, if it is a file.
func TestConflicts(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	file := p.upload("name", []byte("one"))
	p.one(p.run("create-folder", operations.CreateFolderInput{Name: "folder"}, work{}))
	p.fails(p.run("create-file", operations.UploadInput{Name: "name"}, whole([]byte("two"))), connector.ItemExists)
	p.fails(p.run("create-folder", operations.CreateFolderInput{Name: "name"}, work{}), connector.ItemExists)
	p.fails(p.run("upsert-file", operations.UploadInput{Name: "folder"}, whole([]byte("two"))), connector.ItemExists)
	p.download(file.ID, []byte("one"))

	// It appears between the question and the upload, which names it alone.
	p.fault(boxsim.Fault{Match: boxsim.Match{Method: "OPTIONS", Path: preflightPath}, Times: 2, Then: boxsim.Action{Status: 200, Body: "{}"}})
	p.fails(p.run("create-file", operations.UploadInput{Name: "name"}, whole([]byte("two"))), connector.ItemExists)
	p.download(file.ID, []byte("one"))
	if next := p.one(p.run("upsert-file", operations.UploadInput{Name: "name"}, whole([]byte("three")))); next.ID != file.ID || next.ETag != "1" {
		t.Errorf("not a version: %+v", next)
	}
	p.download(file.ID, []byte("three"))
}

// A file that is deleted while an upsert is about to make a version of it is
// made anew.
func TestVersionOfVanishedFile(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	file := p.upload("name", []byte("one"))
	p.one(p.run("delete-file", operations.DeleteFileInput{FileID: file.ID}, work{}))
	p.fault(boxsim.Fault{Match: boxsim.Match{Method: "OPTIONS", Path: preflightPath}, Then: boxsim.Action{
		Status: 409, Body: `{"code":"item_name_in_use","context_info":{"conflicts":[{"type":"file","id":"` + file.ID + `"}]}}`,
	}})
	next := p.one(p.run("upsert-file", operations.UploadInput{Name: "name"}, whole([]byte("two"))))
	if next.ID == file.ID {
		t.Error("it has the deleted file's ID")
	}
	p.download(next.ID, []byte("two"))
}

// An upload whose answer is lost is neither made twice nor an error.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	content := pattern(2000)
	p.fault(boxsim.Fault{Match: boxsim.Match{Method: "POST", Path: uploadPath}, Then: boxsim.Action{When: boxsim.AfterCommit, Drop: true}})
	file := p.upload("new", content)
	if file.SHA1 != digest(content) || file.Size == nil || *file.Size != 2000 || file.Name != "new" || file.Type != "file" || file.ETag != "0" {
		t.Errorf("%+v", file)
	}
	p.download(file.ID, content)
	p.fault(boxsim.Fault{Match: boxsim.Match{Method: "POST", Path: "/api/2.0/files/" + file.ID + "/content"}, Then: boxsim.Action{When: boxsim.AfterCommit, Drop: true}})
	if next := p.one(p.run("upsert-file", operations.UploadInput{Name: "new"}, whole([]byte("next")))); next.ID != file.ID || next.ETag != "1" {
		t.Errorf("%+v", next)
	}
	p.download(file.ID, []byte("next"))
	// One that wasn't carried out is made again.
	p.fault(boxsim.Fault{Match: boxsim.Match{Method: "POST", Path: uploadPath}, Then: boxsim.Action{Drop: true}})
	p.download(p.upload("again", content).ID, content)
	p.fault(boxsim.Fault{Match: boxsim.Match{Method: "POST", Path: "/api/2.0/files/" + file.ID + "/content"}, Then: boxsim.Action{Drop: true}})
	p.one(p.run("upsert-file", operations.UploadInput{Name: "new"}, whole([]byte("third"))))
	p.download(file.ID, []byte("third"))
	if n := len(p.seen("POST", "/api/2.0/*")); n != 6 {
		t.Errorf("%d uploads were sent, want 6", n)
	}
}

// Content of another length than was told is no file.
func TestContentOfAnotherLength(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, told := range []int64{0, 999, 1001, 2 << 20} {
		d := p.fails(p.run("create-file", operations.UploadInput{Name: "name"}, work{content: bytes.NewReader(pattern(1000)), length: told}), connector.ContentDamaged)
		if d.Origin != connector.OriginHost {
			t.Errorf("%d told: %+v", told, d)
		}
	}
	if n := len(p.seen("POST", "/api/2.0/*")); n != 0 {
		t.Errorf("%d uploads were sent", n)
	}
}

// Content of unknown length is kept until it is whole, in memory or in a file
// that nobody finds later.
func TestContentOfUnknownLength(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp) // so that it can't be parallel
	p := newPlace(t)
	for name, size := range map[string]int{"none": 0, "little": 100, "all of the memory": 1 << 20, "more": 1<<20 + 1, "much": 5 << 20} {
		content := pattern(size)
		item := p.one(p.run("create-file", operations.UploadInput{Name: name}, work{content: struct{ io.Reader }{bytes.NewReader(content)}, length: -1}))
		if *item.Size != int64(size) || item.SHA1 != digest(content) {
			t.Errorf("%s: %+v", name, item)
		}
		p.download(item.ID, content)
	}
	p.fails(p.run("create-file", operations.UploadInput{Name: "much"}, work{content: bytes.NewReader(pattern(5 << 20)), length: -1}), connector.ItemExists)
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	// Without room for it nothing is sent.
	if err := os.RemoveAll(temp); err != nil {
		t.Fatal(err)
	}
	p.fails(p.run("create-file", operations.UploadInput{Name: "other"}, work{content: bytes.NewReader(pattern(5 << 20)), length: -1}), connector.Internal)
}

// What is deleted though the answer was lost is deleted.
func TestDeleteTwice(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	file := p.upload("name", []byte("x"))
	p.fails(p.run("delete-file", operations.DeleteFileInput{FileID: file.ID, IfMatch: "7"}, work{}), connector.ItemChanged)
	p.fault(boxsim.Fault{Match: boxsim.Match{Method: "DELETE"}, Then: boxsim.Action{When: boxsim.AfterCommit, Drop: true}})
	p.one(p.run("delete-file", operations.DeleteFileInput{FileID: file.ID, IfMatch: file.ETag}, work{}))
	p.fails(p.run("delete-file", operations.DeleteFileInput{FileID: file.ID}, work{}), connector.ItemNotFound)
}

// A change whose answer was lost isn't told as somebody else's.
func TestChangeOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	folder := p.one(p.run("create-folder", operations.CreateFolderInput{Name: "one"}, work{}))
	p.fault(boxsim.Fault{Match: boxsim.Match{Method: "PUT"}, Then: boxsim.Action{When: boxsim.AfterCommit, Drop: true}})
	d := p.fails(p.run("update-folder", operations.UpdateFolderInput{FolderID: folder.ID, Name: "two", IfMatch: folder.ETag}, work{}), connector.ConnectionFailed)
	if d.Disposition != connector.Retry {
		t.Error(d)
	}
	// Without an etag the change is made again.
	p.fault(boxsim.Fault{Match: boxsim.Match{Method: "PUT"}, Then: boxsim.Action{When: boxsim.AfterCommit, Drop: true}})
	if changed := p.one(p.run("update-folder", operations.UpdateFolderInput{FolderID: folder.ID, Name: "three"}, work{})); changed.Name != "three" {
		t.Errorf("%+v", changed)
	}
}
