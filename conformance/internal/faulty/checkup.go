//go:build unix

package main

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

const (
	passed  = connectorv1.CheckStatus_CHECK_STATUS_PASSED
	failed  = connectorv1.CheckStatus_CHECK_STATUS_FAILED
	warning = connectorv1.CheckStatus_CHECK_STATUS_WARNING
	skipped = connectorv1.CheckStatus_CHECK_STATUS_SKIPPED
	notRun  = connectorv1.CheckStatus_CHECK_STATUS_NOT_RUN
)

func declared() []*connectorv1.CheckDeclaration {
	none, read := connectorv1.SideEffect_SIDE_EFFECT_NONE, connectorv1.SideEffect_SIDE_EFFECT_READ
	return []*connectorv1.CheckDeclaration{
		{Id: "reachable", Title: "The service can be reached", SideEffect: read},
		{Id: "token", Title: "The access is accepted", DependsOn: []string{"reachable"}, SideEffect: read},
		{Id: "scopes", Title: "The scopes are there", DependsOn: []string{"token"}, SideEffect: none},
	}
}

// TestConnection runs the checks.
func (c *connector) TestConnection(r *connectorv1.TestConnectionRequest, stream grpc.ServerStreamingServer[connectorv1.TestConnectionResponse]) error {
	s, err := c.settings(r.GetSettings(), "TestConnection")
	if err != nil {
		return err
	}
	ctx := stream.Context()
	if deadline, ok := ctx.Deadline(); ok && !c.is("test.time-up") {
		early := min(time.Until(deadline)/10, time.Second)
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-early))
		defer cancel()
	}
	run := &checkup{connector: c, request: r, settings: s, state: map[string]connectorv1.CheckStatus{}}
	var held []*connectorv1.Check
	for _, d := range declared() {
		result := run.check(ctx, d)
		run.state[d.GetId()] = result.GetStatus()
		held = append(held, result)
		if c.is("test.prompt", "test.each-once") {
			continue
		}
		if err := stream.Send(&connectorv1.TestConnectionResponse{Check: result}); err != nil {
			return err
		}
	}
	switch {
	case c.is("test.each-once"):
		held[1], held[2] = held[2], held[1]
	case c.is("test.undeclared"):
		held = []*connectorv1.Check{{Id: "bonus", Title: "Bonus", Status: passed}}
	case !c.is("test.prompt"):
		held = nil
	}
	for _, result := range held {
		if err := stream.Send(&connectorv1.TestConnectionResponse{Check: result}); err != nil {
			return err
		}
	}
	return nil
}

// checkup is one run of the checks.
type checkup struct {
	*connector
	request  *connectorv1.TestConnectionRequest
	settings *settings
	state    map[string]connectorv1.CheckStatus
}

func (u *checkup) check(ctx context.Context, d *connectorv1.CheckDeclaration) *connectorv1.Check {
	out := &connectorv1.Check{Id: d.GetId(), Title: d.GetTitle(), DependsOn: d.GetDependsOn(), SideEffect: d.GetSideEffect()}
	for _, parent := range d.GetDependsOn() {
		if state := u.state[parent]; state != passed && state != warning && !(u.is("test.skipped") && d.GetId() == "scopes" && state == failed) {
			out.Status = skipped
			return out
		}
	}
	if ctx.Err() != nil {
		out.Status = notRun
		return out
	}
	access := u.request.GetAccess()
	switch d.GetId() {
	case "reachable":
		a, bad := u.send(ctx, call{method: http.MethodGet, path: "/api/ping", settings: u.settings, network: u.request.GetNetwork()})
		if bad == nil && a.status != http.StatusOK {
			bad = u.refused(a, "")
		}
		if u.is("test.no-false-pass") {
			bad = nil
		}
		u.outcome(out, bad)
	case "token":
		if access.GetToken() == "" {
			out.Status = skipped
			if u.is("test.no-access") {
				u.outcome(out, fail(connectorv1.Code_CODE_SIGN_IN_REQUIRED, fromHost, signInAgain, "There is no access."))
			}
			return out
		}
		_, bad := u.me(ctx, u.settings, u.request.GetNetwork(), access.GetToken())
		u.outcome(out, bad)
		if u.is("test.status") && bad != nil {
			out.Diagnostic = nil
		}
	case "scopes":
		out.Status = passed
		if access.GetScopes() == nil && !u.is("test.scopes") {
			d := proto.CloneOf(fail(connectorv1.Code_CODE_SCOPES_UNKNOWN, fromService, 0, "The service doesn't tell the scopes.").Diagnostic)
			d.Severity = connectorv1.Severity_SEVERITY_WARNING
			out.Status, out.Diagnostic = warning, d
		}
	}
	return out
}

func (u *checkup) outcome(out *connectorv1.Check, bad *trouble) {
	out.Status = passed
	if bad != nil {
		out.Status, out.Diagnostic = failed, bad.Diagnostic
	}
}
