package hostsuite

import "runtime"

// longestFolder is what the path of the sockets' folder may have.
func longestFolder() int {
	if runtime.GOOS == "darwin" {
		return 65
	}
	return 69
}
