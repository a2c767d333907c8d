//go:build !unix

// Package group starts processes so that they end with all that they start.
package group

import (
	"os"
	"os/exec"
)

// InheritsFiles says whether a process can inherit a descriptor.
const InheritsFiles = false

// Lead makes the process that a command starts the leader of a group, where
// there are groups.
func Lead(*exec.Cmd) {}

// Kill ends the group that a process leads, or the process alone.
func Kill(p *os.Process) { _ = p.Kill() }
