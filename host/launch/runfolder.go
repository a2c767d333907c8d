package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unicode"

	"github.com/boxconnection/connector/proto/connector"
)

const (
	runFolderPrefix = "bc-"
	lockName        = "lock"

	// socketPathTail is what go-plugin appends to the run folder: a folder
	// "plugin-dir" and a socket "plugin", each with up to ten digits.
	socketPathTail = len("/plugin-dir0123456789/plugin0123456789")

	// unlockedAge is how old a run folder without a lock must be to count as
	// left over. A living host needs milliseconds to lock its own.
	unlockedAge = time.Hour
)

// runFolder is the private folder of one launcher: copies of the binaries and
// a folder per process for its socket and temporary files.
type runFolder struct {
	path string
	lock *os.File // held for as long as the launcher lives
}

// openRunFolder makes the folder in the first suitable place and removes
// those that dead hosts left there.
func openRunFolder(configured string) (*runFolder, error) {
	places := []string{configured}
	if configured == "" {
		places = defaultPlaces()
	}
	var problems []string
	for _, place := range places {
		f, err := makeRunFolder(place)
		if err == nil {
			sweep(place)
			return f, nil
		}
		problems = append(problems, err.Error())
	}
	return nil, connector.Errorf(connector.StoreUnsuitable, connector.OriginHost,
		"There is no folder in which plugins can be run.").
		WithDetail("%s", strings.Join(problems, "; ")).
		Suggest("Name a private folder on a local disk with a path of at most %d characters.",
			maxSocketPath-socketPathTail-len("/"+runFolderPrefix+"0123456789"))
}

func defaultPlaces() []string {
	places := []string{os.TempDir()}
	if runtime.GOOS != "windows" {
		if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
			places = append(places, dir)
		}
		places = append(places, "/tmp", "/var/tmp")
	}
	return places
}

// makeRunFolder makes the folder and locks it. Its errors say what is wrong
// with the place.
func makeRunFolder(place string) (*runFolder, error) {
	place, err := filepath.Abs(place)
	if err != nil {
		return nil, err
	}
	// The handshake line is split at "|" and ends at a line break.
	if strings.ContainsFunc(place, func(r rune) bool { return r == '|' || unicode.IsControl(r) }) {
		return nil, fmt.Errorf("%q has characters that a plugin can't hand back", place)
	}
	info, err := os.Stat(place)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", place, reason(err))
	case !info.IsDir():
		return nil, fmt.Errorf("%s isn't a folder", place)
	case runtime.GOOS != "windows" && info.Mode()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0:
		return nil, fmt.Errorf("%s may be changed by every user", place)
	case noExec(place):
		return nil, fmt.Errorf("%s is on a file system that runs no programs", place)
	}
	path, err := os.MkdirTemp(place, runFolderPrefix)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, reason(err))
	}
	if n := len(path) + socketPathTail; maxSocketPath > 0 && n > maxSocketPath {
		_ = os.Remove(path)
		return nil, fmt.Errorf("%s is too long: its socket paths would have %d characters, the system allows %d",
			place, n, maxSocketPath)
	}
	lock, err := lockFolder(path)
	if err != nil {
		_ = os.RemoveAll(path)
		return nil, fmt.Errorf("%s: %w", place, reason(err))
	}
	return &runFolder{path: path, lock: lock}, nil
}

// lockFolder makes a locked file in the folder. It gets its name only when it
// is locked, so that no sweep ever sees the folder of a living host unlocked.
func lockFolder(path string) (*os.File, error) {
	name := filepath.Join(path, lockName)
	f, err := os.OpenFile(name+".new", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	locked, err := tryLock(f)
	if err == nil && !locked {
		err = errors.New("the new lock file is locked already")
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Close removes the folder.
func (f *runFolder) Close() error {
	err := os.RemoveAll(f.path)
	return errors.Join(err, f.lock.Close())
}

// sweep removes the run folders of hosts that are dead. It is a courtesy: what
// it can't remove stays.
func sweep(place string) {
	leftovers, err := filepath.Glob(filepath.Join(escapeGlob(place), runFolderPrefix+"*"))
	if err != nil {
		return
	}
	for _, path := range leftovers {
		info, err := os.Lstat(path)
		if err == nil && info.IsDir() && isOurs(info) && isLeftOver(path, info) {
			_ = os.RemoveAll(path)
		}
	}
}

func isLeftOver(path string, info fs.FileInfo) bool {
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Since(info.ModTime()) > unlockedAge
	}
	if err != nil {
		return false
	}
	defer func() { _ = lock.Close() }()
	free, err := tryLock(lock)
	return err == nil && free
}

func escapeGlob(path string) string {
	if runtime.GOOS == "windows" {
		return path // a backslash separates there and can't escape
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// reason strips the path from a file error; the caller names it once.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
