package launch

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// tryLock takes the kernel's lock on an open file, if nobody has it. The lock
// ends at the latest with the process.
func tryLock(f *os.File) (bool, error) {
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

// isOurs reports whether the file belongs to the user who runs the process.
// The temporary folder is the user's own on Windows.
func isOurs(os.FileInfo) bool { return true }
