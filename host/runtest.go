package host

import (
	"context"
	"errors"
	"time"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
)

const (
	// runWithin bounds a test on a runtime. Its longest steps are a renewal and
	// the connector's checks, twice if the access is refused.
	runWithin = 6 * time.Minute

	// wantedEvery is how often a node looks whether somebody still waits for the
	// test that it runs.
	wantedEvery = time.Second
)

// errUnwanted ends a test that nobody waits for any more.
var errUnwanted = errors.New("nobody waits for the test")

// RunTest runs the test of a run that was dispatched to the node's runtime, and
// keeps its checks as they end. It trusts nothing but the store: a run of
// another owner or runtime is connector.RuntimeForbidden, stays as it is, and is
// in the audit; a connection that the run's owner doesn't have ends the run. A
// run that was taken or ended meanwhile is no error, nor is a test that didn't
// pass: both are in the run.
func (n *Node) RunTest(ctx context.Context, id string) error {
	var run *store.Run
	err := bear(ctx, func(ctx context.Context) (err error) {
		run, err = n.rt.Run(ctx, id, 0)
		return err
	})
	if is(err, connector.ConnectionNotFound) {
		return nil // expired
	}
	if err != nil {
		return err
	}
	if err := n.permit(ctx, run); err != nil {
		return err
	}
	err = bear(ctx, func(ctx context.Context) error { return n.rt.TakeRun(ctx, id, n.node) })
	if is(err, connector.ConnectionChanged) {
		return nil
	}
	if err != nil {
		return err
	}
	failure := n.test(ctx, run)
	if errors.Is(failure, errUnwanted) {
		return nil
	}
	return bear(context.WithoutCancel(ctx), func(ctx context.Context) error { return n.rt.EndRun(ctx, id, n.told(failure)) })
}

// permit refuses what isn't the node's to run.
func (n *Node) permit(ctx context.Context, run *store.Run) error {
	if run.Key.Owner == n.node.Owner && run.Runtime == n.node.Runtime {
		return nil
	}
	err := connector.Errorf(connector.RuntimeForbidden, connector.OriginHost, "The runtime %s was asked for a test that isn't its own.", quoted(n.node.Runtime)).
		WithDetail("it works for the account %s", quoted(n.node.Owner)).
		Suggest("Find out who put the job into its queue.")
	return errors.Join(err, n.host.record(ctx, audit.Event{
		Owner: run.Key.Owner, Environment: run.Key.Environment, Connection: run.Key.Connection, Action: audit.ActionTest,
		Actor: run.Actor, Subject: "runtime " + n.node.Owner + "/" + n.node.Runtime,
	}, err))
}

// test runs the test and returns why it ended early.
func (n *Node) test(ctx context.Context, run *store.Run) error {
	ctx, cancel := context.WithTimeoutCause(ctx, runWithin, context.DeadlineExceeded)
	defer cancel()
	ctx, unwanted := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		n.whileWanted(ctx, run.ID, unwanted)
	}()
	defer func() {
		unwanted(nil)
		<-watched
	}()
	t := n.host.Tenant(run.Key.Owner, run.Key.Environment, run.Actor)
	c, err := t.ConnectionByID(ctx, run.Key.Connection)
	if err != nil {
		return errors.Join(err, t.asked(ctx, run.Key, n.node.Runtime, err))
	}
	told := 0
	for check, err := range c.Test(ctx, TestOptions{RequiredScopes: run.RequiredScopes}) {
		if err != nil {
			return whyEnded(ctx, err)
		}
		check.Runtime = n.node.Runtime
		err := bear(context.WithoutCancel(ctx), func(ctx context.Context) error { return n.rt.AddCheck(ctx, run.ID, n.node, told, check) })
		if is(err, connector.ConnectionChanged) {
			return errUnwanted
		}
		if err != nil {
			return err
		}
		told++
	}
	return whyEnded(ctx, nil)
}

// whileWanted ends a test that somebody ended, even if it is in the middle of a
// check.
func (n *Node) whileWanted(ctx context.Context, id string, end context.CancelCauseFunc) {
	ticker := time.NewTicker(wantedEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		// What can't be told now is told the next time.
		if run, err := n.rt.Run(ctx, id, handshake.MaxChecks+1); is(err, connector.ConnectionNotFound) || err == nil && run.State == store.RunEnded {
			end(errUnwanted)
		}
	}
}

// whyEnded prefers the reason that a test was given up for.
func whyEnded(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errUnwanted) {
		return cause
	}
	return err
}

// told is a failure as the run's owner reads it.
func (n *Node) told(failure error) *connector.Diagnostic {
	d := connector.Diagnose(failure, connector.OriginHost)
	switch {
	case d == nil:
		return nil
	case d.Code == connector.Canceled: // by the process's end, not by whoever waits
		return connector.Errorf(connector.RuntimeDead, connector.OriginHost, "The runtime %s was stopped in the middle of the test.", quoted(n.node.Runtime)).
			With(connector.Retry).Suggest("Run the test again when it is back, or on another runtime.")
	case d.Detail == "":
		d = d.WithDetail("on runtime %s", quoted(n.node.Runtime))
	}
	return d
}
