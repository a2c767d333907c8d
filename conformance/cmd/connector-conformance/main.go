// Connector-conformance judges whether a connector keeps the contract, before
// an engine loads it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set when the binary is linked.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
