package main

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

func (a *app) pairCommand() *cobra.Command {
	return &cobra.Command{
		Use: "pair NAME OPERATIONS", Short: "Tell which operations of a plugin could run on a connection", Args: exactly(2),
		Long: `Tell which operations of a plugin could run on a connection, what the others
lack, and why. The exit code says whether all could.`,
		RunE: a.onOperations(func(ctx context.Context, c *host.Connection, ops *host.Operations, _ []string) error {
			pairing, err := c.Pair(ctx, ops)
			if err != nil {
				return err
			}
			err = a.print(pairing, func(w io.Writer) { showPairing(w, ops.Description(), &pairing) })
			if problem := pairing.Err(); err == nil && problem != nil {
				return &shownError{problem}
			}
			return err
		}),
	}
}

func showPairing(w io.Writer, set connector.OperationSet, p *host.Pairing) {
	say(w, "%s %s (%s)", clean(set.Title), clean(set.Version), clean(set.ID))
	if p.Problem != nil {
		showDiagnostic(w, "", p.Problem)
		return
	}
	for _, o := range p.Operations {
		state := "runs"
		switch {
		case len(o.Missing) > 0:
			state = "lacks " + strings.Join(o.Missing, ", ")
		case !o.Runs:
			state = "can't run"
		case o.Diagnostic != nil:
			state = "runs, unless a scope is missing"
		}
		access := "whole access"
		if o.Narrowed {
			access = "narrowed access"
		}
		say(w, "  %-20s %-7s %-16s %s", clean(o.ID), o.Effect, access, clean(state))
	}
	for _, o := range p.Operations {
		if o.Diagnostic != nil { // the others say the same
			showDiagnostic(w, "", o.Diagnostic)
			return
		}
	}
}
