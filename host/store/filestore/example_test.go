package filestore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/filestore"
)

// A renewal takes the lease, renews, and commits what it got.
func ExampleStore() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()
	ctx := context.Background()
	s, err := filestore.Open(ctx, filepath.Join(folder, "store"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = s.Close() }()

	key := store.Key{Owner: "local", Connection: "c1", Environment: "default"}
	err = s.Create(ctx, &store.Record{Key: key, State: store.StateSaved, Name: "sales"})
	if err != nil {
		fmt.Println(err)
		return
	}
	r, held, err := s.Acquire(ctx, key, store.LeaseRequest{Holder: "node 1", Intent: "renew", For: time.Minute})
	if err != nil || held != nil {
		fmt.Println(held, err)
		return
	}
	r, err = s.Commit(ctx, key, r.Lease, func(r *store.Record) error {
		r.Generation++
		r.Sealed[store.FieldCredential] = []byte("sealed by host/seal")
		return nil
	})
	fmt.Println(r.Name, r.Generation, err)
	// Output: sales 1 <nil>
}
