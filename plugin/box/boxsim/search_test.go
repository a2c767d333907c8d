package boxsim_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"
)

// found searches and returns the names.
func (s *sim) found(token, query string) []string {
	s.t.Helper()
	r := s.api("/search?"+query, token)
	page := r.parse(s.t)
	if r.status != http.StatusOK || page["type"] != "search_results_items" {
		s.t.Fatalf("%s: %d %s", query, r.status, r.body)
	}
	names := []string{}
	for _, e := range page["entries"].([]any) {
		name, _ := e.(map[string]any)["name"].(string)
		names = append(names, name)
	}
	return names
}

func TestSearch(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada := s.signIn("ada@acme.example").access
	s.send(http.MethodPut, "/files/920000000002", ada, `{"description":"a greeting","tags":["hello"]}`)
	for query, want := range map[string][]string{
		"query=order+AND+1":                                  {"Order 1.txt"},
		"query=budget+intranet":                              {"Budget.csv", "Intranet"},
		"query=budget+OR+intranet":                           {"Budget.csv", "Intranet"},
		"query=order+AND+NOT+1&limit=2":                      {"Order 2.txt", "Order 3.txt"},
		"query=order+NOT+1&limit=2":                          {"Order 2.txt", "Order 3.txt"},
		"query=budget+and+nonsense":                          {"Budget.csv"},
		"query=%22order+2%22":                                {"Order 2.txt"},
		"query=ORDER&limit=2":                                {"Order 1.txt", "Order 2.txt"},
		"query=order&limit=2&offset=4":                       {"Order 5.txt"},
		"query=order&offset=40":                              {},
		"query=e&type=folder":                                {"Empty", "Überblick"},
		"query=e&type=web_link":                              {"Intranet"},
		"query=greeting":                                     {"Welcome.txt"},
		"query=greeting&content_types=name":                  {},
		"query=hello&content_types=name,tags":                {"Welcome.txt"},
		"query=e&file_extensions=csv,CSV":                    {"Budget.csv"},
		"query=e&ancestor_folder_ids=160000000001&type=file": {"Frame agreement.txt", "Order 1.txt", "Order 2.txt", "Order 3.txt", "Order 4.txt", "Order 5.txt"},
		"query=e&size_range=50,&type=file":                   {"Order 4.txt", "Order 5.txt"},
		"query=order&created_at_range=,2020-01-01T00:00:00Z": {},
		"query=frame&created_at_range=2020-01-01T00:00:00Z,": {"Frame agreement.txt"},
		"query=e&owner_user_ids=3300002":                     {},
		"query=welcome&sort=modified_at&direction=ASC":       {"Welcome.txt"},
		"query=nothing":                                      {},
		"mdfilters=" + url.QueryEscape(`[{"scope":"enterprise_7700001","templateKey":"contract","filters":{"a":"b"}}]`): {},
	} {
		if got := s.found(ada, query); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	for _, bad := range []string{
		"", "query=", "type=file", "query=a&type=folders", "query=a&limit=201", "query=a&limit=x", "query=a&offset=10001",
		"query=a&created_at_range=yesterday", "query=a&created_at_range=,", "query=a&size_range=a,b", "query=a&content_types=smell",
		"mdfilters=[]", "mdfilters=x", "query=a&sort=size", "query=a&trash_content=some",
	} {
		wantCode(t, s.api("/search?"+bad, ada), http.StatusBadRequest, "bad_request")
	}
	wantCode(t, s.api("/search?query=a&ancestor_folder_ids=404", ada), http.StatusNotFound, "not_found")
	r := s.api("/search?query=intranet&fields=name,size", ada).parse(t)["entries"].([]any)
	if got := r[0].(map[string]any); len(got) != 4 || got["type"] != "web_link" {
		t.Errorf("fields: %v", got)
	}
}

// What is new is found after a while, and what is deleted in the trash only.
func TestSearchIsLate(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada := s.signIn("ada@acme.example").access
	id := s.uploaded(ada, "0", "novelty.txt", "x")
	s.advance(9 * time.Minute)
	if got := s.found(ada, "query=novelty"); len(got) != 0 {
		t.Errorf("too early: %v", got)
	}
	s.advance(time.Minute)
	if got := s.found(ada, "query=novelty"); !slices.Equal(got, []string{"novelty.txt"}) {
		t.Errorf("after ten minutes: %v", got)
	}
	s.send(http.MethodDelete, "/files/"+id, ada, "")
	for trash, want := range map[string]int{"": 0, "&trash_content=non_trashed_only": 0, "&trash_content=trashed_only": 1, "&trash_content=all_items": 1} {
		if got := s.found(ada, "query=novelty"+trash); len(got) != want {
			t.Errorf("%q: %v", trash, got)
		}
	}
}
