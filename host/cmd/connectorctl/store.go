package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/host"
)

func (a *app) storeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "store", Short: "Look after the folder that connections are kept in"}
	cmd.AddCommand(a.verifyCommand(), a.rekeyCommand())
	return cmd
}

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "Read every connection and open every sealed value", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer e.close()
			v, err := e.host.Verify(cmd.Context())
			if err != nil {
				return err
			}
			err = a.print(v, func(w io.Writer) {
				say(w, "%d record(s), %d sealed value(s), %d bad", v.Records, v.Values, len(v.Bad))
				a.showBad(w, v.Bad)
			})
			if len(v.Bad) > 0 {
				return &shownError{v.Bad[0].Err}
			}
			return err
		},
	}
}

func (a *app) rekeyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rekey", Short: "Make a new sealing key and seal everything with it", Args: noArgs,
		Long: `Make a new sealing key and seal everything with it. Other processes may go on
meanwhile: they read the new key when they meet it. The old key stays in the
file, so that a backup of the store can still be opened; keep a copy of the
file, not of one key.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer e.close()
			id, err := e.keys.Rotate(cmd.Context())
			if err != nil {
				return err
			}
			changed, bad, err := e.host.Reseal(cmd.Context())
			if err != nil {
				return err
			}
			result := map[string]any{"key": id.String(), "changed": changed, "bad": append([]host.BadValue{}, bad...)}
			err = a.print(result, func(w io.Writer) {
				say(w, "New key %s; %d record(s) sealed with it, %d value(s) can't be read", id, changed, len(bad))
				a.showBad(w, bad)
			})
			if len(bad) > 0 {
				return &shownError{bad[0].Err}
			}
			return err
		},
	}
}

func (a *app) showBad(w io.Writer, bad []host.BadValue) {
	for _, b := range bad {
		say(w, "%s %s %s %s", dash(b.Key.Owner), dash(b.Key.Environment), dash(b.Key.Connection), dash(string(b.Field)))
		showDiagnostic(w, "  ", b.Err)
	}
}
