//go:build unix

package child

import (
	"errors"
	"os"
	"syscall"
)

// deathPipe says whether a descriptor can be handed to the process.
const deathPipe = true

// killGroup kills the process's group. The process must not be reaped yet, so
// that its number still names the group.
func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }

func textBusy(err error) bool { return errors.Is(err, syscall.ETXTBSY) }
