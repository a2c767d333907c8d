package main

import (
	"context"
	"encoding/json"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/proto/connector"
)

func (a *app) pluginCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "plugin", Short: "Look at connector binaries",
		Long: `Look at connector binaries. A bare name means the binary beside connectorctl;
anything with a slash is a path.`,
	})
	cmd.AddCommand(a.describeCommand(), a.validateCommand(), a.trustCommand(), a.lintCommand(), a.diffCommand(), a.pairCommand())
	return cmd
}

// withPlugin loads a plugin for the length of f.
func (a *app) withPlugin(ctx context.Context, name string, f func(p *launch.Plugin, d connector.Description) error) error {
	e, err := a.launching()
	if err != nil {
		return err
	}
	defer e.close()
	return e.describe(ctx, name, f)
}

func (e *engine) describe(ctx context.Context, name string, f func(p *launch.Plugin, d connector.Description) error) error {
	p, err := e.plugin(ctx, name)
	if err != nil {
		return err
	}
	d, err := host.Describe(ctx, p)
	if err != nil {
		return err
	}
	return f(p, d)
}

func (a *app) describeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "describe PLUGIN", Short: "Print what a connector says of itself", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withPlugin(cmd.Context(), args[0], func(p *launch.Plugin, d connector.Description) error {
				form, err := descriptor.Parse(d.Schema, d.Layout)
				if err != nil {
					return err
				}
				result := struct {
					Path   string        `json:"path"`
					Digest launch.Digest `json:"digest"`
					connector.Description
				}{p.Path(), p.Digest(), d}
				return a.print(result, func(w io.Writer) { describe(w, p, d, form) })
			})
		},
	}
}

func describe(w io.Writer, p *launch.Plugin, d connector.Description, form *descriptor.Descriptor) {
	say(w, "%s %s (%s)", clean(d.Title), clean(d.Version), clean(d.ID))
	say(w, "  binary        %s", p.Path())
	say(w, "  digest        %s", p.Digest())
	say(w, "  sign-in       %s", join(d.SignIns))
	say(w, "  capabilities  %s", join(d.Capabilities))
	tab := ""
	for _, f := range form.Fields() {
		if f.Tab != tab {
			tab = f.Tab
			say(w, "\n%s", clean(tab))
		}
		say(w, "  %-16s %s%s", f.Name, clean(f.Title), fieldNotes(&f))
	}
	say(w, "\nChecks of a connection test")
	for _, c := range d.Checks {
		say(w, "  %-20s %s", c.ID, clean(c.Title))
	}
}

func fieldNotes(f *descriptor.Field) string {
	var notes []string
	for _, n := range []struct {
		on   bool
		text string
	}{
		{f.Required, "required"}, {f.Secret, "secret"}, {f.Destination, "destination"}, {f.ReadOnly, "shown only"},
	} {
		if n.on {
			notes = append(notes, n.text)
		}
	}
	if f.Default != nil {
		notes = append(notes, "default "+jsonText(f.Default))
	}
	if len(notes) == 0 {
		return ""
	}
	return " (" + clean(strings.Join(notes, ", ")) + ")"
}

func join[T ~string](list []T) string {
	if len(list) == 0 {
		return "none"
	}
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}

func (a *app) validateCommand() *cobra.Command {
	var flags settingsFlags
	cmd := &cobra.Command{
		Use: "validate PLUGIN", Short: "Check settings against a connector, offline", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer e.close()
			c, err := e.connector(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			s, err := a.settings(cmd.Context(), c.Descriptor(), &flags)
			if err != nil {
				return err
			}
			data, err := json.Marshal(s)
			if err != nil {
				return err
			}
			problems, err := c.Validate(cmd.Context(), data)
			if err != nil {
				return err
			}
			if problems == nil {
				problems = connector.Diagnostics{}
			}
			err = a.print(map[string]any{"valid": problems.Err() == nil, "problems": problems}, func(w io.Writer) {
				if len(problems) == 0 {
					say(w, "The settings are valid.")
				}
				for _, d := range problems {
					showDiagnostic(w, "", d)
				}
			})
			if perr := problems.Err(); perr != nil {
				return &shownError{perr}
			}
			return err
		},
	}
	flags.register(cmd, false)
	return cmd
}

func (a *app) trustCommand() *cobra.Command {
	var forget bool
	cmd := &cobra.Command{
		Use: "trust PLUGIN", Short: "Record a binary's digest, so that only these bytes are run", Args: exactly(1),
		Long: `Record the digest of a binary. From then on a binary with other bytes at the
same path is refused until it is trusted again. Nothing of the binary is run.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := a.launching()
			if err != nil {
				return err
			}
			defer e.close()
			path, err := pluginPath(args[0])
			if err != nil {
				return err
			}
			p, err := e.launcher.Load(cmd.Context(), path, launch.AnyDigest())
			if err != nil {
				return err
			}
			if forget {
				if err := makeHome(e.home); err != nil {
					return err
				}
				if err := e.trust.Forget(p.Path()); err != nil {
					return err
				}
				return a.print(map[string]any{"path": p.Path(), "trusted": false}, func(w io.Writer) { say(w, "No longer on record: %s", p.Path()) })
			}
			if err := e.record(p); err != nil {
				return err
			}
			return a.print(map[string]any{"path": p.Path(), "digest": p.Digest(), "trusted": true}, func(w io.Writer) {
				say(w, "Trusted: %s\n  %s", p.Path(), p.Digest())
			})
		},
	}
	cmd.Flags().BoolVar(&forget, "forget", false, "take the digest off the record")
	return cmd
}

func (a *app) lintCommand() *cobra.Command {
	return &cobra.Command{
		Use: "lint PLUGIN", Short: "Check a connector's form against the subset that every engine renders", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withPlugin(cmd.Context(), args[0], func(_ *launch.Plugin, d connector.Description) error {
				findings := descriptor.Lint(d.Schema, d.Layout)
				if findings == nil {
					findings = []descriptor.Finding{}
				}
				err := a.print(map[string]any{"findings": findings}, func(w io.Writer) {
					for _, f := range findings {
						say(w, "%s", clean(f.String()))
					}
					say(w, "%d finding(s)", len(findings))
				})
				if _, perr := descriptor.Parse(d.Schema, d.Layout); perr != nil {
					return &shownError{perr}
				}
				return err
			})
		},
	}
}

func (a *app) diffCommand() *cobra.Command {
	return &cobra.Command{
		Use: "diff OLD NEW", Short: "Tell whether another version of a connector breaks saved connections", Args: exactly(2),
		Long: "Compare the forms of two connector binaries, rule by rule. Exit code 1 if a change breaks saved connections.",
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := a.launching()
			if err != nil {
				return err
			}
			defer e.close()
			var forms []*descriptor.Descriptor
			for _, name := range args {
				err := e.describe(cmd.Context(), name, func(_ *launch.Plugin, d connector.Description) error {
					form, err := descriptor.Parse(d.Schema, d.Layout)
					forms = append(forms, form)
					return err
				})
				if err != nil {
					return err
				}
			}
			changes := descriptor.Diff(forms[0], forms[1])
			breaking := 0
			for _, c := range changes {
				if c.Compatibility == descriptor.Breaking {
					breaking++
				}
			}
			if changes == nil {
				changes = []descriptor.Change{}
			}
			err = a.print(map[string]any{"changes": changes, "breaking": breaking > 0}, func(w io.Writer) {
				for _, c := range changes {
					say(w, "%s", clean(c.String()))
				}
				say(w, "%d change(s), %d breaking", len(changes), breaking)
			})
			if err == nil && breaking > 0 {
				return &shownError{connector.Errorf(connector.PluginContractBroken, connector.OriginHost, "The new version breaks saved connections.")}
			}
			return err
		},
	}
}
