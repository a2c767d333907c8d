package filestore

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const (
	folderMode fs.FileMode = 0o700
	fileMode   fs.FileMode = 0o600
)

// disk is what a durable write needs of the operating system. Tests break it.
type disk interface {
	// create makes a new file with mode 0600, whatever the umask.
	create(path string) (file, error)
	rename(from, to string) error
	remove(path string) error
	// syncDir makes what was renamed or removed in a folder durable.
	syncDir(path string) error
	// remoteFileSystem returns the type of a path's file system if it is one
	// that a store can't trust, and else "".
	remoteFileSystem(path string) (string, error)
}

type file interface {
	io.WriteCloser
	Sync() error
}

type osDisk struct{}

func (osDisk) create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode) //nolint:gosec // names are escaped
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(fileMode); err != nil && runtime.GOOS != "windows" {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) remove(path string) error { return os.Remove(path) }

func (osDisk) syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // it has no such call
	}
	dir, err := os.Open(path) //nolint:gosec // the store's own folder
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (osDisk) remoteFileSystem(path string) (string, error) { return remoteFileSystem(path) }

// write replaces a file durably: after nil it is the new one, whatever happens
// to the machine; after an error it is the old one, or the new one if only the
// last step failed. The caller holds the file's lock.
func (s *Store) write(path, kind string, value any) error {
	content, err := encode(kind, value)
	if err != nil {
		return err
	}
	folder, name := filepath.Split(path)
	temp := filepath.Join(folder, tempName(name))
	if err := s.writeTemp(temp, content); err != nil {
		return err
	}
	if err := s.disk.rename(temp, path); err != nil {
		_ = s.disk.remove(temp) // the next writer does it otherwise
		return writeFault(path, err)
	}
	return s.syncFolder(folder)
}

// writeTemp writes a temporary file to the disk, and leaves none on failure.
// Its diagnostics name the folder, which is what a person can mend.
func (s *Store) writeTemp(path string, content []byte) error {
	f, err := s.disk.create(path)
	if errors.Is(err, fs.ErrExist) {
		// A process was killed here. Its lock is ours now.
		_ = s.disk.remove(path)
		f, err = s.disk.create(path)
	}
	if err != nil {
		return writeFault(filepath.Dir(path), err)
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		_ = s.disk.remove(path) // the next writer does it otherwise
		return writeFault(filepath.Dir(path), err)
	}
	return nil
}

// remove takes a file away durably.
func (s *Store) remove(path string) error {
	if err := s.disk.remove(path); err != nil {
		return writeFault(path, err)
	}
	return s.syncFolder(filepath.Dir(path))
}

func (s *Store) syncFolder(folder string) error {
	if err := s.disk.syncDir(folder); err != nil {
		return writeFault(folder, err)
	}
	return nil
}

// errAbsent says that a file isn't there, in a folder that is.
var errAbsent = errors.New("no such file")

// read decodes a file. A missing one is errAbsent, anything else that fails is
// a diagnostic.
func (s *Store) read(path, kind string, value any) error {
	// Opening something else than a file, a pipe for one, may block.
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent(path)
	case err != nil:
		return readFault(path, err)
	case !info.Mode().IsRegular():
		return damagedFault(path, "it isn't a file", nil)
	case info.Size() > maxFile:
		return damagedFault(path, "it is larger than anything that is written here", nil)
	}
	content, err := os.ReadFile(path) //nolint:gosec // names are escaped
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent(path)
	case err != nil:
		return readFault(path, err)
	}
	return decode(path, kind, content, value)
}

// absent tells a file that isn't there from a store that isn't there.
func absent(path string) error {
	folder := filepath.Dir(path)
	if _, err := os.Stat(folder); err != nil {
		return writeFault(folder, err)
	}
	return errAbsent
}

// names lists the files with data in a folder, in no order. What is hidden or
// doesn't end in ".json" was never a record.
func (s *Store) names(folder string) ([]string, error) {
	return s.list(folder, func(name string) bool {
		return name[0] != '.' && filepath.Ext(name) == suffix
	})
}

func (s *Store) list(folder string, wanted func(name string) bool) ([]string, error) {
	path := s.path(folder)
	dir, err := os.Open(path) //nolint:gosec // the store's own folder
	if err != nil {
		return nil, readFault(path, err)
	}
	all, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return nil, readFault(path, err)
	}
	names := all[:0]
	for _, name := range all {
		if wanted(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// makeFolder makes a private folder and its parents, whatever the umask.
func makeFolder(path string) error {
	err := os.Mkdir(path, folderMode)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeFolder(filepath.Dir(path)); err != nil {
			return err
		}
		err = os.Mkdir(path, folderMode)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return os.Chmod(path, folderMode)
}

// openToOthers reports whether others may use what should be private.
func openToOthers(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0
}
