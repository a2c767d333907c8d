package child

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// processAttributes gives the process a group of its own. The kernel kills it
// if the spawner's thread ends with the host: a second line behind the death
// pipe, for plugins that don't watch theirs.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// await waits until the process has ended, kills its group while the unreaped
// process still keeps the number from being given to another, and reaps it.
func (c *Child) await() {
	for {
		err := unix.Waitid(unix.P_PID, c.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	killGroup(c.cmd.Process)
	_ = c.cmd.Wait() // the process's state tells how it ended
	c.reaped = true
}
