//go:build unix

package main_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// nobody is the user without rights.
const nobody = 65534

// dropRights makes the world and the processes that are started in it from now
// on a user's without rights, if it is root's: root may write everywhere.
func (w *world) dropRights() error {
	if os.Geteuid() != 0 {
		return nil
	}
	w.user = func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	for _, folder := range []string{w.dir, w.temp} {
		err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, nobody, nobody)
		})
		if err != nil {
			return err
		}
	}
	// The way there must be open to that user.
	for path := filepath.Dir(w.dir); len(path) >= len(scratch); path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o711); err != nil {
			return err
		}
	}
	return os.Chmod(bin, 0o711)
}
