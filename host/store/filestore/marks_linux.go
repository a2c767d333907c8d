package filestore

import (
	"errors"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func folderMarks(path string) (map[string]string, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME, &st)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // a kernel or a sandbox without the call
		var old unix.Stat_t
		err = unix.Stat(path, &old)
		st = unix.Statx_t{Ino: old.Ino}
	}
	if err != nil {
		return nil, err
	}
	marks := map[string]string{markFolder: strconv.FormatUint(st.Ino, 10)}
	if st.Mask&unix.STATX_BTIME != 0 {
		marks[markMade] = time.Unix(st.Btime.Sec, int64(st.Btime.Nsec)).UTC().Format(time.RFC3339Nano)
	}
	return marks, nil
}
