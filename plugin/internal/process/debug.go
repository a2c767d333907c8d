package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// serveByHand serves the plugin for a person with a debugger until it is asked to
// end: in plain text, on a socket in a folder that nobody else gets into. It
// prints where that is.
func serveByHand(p Program, verbose bool, stdout, stderr io.Writer) int {
	restrictFiles()
	forgetEnvironment()
	log := newLog(os.Stderr, verbose)
	slog.SetDefault(log)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serveDebug(ctx, p, log, stdout); err != nil {
		_, _ = fmt.Fprintf(stderr, "it can't be served: %v\n", err)
		return 1
	}
	return 0
}

func serveDebug(ctx context.Context, p Program, log *slog.Logger, stdout io.Writer) (err error) {
	folder, err := os.MkdirTemp("", "debug") // with mode 0700
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	address := filepath.Join(folder, "plugin")
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "unix", address)
	if err != nil {
		return err
	}
	guard := p.Calls
	guard.Log = log
	calls := newCalls(guard, func() {})
	server := calls.server(calls.options())
	p.Register(server)
	status := health.NewServer()
	status.SetServingStatus("plugin", healthv1.HealthCheckResponse_SERVING)
	healthv1.RegisterHealthServer(server, status)
	defer context.AfterFunc(ctx, func() { calls.drain(drainTime) })()
	if _, err := fmt.Fprintf(stdout, "%s is served for a debugger, without protection but the folder's. Judge it with:\nconnector-conformance run --attach %s\n", p.ID, address); err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}
