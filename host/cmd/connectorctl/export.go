package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/proto/connector"
)

func (a *app) exportCommand() *cobra.Command {
	var keyPath string
	cmd := &cobra.Command{
		Use: "export FILE --key KEYFILE", Short: "Write all connections into a sealed file", Args: exactly(1),
		Long: `Write all connections, of all accounts and environments, into a new file, with
their settings and sign-ins, sealed with the key in KEYFILE. That file has the
format of the store's own keys and is made if it isn't there. Take both to the
other place, by different ways. This store goes on as before.`,
		PreRunE: func(*cobra.Command, []string) error { return needsKey(keyPath) },
		RunE: a.onStore(func(ctx context.Context, e *engine, args []string) error {
			key, err := a.exportKey(ctx, keyPath)
			if err != nil {
				return err
			}
			done, err := e.exportTo(ctx, args[0], key)
			if err != nil {
				return err
			}
			err = a.print(done, func(w io.Writer) {
				say(w, "%d connection(s) written to %s, %d left out", done.Connections, args[0], len(done.Bad))
				a.showBad(w, done.Bad)
			})
			return failedIn(done.Bad, err)
		}),
	}
	cmd.Flags().StringVar(&keyPath, "key", "", "the file with the key that seals the export")
	return cmd
}

func (a *app) importCommand() *cobra.Command {
	var keyPath string
	cmd := &cobra.Command{
		Use: "import FILE --key KEYFILE", Short: "Save the connections of an export", Args: exactly(1),
		Long: `Save the connections that store export wrote into a file. They keep their IDs and
names; one that is here already is never overwritten. They are neither renewed
nor revoked here until you run store adopt, since the store that they come from
may live from the same sign-ins, or until they are signed in to again.`,
		PreRunE: func(*cobra.Command, []string) error { return needsKey(keyPath) },
		RunE: a.onStore(func(ctx context.Context, e *engine, args []string) error {
			key, err := seal.OpenOrCreate(ctx, keyPath, true)
			if err != nil {
				return err
			}
			file, err := os.Open(args[0])
			if err != nil {
				return usage("the export %s can't be read: %s", args[0], reason(err))
			}
			done, err := e.host.Import(ctx, file, key, actor())
			err = errors.Join(err, file.Close())
			if err != nil && done.Connections == 0 && len(done.Bad) == 0 {
				return err
			}
			perr := a.print(done, func(w io.Writer) {
				say(w, "%d connection(s) imported, %d left out", done.Connections, len(done.Bad))
				a.showBad(w, done.Bad)
				if done.Connections > 0 {
					say(w, "Nothing of them is renewed or revoked here until you run: connectorctl store adopt")
				}
			})
			if err != nil {
				return err
			}
			return failedIn(done.Bad, perr)
		}),
	}
	cmd.Flags().StringVar(&keyPath, "key", "", "the file with the key that the export was sealed with")
	return cmd
}

func needsKey(path string) error {
	if path == "" {
		return usage("--key is missing: name the file with the export's key")
	}
	return nil
}

// exportKey opens the key file, or makes it and says so.
func (a *app) exportKey(ctx context.Context, path string) (*seal.Keyring, error) {
	_, err := os.Stat(path)
	key, kerr := seal.OpenOrCreate(ctx, path, false)
	if kerr == nil && errors.Is(err, fs.ErrNotExist) {
		a.note("Made the key %s. Without it the export can't be imported.", path)
	}
	return key, kerr
}

// exportTo writes a new file, whole and durable, or none.
func (e *engine) exportTo(ctx context.Context, path string, key *seal.Keyring) (host.Transfer, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names it
	if errors.Is(err, fs.ErrExist) {
		return host.Transfer{}, usage("%s is there already: name a new file", path)
	}
	if err != nil {
		return host.Transfer{}, unwritable(path, err)
	}
	done, err := e.host.Export(ctx, file, key, actor())
	if err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		return done, nil
	}
	_ = os.Remove(path) // half an export is of no use
	if d := (*connector.Diagnostic)(nil); errors.As(err, &d) {
		return done, err
	}
	return done, unwritable(path, err)
}

func unwritable(path string, err error) error {
	return connector.Errorf(connector.StoreUnwritable, connector.OriginHost, "The file %s can't be written.", filepath.Clean(path)).
		WithDetail("%s", reason(err)).Suggest("Look after the disk, or name another file.").Because(err)
}

// reason is the operating system's word for it, without paths.
func reason(err error) string {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err.Error()
	}
	return "unknown cause"
}

// failedIn makes the exit code that of the first of some errors that were
// shown.
func failedIn(bad []host.BadValue, err error) error {
	if len(bad) > 0 {
		return &shownError{bad[0].Err}
	}
	return err
}
