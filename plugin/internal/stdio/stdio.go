// Package stdio keeps a plugin's standard output clean: a host reads one line
// from it, the handshake, and anything else there breaks the start.
//
// It acts while the program is being initialised, since dependencies and the
// author's own package variables may print before main runs. It needs nothing
// but os and syscall, so it comes first among the packages that could print.
// It acts only in a process that a host started as a plugin.
package stdio

import (
	"os"

	"github.com/boxconnection/connector/proto/handshake"
)

// handshakeOut is the real standard output, nil if nothing was redirected.
var handshakeOut = capture()

func capture() *os.File {
	if os.Getenv(handshake.CookieKey) != handshake.CookieValue {
		return nil
	}
	return redirect()
}

// HandshakeOut returns the standard output that the host reads. Since the
// start of the process, everything else that is printed there goes to
// standard error.
func HandshakeOut() *os.File {
	if handshakeOut == nil {
		return os.Stdout
	}
	return handshakeOut
}
