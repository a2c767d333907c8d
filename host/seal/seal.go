// Package seal encrypts what a store keeps. A sealed value is bound to its
// place: to owner, connection, environment and field. Moved anywhere else, it
// doesn't open.
//
// [Keyring] seals with AES-256-GCM and keys from a file or from bytes. An
// engine with a key service of its own either fetches a keyset from there and
// gives it to [Parse], or implements [Sealer].
package seal

import (
	"context"
	"encoding/binary"

	"github.com/boxconnection/connector/host/store"
)

// Sealer seals values and opens them again. Implementations are safe for
// concurrent use and keep every wait within the context's deadline.
//
// Open fails with a *connector.Diagnostic: SealingKeyMissing (no key at all),
// SealingKeyWrong (sealed with a key that this sealer doesn't have),
// StoreDamaged (the key is there, but the bytes or their place aren't what was
// sealed) or StoreVersionNewer.
type Sealer interface {
	Seal(ctx context.Context, key store.Key, field store.Field, plaintext []byte) ([]byte, error)
	Open(ctx context.Context, key store.Key, field store.Field, sealed []byte) ([]byte, error)
}

// format is the version of a sealed value: one byte with this number, then
// Tink's ciphertext, which is 1, the key's ID in four bytes (big endian), 12
// bytes of nonce, the encrypted value, and 16 bytes of tag.
const format = 1

// headerSize is what comes before the nonce.
const headerSize = 6

// associatedData names the place that a value is bound to. Every part comes
// after its length, so that no two places give the same bytes.
func associatedData(key store.Key, field store.Field) []byte {
	parts := []string{"boxconnection/seal", key.Owner, key.Connection, key.Environment, string(field)}
	data := []byte{format}
	for _, part := range parts {
		data = binary.BigEndian.AppendUint64(data, uint64(len(part)))
		data = append(data, part...)
	}
	return data
}
