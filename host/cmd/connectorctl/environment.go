package main

import (
	"context"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/host"
)

func (a *app) overrideCommand() *cobra.Command {
	var (
		flags   settingsFlags
		inherit []string
		change  draftChange
	)
	cmd := &cobra.Command{
		Use: "override NAME", Short: "Use a connection in another environment, with what differs there", Args: exactly(1),
		Long: `Use a connection of the environment "default" in the environment that
--environment names, with settings that differ there. What isn't overridden is
the base's, also after the base is edited; without any flag all of it is. The
environment signs in for itself, and has an account and a state of its own.

An environment that has a destination of its own (a URL, the proxy, the
certificates) doesn't inherit the base's secrets: they are given with it.`,
		Example: `  connectorctl --environment production connection override sales --set client_id=def --secret client_secret=@-`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			e, err := a.open(ctx)
			if err != nil {
				return err
			}
			defer e.close()
			c, err := e.inherited(ctx, args[0])
			if err != nil {
				return err
			}
			edit := host.Edit{DefaultNetwork: change.defaultNetwork, Inherit: inherit}
			if edit.Settings, err = a.settings(ctx, c.Descriptor(), &flags); err != nil {
				return err
			}
			if edit.ChangeNetwork, err = a.network(ctx, &flags); err != nil {
				return err
			}
			draft, err := e.tenant.Override(ctx, args[0], edit)
			if err != nil {
				return err
			}
			return a.saveDraft(ctx, draft, change)
		},
	}
	flags.register(cmd, true)
	cmd.Flags().StringArrayVar(&inherit, "inherit", nil, "a setting or secret to take from the base again (repeatable)")
	change.register(cmd)
	cmd.Flags().BoolVar(&change.defaultNetwork, "inherit-network", false, "take proxy and certificates from the base again")
	return cmd
}

// inherited loads the connector of what an environment overrides.
func (e *engine) inherited(ctx context.Context, name string) (*host.Connector, error) {
	info, err := e.host.Tenant(e.app.owner, host.DefaultEnvironment, actor()).Info(ctx, name)
	if err != nil {
		return nil, err
	}
	e.app.connection = name
	return e.connector(ctx, info.Plugin)
}

// draftChange says what to do with the draft of a change.
type draftChange struct {
	rename         string
	test           bool
	runtime        string
	defaultNetwork bool
}

// register adds the flags of a change's test.
func (c *draftChange) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.test, "test", false, "test the change, and save it only if the test passes")
	cmd.Flags().StringVar(&c.runtime, "on", "", "the runtime to test the change on; implies --test")
}

// saveDraft tests the draft of a change if that is wanted, saves it, and tells
// what there is to do then.
func (a *app) saveDraft(ctx context.Context, draft *host.Connection, change draftChange) error {
	if change.test || change.runtime != "" {
		if err := a.test(testOf(ctx, draft, change.runtime, host.TestOptions{})); err != nil {
			a.discard(ctx, draft)
			return err
		}
	}
	if err := draft.Save(ctx, change.rename); err != nil {
		a.discard(ctx, draft)
		return err
	}
	info, err := draft.Info(ctx)
	if err != nil {
		return err
	}
	environments, err := draft.Environments(ctx)
	if err != nil {
		return err
	}
	return a.print(saved{info, environments}, func(w io.Writer) {
		say(w, "Saved the connection %s.", clean(info.Name))
		if info.State == host.StateNotSignedIn {
			say(w, "Sign in with: %s", a.signInCommandLine(info.Name))
		}
		a.showEnvironments(w, environments)
	})
}

// saved is what a command tells of a connection that it has saved.
type saved struct {
	host.Info

	Environments []host.Info `json:"environments,omitempty"`
}

// showEnvironments tells what inherits from a connection, and what is the
// matter with it.
func (a *app) showEnvironments(w io.Writer, environments []host.Info) {
	for _, i := range environments {
		say(w, "  environment %s: %s", clean(i.Environment), i.State)
		if i.Err != nil {
			showDiagnostic(w, "    ", i.Err)
			there := *a
			there.environment, there.connection = i.Environment, i.Name
			there.tellSignIn(w, "      ", i.Err)
		}
	}
}

// from says where a setting of an environment comes from, behind its value.
func from(o *host.Overrides, name string) string {
	switch {
	case o == nil:
		return ""
	case slices.Contains(o.Withheld, name):
		return "  (must be given again)"
	case slices.Contains(o.Settings, name):
		return "  (overridden)"
	default:
		return "  (base)"
	}
}

// networkFrom is from for proxy and certificates.
func networkFrom(o *host.Overrides) string {
	if o.Network {
		return "overridden"
	}
	return "base"
}
