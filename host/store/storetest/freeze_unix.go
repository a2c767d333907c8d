//go:build unix

package storetest

import (
	"os"
	"syscall"
)

// freeze and thaw stop a process and let it go on.
var (
	freeze = func(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
	thaw   = func(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
)
