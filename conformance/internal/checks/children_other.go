//go:build !linux

package checks

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// children lists the processes that a process has started and that run. ps
// shows the environment after the arguments; descriptors can't be seen.
func children(pid int) []child {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	list, err := exec.CommandContext(ctx, "ps", "axeww", "-o", "ppid=,command=").Output()
	if err != nil {
		return nil
	}
	var out []child
	for line := range strings.Lines(string(list)) {
		parent, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		if parent == strconv.Itoa(pid) {
			name, _, _ := strings.Cut(strings.TrimSpace(command), " ")
			out = append(out, child{name: name, arguments: []byte(command), environment: []byte(command)})
		}
	}
	return out
}
