package operations_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/boxconnection/connector/plugin/box/boxsim"
	"github.com/boxconnection/connector/plugin/box/operations"
	"github.com/boxconnection/connector/proto/connector"
)

// Each way in which Box refuses has a code that says what to do, and only what
// the application refused for good becomes a document.
func TestRefusals(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	answer := func(status int, body string) boxsim.Action { return boxsim.Action{Status: status, Body: body} }
	for name, c := range map[string]struct {
		then        boxsim.Action
		code        connector.Code
		disposition connector.Disposition
	}{
		"not found":         {boxsim.Action{Row: "api_not_found"}, connector.ItemNotFound, ""},
		"trashed":           {boxsim.Action{Row: "content_item_trashed"}, connector.ItemNotFound, ""},
		"gone":              {boxsim.Action{Row: "content_session_expired"}, connector.ItemNotFound, ""},
		"name in use":       {boxsim.Action{Row: "content_item_name_in_use"}, connector.ItemExists, ""},
		"changed":           {boxsim.Action{Row: "api_precondition_failed"}, connector.ItemChanged, ""},
		"not empty":         {boxsim.Action{Row: "content_folder_not_empty"}, connector.ItemRefused, ""},
		"name":              {boxsim.Action{Row: "content_item_name_invalid"}, connector.ItemRefused, ""},
		"long name":         {boxsim.Action{Row: "content_item_name_too_long"}, connector.ItemRefused, ""},
		"cycle":             {boxsim.Action{Row: "content_cyclical_structure"}, connector.ItemRefused, ""},
		"full":              {boxsim.Action{Row: "content_storage_limit"}, connector.StorageFull, ""},
		"out of space":      {boxsim.Action{Row: "api_out_of_space"}, connector.StorageFull, ""},
		"too large":         {boxsim.Action{Row: "content_file_size_limit"}, connector.ItemRefused, ""},
		"entity too large":  {boxsim.Action{Row: "content_too_large"}, connector.ItemRefused, ""},
		"digest":            {boxsim.Action{Row: "content_digest_mismatch"}, connector.ContentDamaged, connector.Retry},
		"MD5":               {boxsim.Action{Row: "content_bad_digest"}, connector.ContentDamaged, connector.Retry},
		"token of nobody":   {boxsim.Action{Row: "api_user_deactivated"}, connector.AccessRefused, connector.Retry},
		"scope":             {boxsim.Action{Row: "api_scope_insufficient"}, connector.ScopeMissing, connector.AskAdministrator},
		"scope in JSON":     {boxsim.Action{Row: "api_scope_insufficient_json"}, connector.ScopeMissing, connector.AskAdministrator},
		"permission":        {boxsim.Action{Row: "api_permission_denied"}, connector.PermissionDenied, connector.AskAdministrator},
		"locked":            {boxsim.Action{Row: "content_item_locked"}, connector.PermissionDenied, connector.AskAdministrator},
		"reserved":          {boxsim.Action{Row: "content_name_reserved"}, connector.ServiceConflict, connector.Retry},
		"blocked":           {boxsim.Action{Row: "content_operation_blocked"}, connector.ServiceConflict, connector.Retry},
		"broken":            {answer(500, "x"), connector.ServiceUnavailable, connector.Retry},
		"method":            {boxsim.Action{Row: "api_method_not_allowed"}, connector.UnexpectedAnswer, connector.Retry},
		"no JSON":           {answer(200, "<html>sign in to the network</html>"), connector.UnexpectedAnswer, connector.Retry},
		"a code like a lie": {answer(403, `{"code":"GET OUT <script>"}`), connector.PermissionDenied, connector.AskAdministrator},
	} {
		p.fault(boxsim.Fault{Match: boxsim.Match{Path: "/2.0/folders/*"}, Times: -1, Then: c.then})
		d := p.fails(p.run("get-folder", operations.FolderInput{FolderID: "0"}, work{}), c.code)
		if d.Disposition != c.disposition || d.Suggestion == "" || d.Summary == "" {
			t.Errorf("%s: %+v", name, d)
		}
		o := p.run("get-folder", operations.FolderInput{FolderID: "0"}, work{tolerant: true})
		if application := c.disposition == ""; application != (o.err == nil && o.done && len(o.errors) == 1) {
			t.Errorf("%s, as a document: %+v, %v", name, o.errors, o.err)
		}
		if err := p.control.ClearFaults(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// An answer of Box's is never shown but for its code and its request's ID.
func TestRefusalsHoldNoText(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.fault(boxsim.Fault{Match: boxsim.Match{Path: "/2.0/folders/*"}, Then: boxsim.Action{
		Status: 404, Body: `{"code":"not_found","message":"private text"}`, Headers: map[string]string{"Box-Request-Id": "abc123"},
	}})
	d := p.fails(p.run("get-folder", operations.FolderInput{FolderID: "0"}, work{}), connector.ItemNotFound)
	if want := "HTTP status 404, code not_found, Box request abc123"; d.Detail != want {
		t.Errorf("the detail is %q, want %q", d.Detail, want)
	}
}

// Names that Box refuses are told before anything is sent.
func TestNames(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	long := strings.Repeat("n", 256)
	for _, name := range []string{"", ".", "..", "a/b", `a\b`, "../../etc/passwd", "trailing ", " ", "/", long} {
		for id, input := range map[string]any{
			"create-folder": operations.CreateFolderInput{Name: name},
			"create-file":   operations.UploadInput{Name: name},
			"upsert-file":   operations.UploadInput{Name: name},
			"update-folder": map[string]any{"folder_id": "160000000003", "name": name},
		} {
			var w work
			if id == "create-file" || id == "upsert-file" {
				w = whole([]byte("x"))
			}
			p.fails(p.run(id, input, w), connector.InputInvalid)
		}
	}
	if seen := p.seen("", "/2.0/*"); len(seen) != 0 {
		t.Errorf("sent: %+v", seen)
	}
	for i, name := range []string{"...", ".hidden", " leading", `"quoted"`, "a;b=c", "ünï💾", "line\nbreak", long[:255]} {
		content := fmt.Append(nil, name)
		o := p.run("create-file", operations.UploadInput{Name: name}, whole(content))
		if name == "line\nbreak" {
			p.fails(o, connector.ItemRefused) // by Box
			continue
		}
		if item := p.one(o); item.Name != name {
			t.Errorf("%d: it is called %q, want %q", i, item.Name, name)
		}
	}
}
