//go:build unix

package peer

import (
	"os"
	"os/exec"
	"syscall"
)

// setGroup makes the process the leader of a group, so that it ends with all
// that it starts.
func setGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
