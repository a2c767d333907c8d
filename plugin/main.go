package plugin

import (
	"fmt"
	"os"

	"github.com/boxconnection/connector/plugin/internal/process"
	"github.com/boxconnection/connector/proto/handshake"
)

// Main runs a connector's binary and doesn't return. Started by a host, it
// serves the connector until the host shuts it down or is gone; run by hand,
// it says what it is. It takes the process over: standard output belongs to
// the handshake, so whatever is printed goes to standard error; os.Exit ends
// it; log/slog writes the log that hosts read. Flags:
// --version, --verbose, and --debug, which serves without a host.
func Main(c Connector) {
	s, err := NewServer(c)
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "this connector can't be served: %v\n", err)
		os.Exit(1)
	}
	os.Exit(process.Main(process.Program{
		ID: s.description.ID, Title: s.description.Title, Version: s.description.Version, Kind: "connector", Look: "connectorctl plugin describe",
		Protocol: handshake.Version, Name: handshake.PluginName,
		Register: s.Register, Calls: s.guard(),
	}, os.Args[1:]))
}
