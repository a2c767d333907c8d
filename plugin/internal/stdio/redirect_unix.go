//go:build unix

package stdio

import (
	"os"
	"syscall"
)

// redirect moves descriptor 1 away and puts standard error in its place, so
// that C code and child processes are covered too. Where that fails, it
// leaves everything as it is.
func redirect() *os.File {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := syscall.Dup(1)
	if err != nil {
		return nil
	}
	syscall.CloseOnExec(fd)
	if err := dup2(2, 1); err != nil {
		_ = syscall.Close(fd)
		return nil
	}
	return os.NewFile(uintptr(fd), "handshake output")
}
