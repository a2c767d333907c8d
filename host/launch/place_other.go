//go:build !linux && !darwin

package launch

import "runtime"

// maxSocketPath is the smallest limit of the BSDs; Windows has no sockets here.
var maxSocketPath = map[bool]int{true: 0, false: 103}[runtime.GOOS == "windows"]

// noExec isn't asked here; a start that fails says so.
func noExec(string) bool { return false }
