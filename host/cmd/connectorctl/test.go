package main

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

func (a *app) testCommand() *cobra.Command {
	var (
		o       host.TestOptions
		paired  []string
		runtime string
	)
	cmd := &cobra.Command{
		Use: "test NAME", Short: "Test a connection, and tell each check as it ends", Args: exactly(1),
		PreRunE: func(*cobra.Command, []string) error {
			if runtime != "" && len(paired) > 0 {
				return usage("what --operations need is looked up here, so leave out --on")
			}
			return nil
		},
		RunE: a.onConnection(func(ctx context.Context, e *engine, c *host.Connection, _ string) error {
			for _, name := range paired {
				ops, err := e.operations(ctx, name)
				if err != nil {
					return err
				}
				defer ops.Close()
				o.Operations = append(o.Operations, ops)
			}
			return a.test(testOf(ctx, c, runtime, o))
		}),
	}
	cmd.Flags().StringVar(&runtime, "on", "", "the runtime to run the test on (default: here); see 'runtime list'")
	cmd.Flags().StringSliceVar(&o.RequiredScopes, "scope", nil, "a scope that the connection's users need (repeatable)")
	cmd.Flags().StringSliceVar(&paired, "operations", nil, "a plugin whose operations are paired with the connection (repeatable)")
	return cmd
}

// testOf is the test of a connection on a runtime, or here if it names none.
func testOf(ctx context.Context, c *host.Connection, runtime string, o host.TestOptions) iter.Seq2[connector.Check, error] {
	if runtime != "" {
		return c.TestOn(ctx, runtime, o)
	}
	return c.Test(ctx, o)
}

// test tells the checks of a connection test. The error of one that didn't pass
// is the first failed check's.
func (a *app) test(run iter.Seq2[connector.Check, error]) error {
	var (
		checks  []connector.Check
		failure error
	)
	for check, err := range run {
		if err != nil {
			failure = err
			break
		}
		checks = append(checks, check)
		if err := a.print(check, func(w io.Writer) { a.showCheck(w, check) }); err != nil {
			return err
		}
	}
	passed := failure == nil && host.Passed(checks)
	told := a.print(map[string]bool{"passed": passed}, func(w io.Writer) {
		say(w, "%s", map[bool]string{true: "The test passed.", false: "The test didn't pass."}[passed])
	})
	switch {
	case failure != nil:
		return failure
	case !passed:
		return &shownError{firstFailure(checks)}
	default:
		return told
	}
}

func (a *app) showCheck(w io.Writer, c connector.Check) {
	line := clean(c.Title)
	if c.Message != "" {
		line += ": " + clean(c.Message)
	}
	if c.Duration > 0 {
		line += " (" + c.Duration.Round(time.Millisecond).String() + ")"
	}
	say(w, "%-13s %s", c.Status, line)
	if c.Diagnostic != nil {
		showDiagnostic(w, "              ", c.Diagnostic)
		a.tellSignIn(w, "                ", c.Diagnostic)
	}
}

// firstFailure is what decides the exit code.
func firstFailure(checks []connector.Check) error {
	for _, status := range []connector.CheckStatus{connector.CheckFailed, connector.CheckNotRun, connector.CheckSkipped} {
		for _, c := range checks {
			if c.Status == status && c.Diagnostic != nil {
				return c.Diagnostic
			}
		}
	}
	return connector.Errorf(connector.Internal, connector.OriginConnector, "A check didn't pass, without saying why.")
}
