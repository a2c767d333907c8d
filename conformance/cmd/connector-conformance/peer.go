package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/conformance"
)

// headerLimit bounds how long a client may take over its headers.
const headerLimit = 10 * time.Second

func newPeer() *cobra.Command {
	return &cobra.Command{
		Use: "peer", Short: "Serve a small OAuth 2.0 service under control, for a profile",
		Long: `Serve a small OAuth 2.0 service that speaks the suite's control protocol, on a
free port of this machine, until standard input is closed. Its endpoints lie
below base_url: /authorize, /token, /revoke, /api/me and /api/ping.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return servePeer(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// servePeer serves until the context ends or there is no more input.
func servePeer(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	handler, vars := conformance.OAuthPeer("http://" + l.Addr().String())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerLimit}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	// The read ends with the process at the latest.
	go func() {
		defer stop()
		_, _ = io.Copy(io.Discard, stdin)
	}()
	if err := json.NewEncoder(stdout).Encode(vars); err != nil {
		return err
	}
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
