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
)

// BenchmarkUpdate sets a durable update against the least that makes a file of
// the same size durable: write, sync, rename, sync of the folder. Both take
// turns, so that they meet the same disk.
func BenchmarkUpdate(b *testing.B) {
	folder, d := newFolder(b), &filestore.Disk{}
	s := openOn(b, folder, d)
	r := create(b, s)
	r.Sealed[store.FieldCredential] = make([]byte, 4<<10)
	if err := s.Update(b.Context(), r); err != nil {
		b.Fatal(err)
	}
	content := readFile(b, filestore.RecordPath(folder, testKey))
	bare := filepath.Join(b.TempDir(), "bare.json")
	d.Syncs()

	var ours, theirs cost
	for b.Loop() {
		ours.add(func() {
			if err := s.Update(b.Context(), r); err != nil {
				b.Fatal(err)
			}
		})
		theirs.add(func() {
			if err := bareUpdate(bare, content); err != nil {
				b.Fatal(err)
			}
		})
	}
	n := float64(b.N)
	b.ReportMetric(float64(ours.wall.Microseconds())/n, "store-µs/op")
	b.ReportMetric(float64(theirs.wall.Microseconds())/n, "bare-µs/op")
	b.ReportMetric(float64(ours.wall)/float64(theirs.wall), "ratio")
	b.ReportMetric(float64((ours.cpu-theirs.cpu).Microseconds())/n, "more-cpu-µs/op")
	b.ReportMetric(float64(d.Syncs())/n, "syncs/op")
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

// cost is the time that something took, on the wall and of the processors.
type cost struct{ wall, cpu time.Duration }

func (c *cost) add(do func()) {
	start, used := time.Now(), processorTime()
	do()
	c.wall += time.Since(start)
	c.cpu += processorTime() - used
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
