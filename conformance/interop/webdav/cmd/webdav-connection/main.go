// Command webdav-connection is the connector as a plugin.
package main

import (
	"github.com/boxconnection/connector/conformance/interop/webdav/internal/dav"
	"github.com/boxconnection/connector/plugin"
)

func main() { plugin.Main(dav.Connector{}) }
