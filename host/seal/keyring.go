package seal

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// KeyID is the public number of a key. It stands in clear in front of every
// value that the key sealed.
type KeyID uint32

// String returns the ID as eight hexadecimal digits.
func (id KeyID) String() string { return fmt.Sprintf("%08x", uint32(id)) }

// Keyring is a [Sealer] with one or more keys: it seals with the primary one
// and opens with all. One that came from a file reads it again when the file
// has changed, so that a rotation by another process needs no restart.
type Keyring struct {
	path string // empty if the keys came from bytes

	mu   sync.RWMutex
	keys *keys
}

// keys is a keyset that was read. It doesn't change.
type keys struct {
	handle  *keyset.Handle
	aead    tink.AEAD
	ids     map[KeyID]bool
	primary KeyID
	file    fs.FileInfo // of the file when it was read, nil for none
}

// Parse makes a keyring of a keyset's bytes: Tink's clear JSON, as [NewKeyset]
// makes it. It fails with StoreDamaged if the bytes are no such keyset.
func Parse(clearKeyset []byte) (*Keyring, error) {
	ks, err := parse(clearKeyset, "The keyset")
	if err != nil {
		return nil, err
	}
	return &Keyring{keys: ks}, nil
}

// NewKeyset makes a keyset with one new key. The bytes are the secret itself.
func NewKeyset() ([]byte, error) {
	return addKey(keyset.NewManager())
}

// RotateKeyset returns the keyset with a new primary key; the keys before it
// still open what they sealed.
func RotateKeyset(clearKeyset []byte) ([]byte, error) {
	ks, err := parse(clearKeyset, "The keyset")
	if err != nil {
		return nil, err
	}
	return addKey(keyset.NewManagerFromHandle(ks.handle))
}

// Primary returns the ID of the key that seals.
func (k *Keyring) Primary() KeyID { return k.current().primary }

// KeyIDs returns the IDs of all keys that open, in no order.
func (k *Keyring) KeyIDs() []KeyID {
	ks := k.current()
	ids := make([]KeyID, 0, len(ks.ids))
	for id := range ks.ids {
		ids = append(ids, id)
	}
	return ids
}

// SealedWith returns the ID of the key that sealed a value, and false if the
// bytes aren't a sealed value. A value whose key isn't [Keyring.Primary] should
// be sealed anew at the next chance.
func SealedWith(sealed []byte) (KeyID, bool) {
	if len(sealed) < headerSize || sealed[0] != format || sealed[1] != 1 {
		return 0, false
	}
	return KeyID(binary.BigEndian.Uint32(sealed[2:headerSize])), true
}

// Seal implements [Sealer]. The context isn't used.
func (k *Keyring) Seal(_ context.Context, key store.Key, field store.Field, plaintext []byte) ([]byte, error) {
	sealed, err := k.sealing().aead.Encrypt(plaintext, associatedData(key, field))
	if err != nil {
		return nil, connector.Errorf(connector.Internal, connector.OriginHost, "The %s couldn't be sealed.", field).Because(err)
	}
	return append([]byte{format}, sealed...), nil
}

// Open implements [Sealer]. The context bounds reading the key file again.
func (k *Keyring) Open(ctx context.Context, key store.Key, field store.Field, sealed []byte) ([]byte, error) {
	if len(sealed) > 0 && sealed[0] > format {
		return nil, connector.Errorf(connector.StoreVersionNewer, connector.OriginHost,
			"The %s of connection %q was sealed by a newer version of this program.", field, key.Connection).
			Suggest("Use that version or a later one.")
	}
	id, ok := SealedWith(sealed)
	if !ok {
		return nil, damaged(key, field)
	}
	ks, err := k.knowing(ctx, id)
	if err != nil {
		return nil, err
	}
	if at, removed := retired(k.path)[id]; removed && !ks.ids[id] {
		return nil, connector.Errorf(connector.SealingKeyWrong, connector.OriginHost,
			"The %s of connection %q was sealed with key %s, which was removed from %s at %s.", field, key.Connection, id, k.source(), at).
			Suggest("To open it, use a copy of the key file from before that time. Nothing was changed.")
	}
	if !ks.ids[id] {
		return nil, connector.Errorf(connector.SealingKeyWrong, connector.OriginHost,
			"The %s of connection %q was sealed with key %s, which isn't in %s.", field, key.Connection, id, k.source()).
			Suggest("Put back the key file that was in use when the connection was saved. Nothing was changed.")
	}
	plaintext, err := ks.aead.Decrypt(sealed[1:], associatedData(key, field))
	if err != nil {
		return nil, damaged(key, field).Because(err)
	}
	return plaintext, nil
}

func (k *Keyring) current() *keys {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys
}

// knowing returns the keys, read anew if they don't have the wanted one.
func (k *Keyring) knowing(ctx context.Context, id KeyID) (*keys, error) {
	ks := k.current()
	if ks.ids[id] || k.path == "" {
		return ks, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, connector.Errorf(connector.StoreUnavailable, connector.OriginHost,
			"There was no time left to read the sealing keys again.").With(connector.Retry).Because(err)
	}
	fresh, err := readKeyFile(k.path)
	if err != nil {
		return nil, err
	}
	k.follow(ks, fresh)
	return fresh, nil
}

// sealing returns the keys to seal with: those of the file, if it has changed
// since it was read. Otherwise a process that met no new key yet would go on
// sealing with one that is about to be removed.
func (k *Keyring) sealing() *keys {
	ks := k.current()
	if ks.file == nil {
		return ks
	}
	info, err := os.Stat(k.path)
	if err != nil || os.SameFile(info, ks.file) && info.ModTime().Equal(ks.file.ModTime()) && info.Size() == ks.file.Size() {
		return ks
	}
	fresh, err := readKeyFile(k.path)
	if err != nil || !k.follow(ks, fresh) {
		return ks
	}
	return fresh
}

// follow takes fresh for the keys if they come from the old ones. Another file
// in the place must not take away the keys that work.
func (k *Keyring) follow(old, fresh *keys) bool {
	if !k.succeeds(old, fresh) {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = fresh
	return true
}

// succeeds reports whether fresh came from old by rotations and removals.
func (k *Keyring) succeeds(old, fresh *keys) bool {
	if fresh.ids[old.primary] {
		return true
	}
	_, removed := retired(k.path)[old.primary]
	return removed
}

func (k *Keyring) source() string {
	if k.path == "" {
		return "the keyset"
	}
	return k.path
}

func damaged(key store.Key, field store.Field) *connector.Diagnostic {
	return connector.Errorf(connector.StoreDamaged, connector.OriginHost,
		"The sealed %s of connection %q is damaged, or belongs to another connection.", field, key.Connection).
		Suggest("Restore the store from a backup, or sign in again.")
}

// parse reads a clear keyset; what names it in a diagnostic.
func parse(clearKeyset []byte, what string) (*keys, error) {
	unreadable := func(err error) error {
		return connector.Errorf(connector.StoreDamaged, connector.OriginHost,
			"%s isn't a keyset of this program.", what).
			Suggest("Put it back from a backup. Don't delete it: what it sealed opens with no other.").Because(err)
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(clearKeyset)))
	if err != nil {
		return nil, unreadable(err)
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, unreadable(err)
	}
	info := handle.KeysetInfo()
	ks := &keys{handle: handle, aead: primitive, ids: map[KeyID]bool{}, primary: KeyID(info.GetPrimaryKeyId())}
	for _, key := range info.GetKeyInfo() {
		if key.GetOutputPrefixType() != tinkpb.OutputPrefixType_TINK {
			return nil, unreadable(fmt.Errorf("key %d doesn't put its ID before the ciphertext", key.GetKeyId()))
		}
		if key.GetStatus() == tinkpb.KeyStatusType_ENABLED {
			ks.ids[KeyID(key.GetKeyId())] = true
		}
	}
	return ks, nil
}

// addKey adds a new primary key and returns the keyset as clear JSON.
func addKey(manager *keyset.Manager) ([]byte, error) {
	failed := func(err error) error {
		return connector.Errorf(connector.Internal, connector.OriginHost, "A sealing key couldn't be made.").Because(err)
	}
	id, err := manager.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, failed(err)
	}
	if err := manager.SetPrimary(id); err != nil {
		return nil, failed(err)
	}
	clearKeyset, err := write(manager)
	if err != nil {
		return nil, failed(err)
	}
	return clearKeyset, nil
}

// write returns a keyset as clear JSON.
func write(manager *keyset.Manager) ([]byte, error) {
	handle, err := manager.Handle()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&out))
	return out.Bytes(), err
}
