//go:build unix && !linux

package child

import "syscall"

// processAttributes gives the process a group of its own.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
