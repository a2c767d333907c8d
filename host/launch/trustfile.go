package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/boxconnection/connector/proto/connector"
)

const (
	trustVersion  = 1
	maxTrustBytes = 1 << 20
	trustLockWait = 5 * time.Second
	trustLockPoll = 10 * time.Millisecond
)

// TrustFile is the list of the plugin digests that a person has decided to
// trust. It is read again by each call, so a running host sees a change at its
// next Load. Its methods are safe for concurrent use, by several processes
// too.
//
// On disk it is a JSON object, mode 0600, replaced as a whole:
//
//	{"version": 1, "plugins": {"/opt/plugins/box-connection":
//	  {"sha256": "<64 hexadecimal digits>", "trusted_at": "2026-01-02T15:04:05Z"}}}
//
// A key is an absolute path with symbolic links resolved, or a plugin's name,
// which stands for that file wherever it is.
type TrustFile struct{ path string }

// TrustEntry is one trusted plugin.
type TrustEntry struct {
	Digest    Digest
	TrustedAt time.Time
}

// TrustFileAt names the file. It need not exist yet; then it trusts nothing.
func TrustFileAt(path string) *TrustFile { return &TrustFile{path} }

// trustDocument is the file's content.
type trustDocument struct {
	Version int                     `json:"version"`
	Plugins map[string]trustedEntry `json:"plugins"`
}

type trustedEntry struct {
	SHA256    string    `json:"sha256"`
	TrustedAt time.Time `json:"trusted_at"`
}

// Lookup returns the digest on record for a path or, without one, for a name.
// The zero Digest means none.
func (f *TrustFile) Lookup(path, name string) (Digest, error) {
	all, err := f.All()
	if err != nil {
		return Digest{}, err
	}
	if entry, ok := all[path]; ok {
		return entry.Digest, nil
	}
	return all[name].Digest, nil
}

// All returns every entry.
func (f *TrustFile) All() (map[string]TrustEntry, error) {
	document, err := f.read()
	if err != nil {
		return nil, err
	}
	all := make(map[string]TrustEntry, len(document.Plugins))
	for key, entry := range document.Plugins {
		digest, err := ParseDigest(entry.SHA256)
		if err != nil {
			return nil, err // read has checked it
		}
		all[key] = TrustEntry{digest, entry.TrustedAt}
	}
	return all, nil
}

// Trust records a digest for a key, in place of an older one.
func (f *TrustFile) Trust(key string, digest Digest, at time.Time) error {
	if key == "" || digest.IsZero() {
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "A trusted plugin needs a path or name and a digest.")
	}
	return f.update(func(plugins map[string]trustedEntry) {
		plugins[key] = trustedEntry{digest.String()[len(digestPrefix):], at.UTC().Truncate(time.Second)}
	})
}

// Forget removes the digest of a key. A key that isn't there is fine.
func (f *TrustFile) Forget(key string) error {
	return f.update(func(plugins map[string]trustedEntry) { delete(plugins, key) })
}

func (f *TrustFile) read() (trustDocument, error) {
	empty := trustDocument{trustVersion, map[string]trustedEntry{}}
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return empty, nil
	}
	if err != nil {
		return empty, f.failed(connector.StoreUnavailable, err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	switch {
	case err != nil:
		return empty, f.failed(connector.StoreUnavailable, err)
	case !info.Mode().IsRegular():
		return empty, f.damaged("it isn't a regular file")
	case runtime.GOOS != "windows" && info.Mode()&0o022 != 0:
		return empty, connector.Errorf(connector.StoreUnsuitable, connector.OriginHost,
			"Others may change the list of trusted plugins, so it proves nothing.").
			WithDetail("%s", f.path).Suggest("Check its content, then run: chmod 600 %s", f.path)
	}
	raw, err := io.ReadAll(io.LimitReader(file, maxTrustBytes+1))
	if err != nil {
		return empty, f.failed(connector.StoreUnavailable, err)
	}
	if len(raw) > maxTrustBytes {
		return empty, f.damaged("it has more than %d bytes", maxTrustBytes)
	}
	var document trustDocument
	if err := json.Unmarshal(raw, &document); err != nil {
		return empty, f.damaged("it isn't the JSON object that was written").Because(err)
	}
	switch {
	case document.Version > trustVersion:
		return empty, connector.Errorf(connector.StoreVersionNewer, connector.OriginHost,
			"The list of trusted plugins was written by a newer version.").
			WithDetail("%s has version %d, this program reads %d", f.path, document.Version, trustVersion).
			Suggest("Update this program.")
	case document.Version != trustVersion:
		return empty, f.damaged("it has no version")
	case document.Plugins == nil:
		document.Plugins = empty.Plugins
	}
	for key, entry := range document.Plugins {
		if _, err := ParseDigest(entry.SHA256); err != nil {
			return empty, f.damaged("its digest for %q is none", key).Because(err)
		}
	}
	return document, nil
}

// update changes the file under a lock that other processes respect.
func (f *TrustFile) update(change func(map[string]trustedEntry)) error {
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	document, err := f.read()
	if err != nil {
		return err
	}
	change(document.Plugins)
	raw, err := json.MarshalIndent(document, "", "  ")
	if err == nil {
		err = replaceFile(f.path, append(raw, '\n'))
	}
	if err != nil {
		return f.failed(connector.StoreUnwritable, err)
	}
	return nil
}

func (f *TrustFile) lock() (unlock func(), err error) {
	file, err := os.OpenFile(f.path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, f.failed(connector.StoreUnwritable, err)
	}
	for deadline := time.Now().Add(trustLockWait); ; time.Sleep(trustLockPoll) {
		locked, err := tryLock(file)
		switch {
		case locked:
			return func() { _ = file.Close() }, nil
		case err != nil:
			_ = file.Close()
			return nil, f.failed(connector.StoreUnwritable, err)
		case time.Now().After(deadline):
			_ = file.Close()
			return nil, connector.Errorf(connector.StoreBusy, connector.OriginHost,
				"Another program is changing the list of trusted plugins.").
				WithDetail("%s", f.path).With(connector.Retry).Suggest("Try again.")
		}
	}
}

func (f *TrustFile) damaged(format string, args ...any) *connector.Diagnostic {
	return connector.Errorf(connector.StoreDamaged, connector.OriginHost,
		"The list of trusted plugins can't be read: %s.", fmt.Sprintf(format, args...)).
		WithDetail("%s", f.path).Suggest("Restore the file, or remove it and trust each plugin again.")
}

func (f *TrustFile) failed(code connector.Code, err error) error {
	verb := "read"
	if code == connector.StoreUnwritable {
		verb = "written"
	}
	return connector.Errorf(code, connector.OriginHost, "The list of trusted plugins can't be %s: %v.", verb, reason(err)).
		WithDetail("%s", f.path).Suggest("Check the path and its permissions.").Because(err)
}

// replaceFile writes a file so that a reader sees the old content or the new,
// whatever happens meanwhile.
func replaceFile(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a rename durable. Windows has nothing of the kind.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
