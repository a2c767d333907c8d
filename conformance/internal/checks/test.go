package checks

import (
	"io"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/peer"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

const (
	passed       = connectorv1.CheckStatus_CHECK_STATUS_PASSED
	failed       = connectorv1.CheckStatus_CHECK_STATUS_FAILED
	warning      = connectorv1.CheckStatus_CHECK_STATUS_WARNING
	skipped      = connectorv1.CheckStatus_CHECK_STATUS_SKIPPED
	notSupported = connectorv1.CheckStatus_CHECK_STATUS_NOT_SUPPORTED
	notRun       = connectorv1.CheckStatus_CHECK_STATUS_NOT_RUN
)

// testChecks judge the connection test.
func testChecks() []*check.Check {
	const need = check.Description | check.Settings | check.Peer
	must := func(id, clause, title string, run func(*check.T)) *check.Check {
		return &check.Check{ID: "test." + id, Level: check.Must, Clauses: []string{clause}, Needs: need, Title: title, Run: run}
	}
	each := func(id, clause, title string, judge func(t *check.T, r outcome)) *check.Check {
		return must(id, clause, title, func(t *check.T) {
			for _, r := range outcomes(t) {
				judge(t, r)
			}
		})
	}
	return []*check.Check{
		each("each-once", "T-1", "Each declared check is reported exactly once, in the declared order.", func(t *check.T, r outcome) {
			var ids, want []string
			for _, d := range t.Described().GetChecks() {
				want = append(want, d.GetId())
			}
			for _, c := range r.checks {
				if slices.Contains(want, c.GetId()) {
					ids = append(ids, c.GetId())
				}
			}
			if !slices.Equal(ids, want) {
				t.Errorf("%s: declared are %q, reported %q", r.how, want, ids)
			}
		}),
		each("undeclared", "T-2", "No check is reported that isn't declared.", func(t *check.T, r outcome) {
			for _, c := range r.checks {
				if !slices.ContainsFunc(t.Described().GetChecks(), func(d *connectorv1.CheckDeclaration) bool { return d.GetId() == c.GetId() }) {
					t.Errorf("%s: %q is reported", r.how, short(c.GetId()))
				}
			}
		}),
		each("status", "T-3", "Each result has a status, and a failed one a diagnostic.", func(t *check.T, r outcome) {
			for _, c := range r.checks {
				if c.GetStatus() < passed || c.GetStatus() > notRun {
					t.Errorf("%s: %s has the status %s", r.how, short(c.GetId()), c.GetStatus())
				}
				if c.GetStatus() == failed && c.GetDiagnostic() == nil {
					t.Errorf("%s: %s failed without a diagnostic", r.how, short(c.GetId()))
				}
			}
		}),
		each("skipped", "T-4", "A check is skipped if one that it depends on neither passed nor warned.", func(t *check.T, r outcome) {
			state := map[string]connectorv1.CheckStatus{}
			for _, c := range r.checks {
				state[c.GetId()] = c.GetStatus()
			}
			for _, d := range t.Described().GetChecks() {
				for _, parent := range d.GetDependsOn() {
					made := []connectorv1.CheckStatus{passed, failed, warning}
					if slices.Contains([]connectorv1.CheckStatus{failed, skipped, notSupported}, state[parent]) && slices.Contains(made, state[d.GetId()]) {
						t.Errorf("%s: %s is %s though %s is %s", r.how, d.GetId(), state[d.GetId()], parent, state[parent])
					}
				}
			}
		}),
		must("no-false-pass", "T-5", "What can't be made isn't passed: with a service that answers nobody, no check that reads or writes there passes.", func(t *check.T) {
			c := t.Start()
			access := t.Access(c, t.SignIn(c))
			t.Do(t.Service().Fault(t.Context(), peer.Fault{On: peer.Any, Times: -1, Drop: "before"}))
			results := run(t, c, access)
			bad := false
			for _, r := range results {
				bad = bad || r.GetStatus() == failed
				if r.GetStatus() != passed {
					continue
				}
				for _, d := range t.Described().GetChecks() {
					if d.GetId() == r.GetId() && d.GetSideEffect() > connectorv1.SideEffect_SIDE_EFFECT_NONE {
						t.Errorf("%s passes", d.GetId())
					}
				}
			}
			if !bad {
				t.Errorf("with a service that answers nobody no check fails")
			}
			t.Do(t.Service().ClearFaults(t.Context()))
			t.Do(t.Service().Kill(t.Context()))
			if t.SignsIn() && !slices.ContainsFunc(run(t, c, access), func(r *connectorv1.Check) bool { return r.GetStatus() == failed }) {
				t.Errorf("with access that is revoked no check fails")
			}
		}),
		must("time-up", "T-6", "When the time is nearly up, checks that weren't made are reported as not run.", func(t *check.T) {
			c := t.Start()
			t.Do(t.Service().Fault(t.Context(), peer.Fault{On: peer.Any, Times: -1, Hold: true}))
			const limit = 5 * time.Second
			begun := time.Now()
			results, err := c.Test(t, &connectorv1.TestConnectionRequest{Settings: t.Good()}, limit)
			if err != nil || time.Since(begun) > limit-limit/50 {
				t.Fatalf("the test doesn't end before its deadline: %s", check.Brief(err))
			}
			if len(results) < len(t.Described().GetChecks()) {
				t.Errorf("%d checks are reported of %d", len(results), len(t.Described().GetChecks()))
			}
			made := slices.IndexFunc(results, func(r *connectorv1.Check) bool { return r.GetStatus() == failed || r.GetStatus() == notRun })
			if made < 0 {
				t.Errorf("no check failed or is reported as not run")
			}
		}),
		must("no-access", "T-7", "Without access, checks that need it are skipped, and the others made.", withoutAccess),
		must("scopes", "T-8", "A scope that the service doesn't tell gives a warning CODE_SCOPES_UNKNOWN.", func(t *check.T) {
			c := t.Start()
			access := t.Access(c, t.SignIn(c))
			access.Scopes = nil
			scopes := t.Profile().RequiredScopes
			if len(scopes) == 0 {
				scopes = []string{"a-scope"}
			}
			results, err := c.Test(t, &connectorv1.TestConnectionRequest{Settings: t.Good(), Access: access, RequiredScopes: scopes}, check.CallLimit)
			if err != nil {
				t.Blockf("TestConnection fails: %s", check.Brief(err))
			}
			if !slices.ContainsFunc(results, func(r *connectorv1.Check) bool {
				return r.GetStatus() == warning && r.GetDiagnostic().GetCode() == connectorv1.Code_CODE_SCOPES_UNKNOWN
			}) {
				t.Errorf("no check warns")
			}
		}),
		{
			ID: "test.prompt", Level: check.Should, Clauses: []string{"T-9"}, Needs: need,
			Title: "Each result is sent as soon as it is known.", Run: prompt,
		},
	}
}

// outcome is a connection test that was run.
type outcome struct {
	how    string
	checks []*connectorv1.Check
}

// outcomes runs tests under several conditions.
func outcomes(t *check.T) []outcome {
	return check.Shared(t, "tests", 2*check.DefaultWatchdog, func(t *check.T) []outcome {
		c := t.Start()
		access := t.Access(c, t.SignIn(c))
		out := []outcome{{"with access", run(t, c, access)}, {"without access", run(t, c, nil)}}
		for how, f := range map[string]peer.Fault{
			"with a service that answers nobody": {On: peer.Any, Drop: "before"}, "with an API that fails": {On: peer.API, Status: 500},
			"with an API that answers pages": {On: peer.API, Status: 200, Body: "<html>"},
		} {
			f.Times = -1
			t.Do(t.Service().Fault(t.Context(), f))
			out = append(out, outcome{how, run(t, c, access)})
			t.Do(t.Service().ClearFaults(t.Context()))
		}
		t.Do(t.Service().Kill(t.Context()))
		return append(out, outcome{"with access that is revoked", run(t, c, access)})
	})
}

func run(t *check.T, c *check.Conn, access *connectorv1.Access) []*connectorv1.Check {
	results, err := c.Test(t, &connectorv1.TestConnectionRequest{
		Settings: t.Good(), Access: access, RequiredScopes: t.Profile().RequiredScopes,
	}, check.CallLimit)
	if err != nil {
		t.Blockf("TestConnection fails: %s", check.Brief(err))
	}
	return results
}

func withoutAccess(t *check.T) {
	c := t.Start()
	access := t.Access(c, t.SignIn(c))
	with, without := run(t, c, access), run(t, c, nil)
	t.Do(t.Service().Kill(t.Context()))
	revoked := run(t, c, access)
	state := func(list []*connectorv1.Check, id string) connectorv1.CheckStatus {
		i := slices.IndexFunc(list, func(r *connectorv1.Check) bool { return r.GetId() == id })
		if i < 0 {
			return 0
		}
		return list[i].GetStatus()
	}
	for _, d := range t.Described().GetChecks() {
		good, none, dead := state(with, d.GetId()), state(without, d.GetId()), state(revoked, d.GetId())
		fine := good == passed || good == warning
		// Among those whose parents passed with revoked access as well.
		independent := !slices.ContainsFunc(d.GetDependsOn(), func(parent string) bool { return state(revoked, parent) != passed })
		switch {
		case fine && none != good && none != skipped && none != passed && none != warning:
			t.Errorf("%s, which needs access, is %s without it", d.GetId(), none)
		case fine && none == passed && t.SignsIn() && dead == failed:
			t.Errorf("%s, which needs access, passes without it", d.GetId())
		case good == passed && dead == passed && none == skipped && independent && t.SignsIn():
			t.Errorf("%s, which doesn't need access, is skipped without it", d.GetId())
		}
	}
}

func prompt(t *check.T) {
	c := t.Start()
	if len(t.Described().GetChecks()) < 2 {
		return
	}
	access := t.Access(c, t.SignIn(c)) // without it, checks that take no time may be all that is left
	const delay = 700 * time.Millisecond
	t.Do(t.Service().Fault(t.Context(), peer.Fault{On: peer.Any, Times: -1, DelayMS: int(delay / time.Millisecond)}))
	stream, err := c.TestConnection(t.CallWithin(20*time.Second), &connectorv1.TestConnectionRequest{Settings: t.Good(), Access: access})
	if err != nil {
		t.Blockf("TestConnection fails: %s", check.Brief(err))
	}
	var first, last time.Time
	for {
		if _, err := stream.Recv(); err == io.EOF { //nolint:errorlint // the stream's own end
			break
		} else if err != nil {
			if check.Failed(err).GRPC == codes.DeadlineExceeded {
				break
			}
			t.Blockf("TestConnection fails: %s", check.Brief(err))
		}
		last = time.Now()
		if first.IsZero() {
			first = last
		}
	}
	if last.Sub(first) < delay/2 {
		t.Errorf("with a service that takes %v for each answer, all results come within %v", delay, last.Sub(first).Round(time.Millisecond))
	}
}
