package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// shapes is the project's own file.
const shapes = "testdata/shapes.json"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// emulator is the path of the built emulator.
func emulator(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "..", "bin", "boxsim"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("bin/boxsim can't be used (%v): run `make build` at the root of the repository first", err)
	}
	return path
}

// start starts an emulator for a test.
func start(t *testing.T) *boxsim {
	t.Helper()
	sim, err := startBoxsim(context.WithoutCancel(t.Context()), emulator(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sim.stop(); err != nil {
			t.Errorf("the emulator's end: %v", err)
		}
	})
	return sim
}

func read(t *testing.T, file string) *document {
	t.Helper()
	doc, err := load(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// write writes a file for a test and returns its path.
func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.json")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The emulator's answers have the shapes that are kept in the project.
func TestShapes(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-spec", shapes, "-boxsim", emulator(t)}, &stdout, &stderr); code != 0 {
		t.Errorf("exit code %d\n%s%s", code, &stdout, &stderr)
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	const other = `{"openapi":"3.0.3","info":{"title":"t","version":"1"},"paths":{"/elsewhere":{"get":{"responses":{"200":{"description":"d"}}}}}}`
	bin := emulator(t)
	for _, tt := range []struct {
		name string
		args []string
		want int
	}{
		{"no arguments", nil, 2},
		{"no emulator", []string{"-spec", shapes}, 2},
		{"something more", []string{"-spec", shapes, "-boxsim", bin, "more"}, 2},
		{"an absent file", []string{"-spec", "absent.json", "-boxsim", bin}, 1},
		{"a folder", []string{"-spec", t.TempDir(), "-boxsim", bin}, 1},
		{"no JSON", []string{"-spec", write(t, "{"), "-boxsim", bin}, 1},
		{"no operations", []string{"-spec", write(t, `{"openapi":"3.0.3","info":{"title":"t","version":"1"},"paths":{}}`), "-boxsim", bin}, 1},
		{"other operations", []string{"-spec", write(t, other), "-boxsim", bin}, 1},
		{"an absent emulator", []string{"-spec", shapes, "-boxsim", "absent"}, 1},
		{"an emulator that is none", []string{"-spec", shapes, "-boxsim", "/bin/true"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), tt.args, &stdout, &stderr); code != tt.want || stderr.Len() == 0 {
				t.Errorf("exit code %d, want %d\n%s%s", code, tt.want, &stdout, &stderr)
			}
		})
	}
}

// A wrong shape is found, at the call that it was put into and nowhere else.
func TestWrongShapeIsFound(t *testing.T) {
	t.Parallel()
	const narrowed = `{"access_token":"1!a","expires_in":3600,"restricted_to":[{"scope":"item_preview"}],"token_type":"bearer"}`
	for _, tt := range []struct {
		name  string
		path  string
		skip  int // requests to the path that pass before
		then  map[string]any
		title string // of the call
		want  string // a difference
	}{
		{"a field is missing", "/2.0/users/me", 0, body(`{"type":"user"}`), "account", "/id: property \"id\" is missing"},
		{"a field has another type", "/2.0/users/me", 0, body(`{"type":"user","id":7}`), "account", "/id: value must be a string"},
		{"a field is misspelt", "/2.0/users/me", 0, body(`{"type":"user","id":"7","logon":"a"}`), "account", "/logon: the file doesn't have this field"},
		{"a list holds something else", "/2.0/folders/0/items", 0, body(`{"entries":[{"type":"comment","id":"1"}],"limit":1}`), "items", "/entries/0/type: value is not one of the allowed values"},
		{"no type of a narrowed token", "/oauth2/token", 2, body(narrowed), "token by exchange, for everything", "/issued_token_type: it isn't there"},
		{"a page in place of JSON", "/2.0/folders/0", 0, body("<html></html>"), "root folder", "the body is text/html, the file has application/json"},
		{"half an answer", "/2.0/folders/0", 0, map[string]any{"status": 200, "body": `{"type":`, "headers": map[string]string{"content-type": "application/json"}}, "root folder", "the body isn't JSON"},
		{"an empty object", "/2.0/folders/0/items", 0, body(`{}`), "items", "/entries: it isn't there"},
		{"another status", "/2.0/users/me", 0, map[string]any{"status": 202, "body": `{"type":"user","id":"7"}`}, "account", "the file doesn't have the status 202"},
		{"an error", "/2.0/users/me", 0, map[string]any{"row": "api_internal_error"}, "account", "that is no success"},
		{"a result of another kind", "/2.0/search", 0, body(`{"type":"search_results_items","total_count":1,"limit":1,"offset":0,"entries":[{"type":"comment","id":"1"}]}`), "search", "/entries/0/type: value is not one of the allowed values"},
		{"an address that is a number", "/2.0/files/content", 0, body(`{"upload_url":7}`), "may be uploaded", "/upload_url: value must be a string"},
		{"a body where none belongs", "/oauth2/revoke", 0, body(`{}`), "revoke by the refresh token", "there is a body"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim, doc := start(t), read(t, shapes)
			fault := map[string]any{"match": map[string]string{"path": tt.path}, "skip": tt.skip, "then": tt.then}
			if err := sim.control(t.Context(), "POST", "/faults", fault, nil); err != nil {
				t.Fatal(err)
			}
			rep, err := examine(t.Context(), sim, doc, calls())
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range rep.success {
				switch {
				case f.name == tt.title && !slices.Contains(f.differs, tt.want):
					t.Errorf("found %q, want %q", f.differs, tt.want)
				case f.name != tt.title && len(f.differs) > 0:
					t.Errorf("%s: %q", f.name, f.differs)
				}
			}
			if !errors.Is(rep.verdict(), errMismatch) {
				t.Errorf("the verdict is %v", rep.verdict())
			}
		})
	}
}

func body(text string) map[string]any { return map[string]any{"status": 200, "body": text} }

// An endpoint of the emulator that no call is for is a failure, and so is a
// call for an endpoint that the emulator doesn't have.
func TestEveryEndpointNeedsACall(t *testing.T) {
	t.Parallel()
	sim, doc := start(t), read(t, shapes)
	var some []call
	for _, c := range calls() {
		switch c.endpoint {
		case getItems:
			continue
		case getMe:
			c.endpoint = "GET /2.0/users/you"
		}
		some = append(some, c)
	}
	rep, err := examine(t.Context(), sim, doc, some)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		getItems + ": the emulator has this endpoint, and no call checks it",
		getMe + ": the emulator has this endpoint, and no call checks it",
		"GET /2.0/users/you: a call is for this endpoint, and the emulator doesn't list it",
	} {
		if !slices.Contains(rep.problems, want) {
			t.Errorf("the problems are %q, want %q among them", rep.problems, want)
		}
	}
	if !errors.Is(rep.verdict(), errMismatch) {
		t.Errorf("the verdict is %v", rep.verdict())
	}
}

// A difference counts as made on purpose only with evidence of another kind
// than the file itself.
func TestKnownDifferences(t *testing.T) {
	t.Parallel()
	rep := &report{evidence: map[string]string{"a": "FIELD", "b": fromFile}}
	left, known := rep.onPurpose(call{known: map[string]string{"one": "a", "two": "b", "three": "gone"}}, []string{"one", "two", "three", "four"})
	if strings.Join(left, " ") != "two three four" || len(known) != 1 || !strings.HasPrefix(known[0], "FIELD") {
		t.Errorf("left %q, known %q", left, known)
	}
}

// A row that claims to be from the file has to fit it.
func TestRowFromTheFileHasToFit(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(shapes)
	if err != nil {
		t.Fatal(err)
	}
	strict := bytes.Replace(content, []byte(`"request_id": {`), []byte(`"ticket": {`), 1)
	if bytes.Equal(strict, content) {
		t.Fatal("the file has no request_id to rename")
	}
	rep, err := examine(t.Context(), start(t), read(t, write(t, string(strict))), calls())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(rep.problems, "api_conflict: its grade says that it is from the file, and it differs") {
		t.Errorf("the problems are %q", rep.problems)
	}
}

// A refusal has to have the status that is expected, and evidence.
func TestRefusalsNeedEvidence(t *testing.T) {
	t.Parallel()
	s := &session{sim: start(t), doc: read(t, shapes)}
	rep := &report{evidence: map[string]string{"known": "DOC"}}
	unknown := func(ctx context.Context, s *session) (*reply, error) { return s.api(ctx, "/files/404") }
	if err := rep.refusals(t.Context(), s, []refusalCall{
		{"right", getFile, 404, "known", unknown},
		{"another status", getFile, 400, "known", unknown},
		{"no evidence", getFile, 404, "unknown", unknown},
	}); err != nil {
		t.Fatal(err)
	}
	if len(rep.problems) != 2 || !strings.HasPrefix(rep.problems[0], "another status: ") || !strings.HasPrefix(rep.problems[1], "no evidence: ") {
		t.Errorf("the problems are %q", rep.problems)
	}
	if len(rep.failures) != 3 || rep.failures[0].grade != "DOC" || len(rep.failures[0].differs) > 0 {
		t.Errorf("%+v", rep.failures)
	}
}
