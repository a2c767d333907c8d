// Box-connection is the Box connector as a plugin binary. A host starts it;
// run by hand, it says what it is.
package main

import (
	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/plugin/box"
)

// version is set by -ldflags "-X main.version=v1.2.3"; without it the version
// that the Go toolchain recorded counts.
var version string

func main() { plugin.Main(box.New(box.WithVersion(version))) }
