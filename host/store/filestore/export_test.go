package filestore

import (
	"path/filepath"

	"github.com/boxconnection/connector/host/store"
)

// RecordPath returns where a record is.
func RecordPath(root string, key store.Key) string {
	return filepath.Join(root, records, recordName(key))
}
