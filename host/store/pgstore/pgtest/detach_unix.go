//go:build unix

package pgtest

import (
	"os/exec"
	"syscall"
)

// detach keeps a keyboard's interrupt from a process, so that whoever started
// it ends it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
