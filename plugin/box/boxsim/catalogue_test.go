package boxsim_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

// Every row is served as it is written, at the endpoint that it belongs to.
func TestEveryRowIsServed(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	first := s.signIn("ada@acme.example")
	for _, row := range boxsim.Catalogue() {
		f := s.fault(boxsim.Fault{Then: boxsim.Action{Row: row.Name}})
		var r reply
		switch row.Surface {
		case boxsim.SurfaceAPI:
			r = s.api("/users/me", first.access)
		case boxsim.SurfaceContent:
			r = s.upload(first.access, "0", "refused.txt", "content")
		case boxsim.SurfaceAuthorize:
			r = s.must(s.request(http.MethodGet, s.authorizeURL(), ""))
		default:
			r = s.refresh(first.refresh)
		}
		if r.status != row.Status {
			t.Errorf("%s: status %d, want %d", row.Name, r.status, row.Status)
		}
		for name, value := range row.Headers {
			if r.header.Get(name) != value {
				t.Errorf("%s: header %s is %q, want %q", row.Name, name, r.header.Get(name), value)
			}
		}
		switch {
		case row.Code == "":
			if r.body != row.Body || (row.Body == "" && r.header.Get("Content-Length") != "0") {
				t.Errorf("%s: body %q", row.Name, r.body)
			}
			if html := strings.HasPrefix(row.Body, "<"); html != strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
				t.Errorf("%s: type %q", row.Name, r.header.Get("Content-Type"))
			}
		case row.Surface == boxsim.SurfaceAPI || row.Surface == boxsim.SurfaceContent:
			body := r.parse(t)
			if body["type"] != "error" || body["status"] != float64(row.Status) || body["code"] != row.Code || body["message"] != row.Message ||
				body["request_id"] == "" || body["help_url"] == "" || (body["context_info"] != nil) != (row.Context != nil) {
				t.Errorf("%s: %s", row.Name, r.body)
			}
		default:
			wantOAuth(t, r, row.Status, row.Code, row.Message)
		}
		if err := s.ctl.RemoveFault(t.Context(), f.ID); err != nil {
			t.Fatal(err)
		}
	}
	s.renewed(first.refresh) // none of them took effect
}

func TestEvidenceIsComplete(t *testing.T) {
	t.Parallel()
	entries := map[string]boxsim.Entry{}
	for _, e := range boxsim.Evidence() {
		if _, twice := entries[e.ID]; twice || e.Reason == "" || !slices.Contains(boxsim.Grades(), e.Grade) {
			t.Errorf("entry %+v", e)
		}
		entries[e.ID] = e
	}
	want := boxsim.Endpoints()
	for _, row := range boxsim.Catalogue() {
		want = append(want, "row "+row.Name)
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[boxsim.Knobs]()) {
		if !field.Anonymous {
			want = append(want, "knob "+field.Tag.Get("json"))
		}
	}
	for _, id := range want {
		if _, ok := entries[id]; !ok {
			t.Errorf("nothing is said about %s", id)
		}
	}
	// Nothing is said about what doesn't exist either.
	for id := range entries {
		kind, _, _ := strings.Cut(id, " ")
		base, _, _ := strings.Cut(id, ": ")
		if slices.Contains([]string{"row", "knob", "GET", "POST", "PUT", "DELETE", "OPTIONS"}, kind) && !slices.Contains(want, base) {
			t.Errorf("%s doesn't exist", id)
		}
	}
}
