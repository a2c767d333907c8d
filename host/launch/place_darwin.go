package launch

import "golang.org/x/sys/unix"

// maxSocketPath is what fits into the kernel's 104 bytes with the final zero.
const maxSocketPath = 103

// noExec reports whether the place is on a file system that runs no programs.
func noExec(path string) bool {
	var stat unix.Statfs_t
	return unix.Statfs(path, &stat) == nil && stat.Flags&unix.MNT_NOEXEC != 0
}
