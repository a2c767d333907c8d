package filestore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/filestore"
	"github.com/boxconnection/connector/proto/benchtest"
)

// BenchmarkUpdate compares a durable update with the least that makes a file of
// the same size durable (write, sync, rename, sync of the folder): the
// processors' time, and the time on the wall. TestSyncs holds that it makes no
// more syncs.
func BenchmarkUpdate(b *testing.B) {
	const calls = 20
	folder := newFolder(b)
	s := openFolder(b, folder)
	r := create(b, s)
	r.Sealed[store.FieldCredential] = make([]byte, 4<<10)
	if err := s.Update(b.Context(), r); err != nil {
		b.Fatal(err)
	}
	content := readFile(b, filestore.RecordPath(folder, testKey))
	bare := filepath.Join(b.TempDir(), "bare.json")
	took := func(now func() time.Duration, update func() error) func() time.Duration {
		return func() time.Duration {
			began := now()
			for range calls {
				if err := update(); err != nil {
					b.Fatal(err)
				}
			}
			return now() - began
		}
	}
	began := time.Now()
	for _, c := range []struct {
		name  string
		now   func() time.Duration
		bound benchtest.Bound
	}{
		{"processor", processorTime, benchtest.Bound{Ratio: 1, Added: 200 * time.Microsecond}},
		{"wall", func() time.Duration { return time.Since(began) }, benchtest.Bound{Ratio: 1.5}},
	} {
		b.Run(c.name, func(b *testing.B) {
			benchtest.Compare(b, c.bound, calls,
				took(c.now, func() error { return bareUpdate(bare, content) }),
				took(c.now, func() error { return s.Update(b.Context(), r) }))
		})
	}
}

// BenchmarkLarge reads a store with as many connections as an engine may have.
func BenchmarkLarge(b *testing.B) {
	const connections = 2000
	s := openFolder(b, newFolder(b))
	for i := range connections {
		r := record()
		r.Key.Connection = fmt.Sprintf("c%d", i+1)
		r.State, r.Name = store.StateDraft, fmt.Sprintf("n%d", i) // no name to be checked
		r.Sealed[store.FieldCredential] = make([]byte, 4<<10)
		if err := s.Create(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("Due", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Due(b.Context(), 10); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("List", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.List(b.Context(), store.Query{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Get", func(b *testing.B) {
		k := testKey
		for b.Loop() {
			if _, err := s.Get(b.Context(), k); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func bareUpdate(path string, content []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
