// Box-operations is the Box operations as a plugin binary. A host starts it;
// run by hand, it says what it is.
package main

import (
	"github.com/boxconnection/connector/plugin/box/operations"
	"github.com/boxconnection/connector/plugin/operation"
)

// version is set by -ldflags "-X main.version=v1.2.3".
var version = "devel"

func main() { operation.Main(operations.Plugin(version)) }
