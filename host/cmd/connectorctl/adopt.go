package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

func (a *app) adoptCommand() *cobra.Command {
	options := host.Adoption{Actor: actor()}
	cmd := &cobra.Command{
		Use: "adopt", Short: "Make a copied or restored store the real one", Args: noArgs,
		Long: `Make a copied or restored store the real one, under the name of --site, and what
was imported the store's own: from now on it is renewed and revoked here. Until
then a copy renews, revokes and signs in nothing, so that it can't end the
connections of the store that it was copied from.

Adopt only when the other store isn't used any more: both would spend the same
refresh tokens. If it goes on, as production does beside a copy for tests, use
--without-sign-ins and sign in again here. What the other store had still to
revoke is dropped; it does that itself. A second run changes nothing.`,
		RunE: a.onStore(func(ctx context.Context, e *engine, _ []string) error {
			done, err := e.host.Adopt(ctx, options)
			if err != nil {
				return err
			}
			err = a.print(done, func(w io.Writer) { a.showAdopted(w, done, options) })
			return failedIn(done.Bad, err)
		}),
	}
	cmd.Flags().BoolVar(&options.WithoutSignIns, "without-sign-ins", false, "drop every sign-in that came along, without revoking it")
	cmd.Flags().BoolVar(&options.KeepRevocations, "keep-revocations", false, "revoke what the other store had still to revoke, if it is gone for good")
	return cmd
}

func (a *app) showAdopted(w io.Writer, done host.Adopted, options host.Adoption) {
	if !done.Changed {
		say(w, "Nothing to adopt: this store is the real one, and nothing of it is held.")
		return
	}
	say(w, "Adopted. It belonged to: %s.", done.Was)
	say(w, "It belongs to: %s.", done.Is)
	if options.WithoutSignIns {
		say(w, "%d connection(s) must be signed in to again; the other store keeps their grants.", done.Connections)
	} else {
		say(w, "%d connection(s) are renewed and revoked here from now on. Don't use the other store any more.", done.Connections)
	}
	a.showBad(w, done.Bad)
	if done.Dropped > 0 {
		say(w, "Of %d record(s) sign-ins or revocations that came along were dropped; nothing was revoked.", done.Dropped)
	}
}

// tellCopied tells on stderr that the store is a copy, if it is.
func (e *engine) tellCopied(ctx context.Context) bool {
	err := e.host.Copied(ctx)
	if !errors.Is(err, connector.StoreNotAdopted) {
		return false
	}
	if !e.app.json { // it is in the result
		showDiagnostic(e.app.stderr, "", connector.Diagnose(err, connector.OriginHost))
	}
	return true
}

// tellPlace tells on stderr, for a process that goes on for long, whether the
// store is a copy, and what could hide that it is one.
func (e *engine) tellPlace(ctx context.Context) {
	if !e.tellCopied(ctx) && e.app.site == "" && !e.app.json {
		e.app.note("No --site is named, so a base backup of this store, or a snapshot of the machine, wouldn't be told from it.")
	}
}
