//go:build unix

package rawclient

import (
	"os"
	"os/exec"
	"syscall"
)

// inheritsFiles says whether a process can inherit a descriptor.
const inheritsFiles = true

// setGroup makes the process the leader of a group, so that it ends with all
// that it starts.
func setGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
