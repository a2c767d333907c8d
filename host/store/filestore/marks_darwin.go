package filestore

import (
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func folderMarks(path string) (map[string]string, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, err
	}
	return map[string]string{
		markFolder: strconv.FormatUint(st.Ino, 10),
		markMade:   time.Unix(st.Btim.Unix()).UTC().Format(time.RFC3339Nano),
	}, nil
}
