//go:build unix

// Package group starts processes so that they end with all that they start.
package group

import (
	"os"
	"os/exec"
	"syscall"
)

// InheritsFiles says whether a process can inherit a descriptor.
const InheritsFiles = true

// Lead makes the process that a command starts the leader of a group.
func Lead(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// Kill ends the group that a process leads.
func Kill(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
