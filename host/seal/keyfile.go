package seal

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/boxconnection/connector/proto/connector"
)

const (
	// lockWait bounds the wait for another process that writes the key file,
	// where the context doesn't: a write takes milliseconds.
	lockWait = 10 * time.Second
	// lockPoll is how often a taken lock is tried again.
	lockPoll = 5 * time.Millisecond
	// maxKeyset is far above a keyset with hundreds of keys.
	maxKeyset = 1 << 20
)

// OpenOrCreate opens the key file at path. If there is none it makes one, and
// the folder too, unless dataExists says that there are values already sealed:
// a new key can't open them, and hides that the old one is missing. Several
// processes that create at once end up with the same key.
//
// The file has mode 0600. It fails with SealingKeyMissing, StoreDamaged (no
// keyset), StoreUnsuitable (others may read the file or write in its folder),
// StoreUnwritable, StoreUnavailable (unreadable) or StoreBusy.
func OpenOrCreate(ctx context.Context, path string, dataExists bool) (*Keyring, error) {
	ks, err := readKeyFile(path)
	if errors.Is(err, connector.SealingKeyMissing) && !dataExists {
		err = change(ctx, path, func() ([]byte, error) {
			// Whoever had the lock before may have made the file.
			if _, err := os.Lstat(path); err == nil {
				return nil, nil
			}
			return NewKeyset()
		})
		if err != nil {
			return nil, err
		}
		ks, err = readKeyFile(path)
	}
	if err != nil {
		return nil, err
	}
	return &Keyring{path: path, keys: ks}, nil
}

// Rotate adds a new primary key to the key file and to the keyring, durably.
// All keys before it still open what they sealed. It fails with UsageWrong for
// a keyring that came from bytes, where [RotateKeyset] is the way, with
// SealingKeyWrong if another key file is in the place of the one that was
// opened, and otherwise as [OpenOrCreate].
func (k *Keyring) Rotate(ctx context.Context) (KeyID, error) {
	if k.path == "" {
		return 0, connector.Errorf(connector.UsageWrong, connector.OriginHost,
			"A keyring without a file can't be rotated in place.").Suggest("Rotate the keyset where it is kept.")
	}
	err := change(ctx, k.path, func() ([]byte, error) {
		ks, err := k.inPlace()
		if err != nil {
			return nil, err
		}
		return addKey(keyset.NewManagerFromHandle(ks.handle))
	})
	if err != nil {
		return 0, err
	}
	ks, err := k.reload()
	if err != nil {
		return 0, err
	}
	return ks.primary, nil
}

// inPlace reads the key file and refuses another one than was opened.
func (k *Keyring) inPlace() (*keys, error) {
	ks, err := readKeyFile(k.path)
	if err != nil {
		return nil, err
	}
	if !k.succeeds(k.current(), ks) {
		return nil, connector.Errorf(connector.SealingKeyWrong, connector.OriginHost,
			"%s isn't the key file any more that this process opened: key %s is missing.", k.path, k.Primary()).
			Suggest("Put back the key file that was there before.")
	}
	return ks, nil
}

// reload takes over what this process wrote.
func (k *Keyring) reload() (*keys, error) {
	ks, err := readKeyFile(k.path)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = ks
	return ks, nil
}

// change replaces the key file by what make returns, or leaves it if that is
// nil. Only one process does so at a time.
func change(ctx context.Context, path string, makeKeyset func() ([]byte, error)) (err error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return unwritable(folder, err)
	}
	if err := checkFolder(folder); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	if ok, err := lock.TryLockContext(ctx, lockPoll); !ok {
		if ctx.Err() == nil {
			return unwritable(lock.Path(), err)
		}
		return connector.Errorf(connector.StoreBusy, connector.OriginHost,
			"Another process is writing the sealing keys and didn't finish in time: %s stayed locked.", lock.Path()).
			With(connector.Retry).Because(ctx.Err())
	}
	defer func() {
		if closeErr := lock.Close(); err == nil && closeErr != nil {
			err = unwritable(lock.Path(), closeErr)
		}
	}()

	content, err := makeKeyset()
	if err != nil || content == nil {
		return err
	}
	if err := replace(path, content); err != nil {
		return unwritable(path, err)
	}
	return syncFolder(folder)
}

// replace writes a file whole or not at all, with mode 0600 whatever the umask.
func replace(path string, content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temp.Write(content)
	if err == nil && runtime.GOOS != "windows" {
		err = temp.Chmod(0o600)
	}
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}

func readKeyFile(path string) (*keys, error) {
	// The look comes first: if the file is replaced meanwhile, it is read again.
	info, _ := os.Stat(path)
	clearKeyset, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	ks, err := parse(clearKeyset, path)
	if err != nil {
		return nil, err
	}
	ks.file = info
	return ks, nil
}

// readPrivate reads a file that nobody else may read.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, connector.Errorf(connector.SealingKeyMissing, connector.OriginHost, "There is no sealing key at %s.", path).
			Suggest("Put the key file back from a backup, or name the right place. What is stored can't be opened without it; a new key won't do.").
			Because(err)
	case err != nil:
		return nil, unreadable(path, err)
	case !info.Mode().IsRegular():
		return nil, connector.Errorf(connector.StoreUnsuitable, connector.OriginHost, "%s isn't a file.", path).
			Suggest("Name the file with the sealing keys.")
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return nil, connector.Errorf(connector.StoreUnsuitable, connector.OriginHost,
			"Others may read or write the sealing keys: %s has mode %04o.", path, info.Mode().Perm()).
			Suggest("Run: chmod 600 %q. If others could really read it, rotate the keys and sign in again.", path)
	}
	if err := checkFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, unreadable(path, err)
	}
	content, err := io.ReadAll(io.LimitReader(file, maxKeyset))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, unreadable(path, err)
	}
	return content, nil
}

// checkFolder refuses a folder in which others can put another key file.
func checkFolder(folder string) error {
	info, err := os.Stat(folder)
	if err != nil {
		return unreadable(folder, err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return connector.Errorf(connector.StoreUnsuitable, connector.OriginHost,
			"Others may write in the folder of the sealing keys: %s has mode %04o.", folder, info.Mode().Perm()).
			Suggest("Run: chmod 700 %q, or keep the keys in a folder of their own.", folder)
	}
	return nil
}

// syncFolder makes a rename in the folder durable. Windows has no such call.
func syncFolder(folder string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(folder) //nolint:gosec // the operator names the folder
	if err != nil {
		return unwritable(folder, err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return unwritable(folder, err)
	}
	return nil
}

func unwritable(path string, err error) error {
	return connector.Errorf(connector.StoreUnwritable, connector.OriginHost, "The sealing keys can't be written at %s.", path).
		WithDetail("%s", reason(err)).
		Suggest("Give this process a folder that it may write to, or put a key file there.").Because(err)
}

func unreadable(path string, err error) error {
	return connector.Errorf(connector.StoreUnavailable, connector.OriginHost, "The sealing keys can't be read at %s.", path).
		WithDetail("%s", reason(err)).
		Suggest("Give this process the right to read it.").Because(err)
}

// reason is the operating system's word for it, without paths.
func reason(err error) string {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err.Error()
	}
	if linkErr, ok := errors.AsType[*os.LinkError](err); ok {
		return linkErr.Err.Error()
	}
	return "unknown cause"
}
