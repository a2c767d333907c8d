package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/host/cmd/connectorctl/internal/demo"
	"github.com/boxconnection/connector/proto/connector"
)

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Run the main job on the built-in Box emulator", Args: noArgs,
		Long: `Run the main job, with the binaries beside this one, on the built-in Box
emulator: describe, validate, sign in, test, open a session, call the API, renew,
delete. It needs no browser, no account and no network, and keeps nothing.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return connector.Diagnose(err, connector.OriginHost)
			}
			if err := demo.Run(cmd.Context(), filepath.Dir(self), a.stdout); err != nil {
				return connector.Errorf(connector.Internal, connector.OriginHost, "The demo stopped: %v", err)
			}
			return nil
		},
	}
}
