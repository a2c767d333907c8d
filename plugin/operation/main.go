package operation

import (
	"fmt"
	"os"

	"github.com/boxconnection/connector/plugin/internal/process"
	"github.com/boxconnection/connector/proto/handshake"
)

// Main runs a binary with operations and doesn't return. Started by a host, it
// serves them until the host shuts it down or is gone; run by hand, it says
// what it is. It takes the process over: standard output belongs to the
// handshake, so whatever is printed goes to standard error; os.Exit ends it;
// log/slog writes the log that hosts read. Flags: --version, --verbose.
func Main(p Plugin) {
	s, err := NewServer(p)
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "these operations can't be served: %v\n", err)
		os.Exit(1)
	}
	os.Exit(process.Main(process.Program{
		ID: p.ID, Title: p.Title, Version: p.Version, Kind: "set of operations", Look: "connectorctl plugin pair CONNECTION",
		Protocol: handshake.Version, Name: handshake.OperationsName,
		Register: s.Register, Calls: s.guard(),
	}, os.Args[1:]))
}
