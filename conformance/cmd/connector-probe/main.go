// Command connector-probe is the connector that hosts are judged with:
// `connector-conformance host` hands copies of it to the host.
package main

import (
	"fmt"
	"os"

	"github.com/boxconnection/connector/conformance/internal/probe"
)

func main() {
	if err := probe.Main(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "connector-probe: %v\n", err)
		os.Exit(1)
	}
}
