package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/proto/connector"
)

func (a *app) keepAliveCommand() *cobra.Command {
	var (
		concurrency int
		rate        float64
	)
	cmd := &cobra.Command{
		Use: "keepalive", Short: "Renew what would lapse unused, and revoke what couldn't be revoked", Args: noArgs,
		Long: `Renew grants that would lapse because nobody uses them, revoke what could not be
revoked before, and drop sign-ins that nobody confirmed, of all accounts. Run it
once a day. Exit code 13 if something is to be tried again, else 11 if a grant
turned out to be dead, else 0.`,
		PreRunE: func(*cobra.Command, []string) error {
			if concurrency < 1 {
				return usage("--concurrency takes a number from 1 on")
			}
			if rate < 0 {
				return usage("--rate takes a number from 0 on")
			}
			a.keepAliveRate = rate
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer e.close()
			sum, err := e.host.KeepAlive(cmd.Context(), concurrency)
			if err != nil {
				return err
			}
			err = a.print(sum, func(w io.Writer) {
				say(w, "renewed %d, revoked %d, sign in again %d, to be tried again %d, done by others %d, held until adopted %d",
					sum.Renewed, sum.Revoked, sum.SignInAgain, sum.Failed, sum.Skipped, sum.Held)
			})
			switch {
			case sum.Failed > 0:
				return &shownError{connector.Errorf(connector.ServiceUnavailable, connector.OriginHost, "Something is to be tried again.").With(connector.Retry)}
			case sum.SignInAgain > 0:
				return &shownError{connector.Errorf(connector.GrantInvalid, connector.OriginHost, "A grant is dead.").With(connector.SignInAgain)}
			default:
				return err
			}
		},
	}
	cmd.Flags().IntVar(&concurrency, "concurrency", 8, "how much is done at a time")
	cmd.Flags().Float64Var(&rate, "rate", 0, "at most so many renewals a second, this node's share of what the service takes; 0 is no bound")
	return cmd
}
