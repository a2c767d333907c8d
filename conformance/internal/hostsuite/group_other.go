//go:build !unix

package hostsuite

import (
	"os"
	"os/exec"
)

func setGroup(*exec.Cmd) {}

func killGroup(p *os.Process) { _ = p.Kill() }

// alive can't tell, and the check that asks passes.
func alive(int) bool { return false }
