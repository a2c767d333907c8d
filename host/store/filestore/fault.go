package filestore

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// writeFault says why something couldn't be written. It unwraps to the
// operating system's error.
func writeFault(path string, err error) error {
	if _, ok := errors.AsType[*connector.Diagnostic](err); ok {
		return err
	}
	unwritable := func(summary string) *connector.Diagnostic {
		return connector.Errorf(connector.StoreUnwritable, connector.OriginHost, summary, path).
			WithDetail("%s", reason(err)).Because(err)
	}
	switch {
	case isAny(err, syscall.ENOSPC, syscall.EDQUOT):
		return unwritable("There is no room left for the store at %s.").
			Suggest("Free some space on the disk or raise the quota, then try again.")
	case isAny(err, syscall.EROFS):
		return unwritable("The store is on a read-only file system at %s.").
			Suggest("Rotating refresh tokens need a store that can be written: mount it read-write, or name another folder.")
	case isAny(err, syscall.EBUSY, syscall.EXDEV):
		return unwritable("The file %s can't be replaced, as happens if it is a mount of its own.").
			Suggest("Mount the store's whole folder instead of a single file.")
	case isAny(err, fs.ErrPermission):
		return unwritable("This process has no right to write the store at %s.").
			Suggest("Rotating refresh tokens need a store that can be written: give this user the folder, or name another one.")
	case isAny(err, syscall.EMFILE, syscall.ENFILE):
		return connector.Errorf(connector.StoreUnavailable, connector.OriginHost, "Too many files are open to use %s.", path).
			Suggest("Raise the limit of open files.").With(connector.Retry).Because(err)
	case isAny(err, syscall.ENOLCK, syscall.ENOTSUP, syscall.ENOSYS):
		return connector.Errorf(connector.StoreUnsuitable, connector.OriginHost, "The file system has no locks at %s.", path).
			WithDetail("%s", reason(err)).Suggest("Put the store on a local disk.").Because(err)
	case isAny(err, fs.ErrNotExist, syscall.ENOTDIR):
		return connector.Errorf(connector.StoreUnavailable, connector.OriginHost, "The store's folder is gone at %s.", path).
			Suggest("Mount it or put it back, then try again.").Because(err)
	}
	return unwritable("The store can't be written at %s.").
		Suggest("Look after the disk, or name another folder.")
}

// readFault says why something couldn't be read.
func readFault(path string, err error) error {
	return connector.Errorf(connector.StoreUnavailable, connector.OriginHost, "The store can't be read at %s.", path).
		WithDetail("%s", reason(err)).
		Suggest("See that the disk is there and that this process may read it.").Because(err)
}

func damagedFault(path, how string, cause error) *connector.Diagnostic {
	return connector.Errorf(connector.StoreDamaged, connector.OriginHost, "The store's file %s is damaged: %s.", path, how).
		Suggest("It was left as it is. Put it back from a backup, or move it away and connect again.").Because(cause)
}

func notFound(key store.Key) error {
	return connector.Errorf(connector.ConnectionNotFound, connector.OriginHost,
		"There is no connection %q of %q in environment %q.", key.Connection, key.Owner, key.Environment)
}

func changed(key store.Key) error {
	return connector.Errorf(connector.ConnectionChanged, connector.OriginHost,
		"Connection %q was changed by somebody else meanwhile.", key.Connection).
		Suggest("Read it again and repeat the change.")
}

// reason is the operating system's word for it, without paths.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err.Error()
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e.Error()
	}
	return "unknown cause"
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
