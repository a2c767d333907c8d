package filestore_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/filestore"
	"github.com/boxconnection/connector/host/store/storetest"
)

func TestMain(m *testing.M) {
	if code, ok := storetest.Worker(open); ok {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

func open(ctx context.Context, place string) (store.Store, error) {
	return filestore.Open(ctx, place)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		New:         func(t testing.TB) string { return filepath.Join(t.TempDir(), "store") },
		Open:        open,
		SensesDeath: true,
		Damage: func(t testing.TB, place string, key store.Key) {
			if err := os.Truncate(filestore.RecordPath(place, key), 100); err != nil {
				t.Fatal(err)
			}
		},
	})
}
