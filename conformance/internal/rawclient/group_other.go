//go:build !unix

package rawclient

import (
	"os"
	"os/exec"
)

// inheritsFiles says whether a process can inherit a descriptor.
const inheritsFiles = false

func setGroup(*exec.Cmd) {}

func killGroup(p *os.Process) { _ = p.Kill() }
