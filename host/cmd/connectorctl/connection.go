package main

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/internal/loopback"
	"github.com/boxconnection/connector/proto/connector"
)

func (a *app) connectionCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "connection", Short: "Set up and test connections"})
	cmd.AddCommand(
		a.createCommand(), a.editCommand(), a.overrideCommand(), a.showCommand(), a.listCommand(), a.deleteCommand(),
		a.signInCommand(), a.signOutCommand(), a.testCommand(),
	)
	return cmd
}

func (a *app) createCommand() *cobra.Command {
	var (
		flags  settingsFlags
		plugin string
	)
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Save a new connection", Args: exactly(1),
		Example: `  connectorctl connection create sales --set client_id=abc --secret client_secret=@-`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			e, err := a.open(ctx)
			if err != nil {
				return err
			}
			defer e.close()
			c, err := e.connector(ctx, plugin)
			if err != nil {
				return err
			}
			s, err := a.settings(ctx, c.Descriptor(), &flags)
			if err != nil {
				return err
			}
			data, err := json.Marshal(s)
			if err != nil {
				return err
			}
			network, err := a.network(ctx, &flags)
			if err != nil {
				return err
			}
			options := host.DraftOptions{Plugin: plugin}
			if network != nil {
				options.Network = &connector.Network{}
				network(options.Network)
			}
			draft, err := e.tenant.Draft(ctx, c, data, options)
			if err != nil {
				return err
			}
			if err := draft.Save(ctx, args[0]); err != nil {
				a.discard(ctx, draft)
				return err
			}
			info, err := draft.Info(ctx)
			if err != nil {
				return err
			}
			return a.print(info, func(w io.Writer) {
				say(w, "Saved the connection %s.", args[0])
				if d := c.Description(); d.Has(connector.CapabilityAuthorize) {
					say(w, "Register this redirect URI with the application, then sign in with: %s\n  %s",
						a.signInCommandLine(args[0]), loopback.RedirectURI(a.owner, loopback.DefaultPort))
				}
			})
		},
	}
	cmd.Flags().StringVar(&plugin, "plugin", defaultPlugin, "the connector: a binary beside connectorctl, or a path")
	flags.register(cmd, false)
	return cmd
}

// discard ends a draft that wasn't saved, and its secrets with it. Where that
// fails, the draft ends by itself after a day.
func (a *app) discard(ctx context.Context, draft *host.Connection) {
	if err := draft.Discard(context.WithoutCancel(ctx)); err != nil {
		a.logger().Warn("a draft stays until it expires", "draft", draft.ID(), "error", err)
	}
}

func (a *app) editCommand() *cobra.Command {
	var (
		flags  settingsFlags
		change draftChange
	)
	cmd := &cobra.Command{
		Use: "edit NAME", Short: "Change a connection's settings", Args: exactly(1),
		Long: `Change a connection's settings. What isn't named stays, secrets included. A
change of where secrets go (a URL, the proxy, the certificates) wants the
secret in the same command, and a new sign-in after it. It counts in the
environments that inherit from the connection, too: those where it moves a
destination want their own secrets again, and a sign-in. In such an environment
edit changes what is overridden.`,
		RunE: a.onConnection(func(ctx context.Context, _ *engine, c *host.Connection, _ string) error {
			conn, err := c.Connector()
			if err != nil {
				return err
			}
			edit := host.Edit{DefaultNetwork: change.defaultNetwork}
			if edit.Settings, err = a.settings(ctx, conn.Descriptor(), &flags); err != nil {
				return err
			}
			if edit.ChangeNetwork, err = a.network(ctx, &flags); err != nil {
				return err
			}
			draft, err := c.Edit(ctx, edit)
			if err != nil {
				return err
			}
			return a.saveDraft(ctx, draft, change)
		}),
	}
	flags.register(cmd, true)
	cmd.Flags().StringVar(&change.rename, "rename", "", "the connection's new name")
	change.register(cmd)
	cmd.Flags().BoolVar(&change.defaultNetwork, "default-network", false, "drop the connection's own proxy and certificates")
	return cmd
}

func (a *app) showCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Print a connection without its secrets", Args: exactly(1),
		RunE: a.onConnection(func(ctx context.Context, _ *engine, c *host.Connection, _ string) error {
			info, err := c.Info(ctx)
			if err != nil {
				return err
			}
			settings, secrets, err := c.Settings(ctx)
			if err != nil {
				return err
			}
			overrides, err := c.Overrides(ctx)
			if err != nil {
				return err
			}
			environments, err := c.Environments(ctx)
			if err != nil {
				return err
			}
			s := shown{info, settings, secrets, overrides, environments}
			return a.print(s, func(w io.Writer) { a.show(w, c, s) })
		}),
	}
}

// shown is what show tells.
type shown struct {
	host.Info

	Settings     descriptor.Settings `json:"settings"`
	Secrets      []string            `json:"secrets_set"`
	Overrides    *host.Overrides     `json:"overrides,omitempty"`
	Environments []host.Info         `json:"environments,omitempty"`
}

func (a *app) show(w io.Writer, c *host.Connection, s shown) {
	info := s.Info
	say(w, "%s (%s)", info.Name, info.State)
	if info.Err != nil {
		showDiagnostic(w, "  ", info.Err)
		a.tellSignIn(w, "    ", info.Err)
	}
	if info.Held != nil {
		showDiagnostic(w, "  ", info.Held)
	}
	say(w, "  connector       %s (%s)", dash(info.Connector), dash(info.Plugin))
	say(w, "  account         %s", accountText(info.Account))
	say(w, "  signed in       %s", when(info.SignedInAt))
	say(w, "  renewed         %s", when(info.RenewedAt))
	say(w, "  access until    %s", when(info.AccessExpiresAt))
	say(w, "  unused until    %s", when(info.LapsesAt))
	tested := when(info.TestedAt)
	if !info.TestedAt.IsZero() {
		tested += map[bool]string{true: ", passed", false: ", didn't pass"}[info.TestPassed]
	}
	say(w, "  tested          %s", tested)
	conn, err := c.Connector()
	if err != nil {
		return
	}
	if s.Overrides != nil {
		say(w, "  %-15s %s", "proxy and CA", networkFrom(s.Overrides))
	}
	for _, f := range conn.Descriptor().Fields() {
		value, set := s.Settings[f.Name]
		text := "-"
		switch {
		case f.ReadOnly:
			continue
		case set:
			text = jsonText(value)
		case f.Secret && slices.Contains(s.Secrets, f.Name):
			text = "(set)"
		}
		say(w, "  %-15s %s%s", f.Name, text, from(s.Overrides, f.Name))
	}
	a.showEnvironments(w, s.Environments)
}

func accountText(account *connector.Account) string {
	if account == nil {
		return "-"
	}
	parts := []string{}
	for _, p := range []string{account.Login, account.Name, account.EnterpriseName} {
		if p != "" {
			parts = append(parts, clean(p))
		}
	}
	parts = append(parts, "ID "+clean(account.ID))
	return strings.Join(parts, ", ")
}

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the connections", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer e.close()
			infos, err := e.tenant.List(cmd.Context())
			if err != nil {
				return err
			}
			copied := e.tellCopied(cmd.Context())
			return a.print(infos, func(w io.Writer) {
				for _, i := range infos {
					login := "-"
					if i.Account != nil {
						login = dash(i.Account.Login)
					}
					say(w, "%-20s %-14s %-28s %s", dash(i.Name), i.State, login, dash(i.Plugin))
					if i.Err != nil {
						showDiagnostic(w, "  ", i.Err)
					}
					if i.Held != nil && !copied {
						showDiagnostic(w, "  ", i.Held)
					}
				}
			})
		},
	}
}

func (a *app) deleteCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Delete a connection and take its grant back", Args: exactly(1),
		RunE: a.onConnection(func(ctx context.Context, _ *engine, c *host.Connection, name string) error {
			if !yes {
				a.note("Type the connection's name to delete it:")
				typed, err := a.line(ctx, maxPasted)
				if err != nil {
					return err
				}
				if typed != name {
					return usage("nothing was deleted: the name wasn't repeated; use --yes where nobody can be asked")
				}
			}
			info, err := c.Info(ctx)
			if err != nil {
				return err
			}
			if err := c.Delete(ctx); err != nil {
				return err
			}
			result := map[string]any{"deleted": name, "revoked_or_due": info.Held == nil}
			return a.print(result, func(w io.Writer) {
				say(w, "Deleted the connection %s.", name)
				if info.Held != nil {
					say(w, "Its grant was left at the service and won't be revoked from here:")
					showDiagnostic(w, "  ", info.Held)
				}
			})
		}),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return cmd
}

func (a *app) signOutCommand() *cobra.Command {
	return &cobra.Command{
		Use: "sign-out NAME", Short: "Take the grant back and keep the settings", Args: exactly(1),
		RunE: a.onConnection(func(ctx context.Context, _ *engine, c *host.Connection, name string) error {
			if err := c.SignOut(ctx); err != nil {
				return err
			}
			return a.print(map[string]string{"signed_out": name}, func(w io.Writer) { say(w, "Signed out of %s.", name) })
		}),
	}
}
