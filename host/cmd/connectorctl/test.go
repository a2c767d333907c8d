package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

func (a *app) testCommand() *cobra.Command {
	var o host.TestOptions
	cmd := &cobra.Command{
		Use: "test NAME", Short: "Test a connection, and tell each check as it ends", Args: exactly(1),
		RunE: a.onConnection(func(ctx context.Context, _ *engine, c *host.Connection, _ string) error {
			return a.test(ctx, c, o)
		}),
	}
	cmd.Flags().StringSliceVar(&o.RequiredScopes, "scope", nil, "a scope that the connection's users need (repeatable)")
	return cmd
}

// test runs a connection test and tells its checks. The error of a test that
// didn't pass is the first failed check's.
func (a *app) test(ctx context.Context, c *host.Connection, o host.TestOptions) error {
	var (
		checks  []connector.Check
		failure error
	)
	for check, err := range c.Test(ctx, o) {
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
