package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/proto/connector"
)

// handedOut is what access prints. It is the only output that holds a secret.
type handedOut struct {
	AccessToken string            `json:"access_token"`
	TokenType   string            `json:"token_type"`
	IssuedAt    time.Time         `json:"issued_at,omitzero"`
	ExpiresAt   time.Time         `json:"expires_at,omitzero"`
	Endpoints   map[string]string `json:"endpoints"`
	Headers     map[string]string `json:"headers,omitempty"`
	Scopes      connector.Scopes  `json:"scopes"`
	Generation  uint64            `json:"generation"`
}

func (a *app) accessCommand() *cobra.Command {
	var req connector.AccessRequest
	cmd := &cobra.Command{
		Use: "access NAME", Short: "Print an access token, renewed if it must be", Args: exactly(1),
		Long: `Print an access token that lasts. This is how an engine in any language gets
one: ask before each piece of work, and when the service refuses the token ask
again with --refused and the generation that was printed with it.`,
		PreRunE: func(*cobra.Command, []string) error {
			if req.MinValidity < 0 {
				return usage("--min takes how long the token must still last, such as 5m")
			}
			return nil
		},
		RunE: a.onConnection(func(ctx context.Context, e *engine, c *host.Connection, name string) error {
			t, err := c.Access(ctx, req)
			if aerr := e.auditHandOut(ctx, c, name, t, err); err == nil {
				err = aerr
			}
			if err != nil {
				return err
			}
			return a.print(handedOut{
				t.Token.Reveal(), t.Type, t.IssuedAt, t.ExpiresAt, t.Endpoints, t.Headers, t.Scopes, t.Generation,
			}, func(w io.Writer) { say(w, "%s", t.Token.Reveal()) })
		}),
	}
	cmd.Flags().DurationVar(&req.MinValidity, "min", 0, "how long the token must still last (default: the connector's margin)")
	cmd.Flags().Uint64Var(&req.Refused, "refused", 0, "the generation whose token the service refused")
	return cmd
}

// auditHandOut records that access left connectorctl, or didn't. Without the
// record there is no access.
func (e *engine) auditHandOut(ctx context.Context, c *host.Connection, name string, t *connector.Access, failure error) error {
	event := audit.Event{
		Time: time.Now().UTC(), Actor: actor(), Owner: e.app.owner, Environment: e.app.environment,
		Connection: c.ID(), Name: name, Action: audit.ActionHandOut, Outcome: audit.OutcomeOK,
	}
	if t != nil {
		event.Generation = t.Generation
	}
	if d := connector.Diagnose(failure, connector.OriginHost); d != nil {
		event.Outcome, event.Origin = string(d.Code), d.Origin
	}
	return e.sink.Record(context.WithoutCancel(ctx), event)
}

func (a *app) auditCommand() *cobra.Command {
	var connection string
	cmd := &cobra.Command{
		Use: "audit", Short: "Print who did what to which connection", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			home, err := a.homeFolder()
			if err != nil {
				return err
			}
			for event, err := range audit.Read(auditPath(home)) {
				if err != nil {
					a.note("%v", err)
					continue
				}
				if event.Owner != "" && event.Owner != a.owner || connection != "" && event.Name != connection && event.Connection != connection {
					continue
				}
				if err := a.print(event, func(w io.Writer) { showEvent(w, event) }); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&connection, "connection", "", "a connection's name or ID")
	return cmd
}

func showEvent(w io.Writer, e audit.Event) {
	name := e.Name
	if name == "" {
		name = e.Connection
	}
	say(w, "%s  %-24s %-22s %-16s %s %s", when(e.Time), clean(e.Actor), e.Action, dash(name), clean(e.Outcome), clean(e.Subject))
}
