package seal

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/boxconnection/connector/proto/connector"
)

// retiredSuffix ends the name of the list of removed keys, beside the key file:
// a line per key with its ID and the time. It isn't secret. It tells a process
// that the key file without its key still is its own, and a person where an
// old value's key went.
const retiredSuffix = ".retired"

// maxRetired bounds the list: 30 bytes a key.
const maxRetired = 1 << 20

// Remove takes keys out of the key file and the keyring, durably. What they
// sealed can't be opened any more, except with an older copy of the file, so
// nothing that is needed may be sealed with them. A key that isn't there is no
// error. It fails with UsageWrong for the primary key and for a keyring without
// a file, and otherwise as [Keyring.Rotate].
func (k *Keyring) Remove(ctx context.Context, ids ...KeyID) error {
	if k.path == "" {
		return connector.Errorf(connector.UsageWrong, connector.OriginHost,
			"Keys of a keyring without a file can't be removed in place.").Suggest("Remove them where the keyset is kept.")
	}
	err := change(ctx, k.path, func() ([]byte, error) {
		ks, err := k.inPlace()
		if err != nil {
			return nil, err
		}
		manager := keyset.NewManagerFromHandle(ks.handle)
		for _, id := range ids {
			if id == ks.primary {
				return nil, connector.Errorf(connector.UsageWrong, connector.OriginHost, "Key %s seals what is written now, so it can't be removed.", id).
					Suggest("Rotate the keys first.")
			}
			if !ks.ids[id] {
				continue
			}
			if err := manager.Delete(uint32(id)); err != nil {
				return nil, connector.Errorf(connector.Internal, connector.OriginHost, "Key %s couldn't be removed.", id).Because(err)
			}
		}
		// The list comes first: a key on it that is still in the file does no
		// harm, one that is in neither would look like another file.
		if err := retire(k.path, ids); err != nil {
			return nil, unwritable(k.path+retiredSuffix, err)
		}
		clearKeyset, err := write(manager)
		if err != nil {
			return nil, connector.Errorf(connector.Internal, connector.OriginHost, "The sealing keys couldn't be written.").Because(err)
		}
		return clearKeyset, nil
	})
	if err == nil {
		_, err = k.reload()
	}
	return err
}

// ChangedAt returns when the key file was changed last, on this machine's
// clock. It fails with UsageWrong for a keyring without a file.
func (k *Keyring) ChangedAt() (time.Time, error) {
	if k.path == "" {
		return time.Time{}, connector.Errorf(connector.UsageWrong, connector.OriginHost, "The keyring has no file.").Suggest("Ask where the keyset is kept.")
	}
	info, err := os.Stat(k.path)
	if err != nil {
		return time.Time{}, unreadable(k.path, err)
	}
	return info.ModTime(), nil
}

// retired returns when the removed keys of a key file were removed. A list that
// can't be read is empty.
func retired(path string) map[KeyID]string {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path + retiredSuffix)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxRetired {
		return nil
	}
	text, err := os.ReadFile(path + retiredSuffix)
	if err != nil {
		return nil
	}
	list := map[KeyID]string{}
	for line := range strings.Lines(string(text)) {
		number, at, _ := strings.Cut(strings.TrimSpace(line), " ")
		if id, err := strconv.ParseUint(number, 16, 32); err == nil {
			list[KeyID(id)] = at
		}
	}
	return list
}

// retire adds keys to the list.
func retire(path string, ids []KeyID) error {
	list := retired(path)
	var text strings.Builder
	for id, at := range list {
		fmt.Fprintf(&text, "%s %s\n", id, at)
	}
	now := time.Now().UTC().Format(time.RFC3339)
	for _, id := range ids {
		if _, there := list[id]; !there {
			fmt.Fprintf(&text, "%s %s\n", id, now)
		}
	}
	return replace(path+retiredSuffix, []byte(text.String()))
}
