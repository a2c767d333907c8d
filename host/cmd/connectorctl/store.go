package main

import (
	"context"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/host"
)

func (a *app) storeCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "store", Short: "Look after the place that connections are kept in"})
	cmd.AddCommand(a.verifyCommand(), a.rekeyCommand(), a.adoptCommand(), a.exportCommand(), a.importCommand())
	return cmd
}

// onStore runs a command on the store.
func (a *app) onStore(f func(ctx context.Context, e *engine, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		e, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer e.close()
		return f(cmd.Context(), e, args)
	}
}

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "Read every connection and open every sealed value", Args: noArgs,
		RunE: a.onStore(func(ctx context.Context, e *engine, _ []string) error {
			v, err := e.host.Verify(ctx)
			if err != nil {
				return err
			}
			err = a.print(v, func(w io.Writer) {
				say(w, "%d record(s), %d sealed value(s), %d bad", v.Records, v.Values, len(v.Bad))
				a.showBad(w, v.Bad)
				for _, id := range slices.Sorted(maps.Keys(v.Keys)) {
					say(w, "key %s sealed %d value(s)%s", id, v.Keys[id], map[bool]string{true: ", and seals now"}[id == e.keys.Primary().String()])
				}
				if v.Unrevoked > 0 {
					say(w, "%d record(s) had grants that were left at the service", v.Unrevoked)
				}
				if v.NotAdopted != nil {
					showDiagnostic(w, "", v.NotAdopted)
				}
			})
			return failedIn(v.Bad, err)
		}),
	}
}

func (a *app) rekeyCommand() *cobra.Command {
	var prune bool
	cmd := &cobra.Command{
		Use: "rekey", Short: "Make a new sealing key and seal everything with it", Args: noArgs,
		Long: `Make a new sealing key and seal everything with it. Other processes may go on
meanwhile: they read the new key when they meet it. The old key stays in the
file, so that a backup of the store can still be opened; keep a copy of the
file, not of one key.

With --prune no key is made, but old ones that seal nothing any more, in records,
revocations and sign-ins that wait, are removed from the file. Do so a quarter of
an hour after the rekey or later, when every node has the new key.`,
		RunE: a.onStore(func(ctx context.Context, e *engine, _ []string) error {
			if prune {
				return a.prune(ctx, e)
			}
			id, err := e.keys.Rotate(ctx)
			if err != nil {
				return err
			}
			changed, bad, err := e.host.Reseal(ctx)
			if err != nil {
				return err
			}
			result := map[string]any{"key": id.String(), "changed": changed, "bad": append([]host.BadValue{}, bad...)}
			err = a.print(result, func(w io.Writer) {
				say(w, "New key %s; %d record(s) sealed with it, %d value(s) can't be read", id, changed, len(bad))
				a.showBad(w, bad)
			})
			return failedIn(bad, err)
		}),
	}
	cmd.Flags().BoolVar(&prune, "prune", false, "remove old keys that seal nothing any more")
	return cmd
}

func (a *app) prune(ctx context.Context, e *engine) error {
	done, err := e.host.Prune(ctx, actor())
	if err != nil {
		return err
	}
	err = a.print(done, func(w io.Writer) {
		say(w, "%d old key(s) removed, %d kept", len(done.Removed), len(done.Kept))
		for _, k := range done.Kept {
			if k.Values > 0 {
				say(w, "key %s is kept: %d value(s) are sealed with it", k.Key, k.Values)
			} else {
				say(w, "key %s is kept: something can't be read, which may be sealed with it", k.Key)
			}
		}
		a.showBad(w, done.Bad)
	})
	return failedIn(done.Bad, err)
}

func (a *app) showBad(w io.Writer, bad []host.BadValue) {
	for _, b := range bad {
		say(w, "%s %s %s %s", dash(b.Key.Owner), dash(b.Key.Environment), dash(b.Key.Connection), dash(string(b.Field)))
		showDiagnostic(w, "  ", b.Err)
	}
}
