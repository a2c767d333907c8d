//go:build unix

package process

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/boxconnection/connector/proto/handshake"
)

// restrictFiles keeps what the process creates, its socket among it, from
// other users.
func restrictFiles() { syscall.Umask(0o077) }

// watchHost ends the process when the host is gone: when the pipe that only
// the host holds open reports its end. It needs no call to be free, so it
// works while handlers hang. The returned function ends the watch.
func watchHost(log *slog.Logger) (stop func()) {
	value := os.Getenv(handshake.DeathFD)
	if value == "" {
		return func() {}
	}
	fd, err := strconv.ParseUint(value, 10, 16)
	var stat syscall.Stat_t
	if err != nil || fd < 3 || syscall.Fstat(int(fd), &stat) != nil {
		log.Warn("no watchdog: " + handshake.DeathFD + " doesn't name an open descriptor")
		return func() {}
	}
	syscall.CloseOnExec(int(fd))
	pipe := os.NewFile(uintptr(fd), "host")
	go func() {
		buf := make([]byte, 64)
		for {
			// Bytes mean nothing; only the end does.
			if _, err := pipe.Read(buf); errors.Is(err, io.EOF) {
				removeSockets(os.Getenv(handshake.SocketDir))
				endGroup()
			} else if err != nil {
				return
			}
		}
	}()
	return func() { _ = pipe.Close() }
}

// removeSockets removes the sockets of the folder that the host made for this
// process, and the folder if nothing else is in it.
func removeSockets(dir string) {
	if dir == "" {
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.Type()&os.ModeSocket != 0 && strings.HasPrefix(e.Name(), "plugin") {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	_ = os.Remove(dir)
}

// endGroup kills this process, and its children if it leads their group.
func endGroup() {
	if syscall.Getpgrp() == syscall.Getpid() {
		_ = syscall.Kill(0, syscall.SIGKILL)
	}
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
}
