package boxsim_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

// tokenFor narrows a token.
func (s *sim) tokenFor(token, scope, resource string) string {
	s.t.Helper()
	pairs := []string{"scope", scope}
	if resource != "" {
		pairs = append(pairs, "resource", s.info.APIURL+resource)
	}
	r := s.narrow(token, pairs...)
	if r.status != http.StatusOK {
		s.t.Fatalf("narrowing: %d %s", r.status, r.body)
	}
	return r.get("access_token")
}

func TestNarrowedTokensOnContent(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	ada := s.signIn("ada@acme.example").access
	folder := s.makeFolder(ada, "0", "Box")
	inside, outside := s.uploaded(ada, folder, "in.txt", "in"), s.uploaded(ada, "0", "out.txt", "out")
	at := "/folders/" + folder
	upload, download := s.tokenFor(ada, "item_upload", at), s.tokenFor(ada, "item_download", at)
	rename, remove, explore := s.tokenFor(ada, "item_rename", at), s.tokenFor(ada, "item_delete", "/files/"+inside), s.tokenFor(ada, "base_explorer", at)

	scopeless := func(what string, r reply) {
		t.Helper()
		if r.status != http.StatusForbidden || r.body != "" || !strings.Contains(r.header.Get("Www-Authenticate"), "insufficient_scope") {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	s.uploaded(upload, folder, "new.txt", "new")
	s.makeFolder(upload, folder, "New")
	wantCode(t, s.upload(upload, "0", "new.txt", "new"), http.StatusForbidden, "access_denied_insufficient_permissions")
	scopeless("read with item_upload", s.send(http.MethodGet, "/files/"+inside, upload, ""))
	scopeless("upload with item_download", s.upload(download, folder, "b", "b"))
	scopeless("delete with item_download", s.send(http.MethodDelete, "/files/"+inside, download, ""))
	if r := s.content(download, inside); r.body != "in" {
		t.Errorf("download: %d %s", r.status, r.body)
	}
	wantCode(t, s.content(download, outside), http.StatusForbidden, "access_denied_insufficient_permissions")
	scopeless("download with base_explorer", s.content(explore, inside))
	if r := s.send(http.MethodPut, "/files/"+inside, rename, `{"name":"in 2.txt"}`); r.status != http.StatusOK {
		t.Errorf("rename: %d %s", r.status, r.body)
	}
	scopeless("describe with item_rename", s.send(http.MethodPut, "/files/"+inside, rename, `{"description":"x"}`))
	if got := s.found(explore, "query=txt"); !slices.Equal(got, []string{}) {
		t.Errorf("nothing is indexed yet: %v", got)
	}
	s.set(func(k *boxsim.Knobs) { k.IndexDelay = 0 })
	if got := s.found(explore, "query=txt"); !slices.Equal(got, []string{"in 2.txt", "new.txt"}) {
		t.Errorf("search: %v", got)
	}
	scopeless("search with item_delete", s.send(http.MethodGet, "/search?query=txt", remove, ""))
	if r := s.send(http.MethodDelete, "/files/"+inside, remove, ""); r.status != http.StatusNoContent {
		t.Errorf("delete: %d %s", r.status, r.body)
	}

	// The journal tells which token each call carried.
	seen, err := s.ctl.Requests(t.Context(), boxsim.RequestQuery{Method: http.MethodPut})
	if err != nil || len(seen) != 2 || !seen[0].Narrowed || seen[0].Resource != "folder/"+folder || !slices.Equal(seen[0].Scopes, []string{"item_rename"}) {
		t.Errorf("%+v, %v", seen, err)
	}
	seen, err = s.ctl.Requests(t.Context(), boxsim.RequestQuery{Method: http.MethodPost, Path: "/2.0/folders"})
	if err != nil || len(seen) != 2 || seen[0].Narrowed || seen[0].Resource != "" || !slices.Equal(seen[0].Scopes, []string{"root_readwrite"}) {
		t.Errorf("%+v, %v", seen, err)
	}
	seen, err = s.ctl.Requests(t.Context(), boxsim.RequestQuery{Path: "/d/1/*"})
	if err != nil || len(seen) != 1 || seen[0].AuthScheme != "" {
		t.Errorf("%+v, %v", seen, err)
	}
}
