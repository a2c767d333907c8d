//go:build unix

package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/boxconnection/connector/host/store/pgstore/pgtest"
)

// Two nodes, with folders of their own and one database and key between them:
// what one signs in to the other uses, and an expired token is renewed once by
// commands on both.
func TestNodesOnOneDatabase(t *testing.T) {
	t.Parallel()
	store := []string{"--store", pgtest.Start(t).Database(t)}
	first, second := worldOf(t), worldOf(t)
	if _, err := first.boxsim("box", short); err != nil {
		t.Fatal(err)
	}
	if err := first.create("sales", store...); err != nil {
		t.Fatal(err)
	}
	if err := first.signIn("sales", "", store...); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(first.home(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(second.home(), 0o700); err != nil {
		t.Fatal(err)
	}
	second.must(t, 15, append(store, "access", "sales")...) // not without the key, and no new one is made
	if err := os.WriteFile(filepath.Join(second.home(), "keys.json"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	var shown life
	if err := json.Unmarshal([]byte(first.must(t, 0, append(store, "--json", "connection", "show", "sales")...).stdout), &shown); err != nil {
		t.Fatal(err)
	}
	if err := until(shown.AccessExpiresAt); err != nil {
		t.Fatal(err)
	}
	generations := make([]uint64, 6)
	var nodes sync.WaitGroup
	for i := range generations {
		nodes.Go(func() {
			w := []*world{first, second}[i%2]
			r, err := w.ctl(append(store, "--json", "access", "sales", "--min", "1ms")...)
			if err == nil {
				var got struct{ Generation uint64 }
				err = json.Unmarshal([]byte(r.stdout), &got)
				generations[i] = got.Generation
			}
			if err != nil {
				t.Errorf("node %d: %v\n%s", i%2, err, r.stderr)
			}
		})
	}
	nodes.Wait()
	for _, g := range generations {
		if g != generations[0] {
			t.Fatalf("generations %v", generations)
		}
	}
	if err := first.box.await("grant_type=refresh_token", int(generations[0]-1)); err != nil {
		t.Fatal(err)
	}
	second.must(t, 2, "--store", "postgres://u:secret@localhost/x", "connection", "list")
}
