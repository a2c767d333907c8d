package checks

import (
	"fmt"
	"os"
	"strings"
)

// children lists the processes that a process has started and that run.
func children(pid int) []child {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil
	}
	death := pipeOf(pid, 3)
	var out []child
	for _, task := range tasks {
		list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			continue
		}
		for _, id := range strings.Fields(string(list)) {
			arguments, _ := os.ReadFile("/proc/" + id + "/cmdline")
			environment, _ := os.ReadFile("/proc/" + id + "/environ")
			name, _, _ := strings.Cut(string(arguments), "\x00")
			c := child{name: name, arguments: arguments, environment: environment}
			var number int
			if _, err := fmt.Sscan(id, &number); err == nil && death != "" {
				for fd := range 64 {
					c.pipe = c.pipe || pipeOf(number, fd) == death
				}
			}
			out = append(out, c)
			if number > 0 {
				out = append(out, children(number)...)
			}
		}
	}
	return out
}

// pipeOf names the pipe that a descriptor of a process is, if it is one.
func pipeOf(pid, fd int) string {
	name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
	if err != nil || !strings.HasPrefix(name, "pipe:") {
		return ""
	}
	return name
}
