package pgtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
)

// account is who the server runs as: it refuses to run as root.
type account struct {
	name     string // empty: whoever runs the test
	uid, gid int
}

func serverAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return &account{}, nil
	}
	const name = "postgres"
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL doesn't run as root, and there is no user %s: %w", name, err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	return &account{name: name, uid: uid, gid: gid}, nil
}

// reaches reports whether the account may pass through a folder and all above
// it. Of another user's folders it counts those that everybody may pass.
func (a *account) reaches(folder string) bool {
	if a.name == "" {
		return true
	}
	for ; ; folder = filepath.Dir(folder) {
		if info, err := os.Stat(folder); err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if folder == filepath.Dir(folder) {
			return true
		}
	}
}

// own gives a folder to the account.
func (a *account) own(folder string) error {
	if a.name == "" {
		return nil
	}
	return os.Chown(folder, a.uid, a.gid)
}

// command runs a program as the account. The process that starts is the
// program itself, so that it can be signalled.
func (a *account) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if a.name == "" {
		return command(ctx, name, args...)
	}
	return command(ctx, "setpriv", append([]string{
		fmt.Sprintf("--reuid=%d", a.uid), fmt.Sprintf("--regid=%d", a.gid), "--clear-groups", name,
	}, args...)...)
}
