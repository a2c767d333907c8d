package child

import (
	"os"
	"syscall"
)

// deathPipe: os/exec hands no further descriptors to a process on Windows, so
// a plugin there outlives a host that is killed.
const deathPipe = false

func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP, HideWindow: true}
}

// killGroup kills the process only: what it started itself lives on.
func killGroup(p *os.Process) { _ = p.Kill() }

func textBusy(error) bool { return false }
