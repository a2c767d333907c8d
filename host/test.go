package host

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
)

// CheckSignIn is the host's own check of a connection test: whether the
// stored sign-in gives access. It comes before the connector's.
const CheckSignIn = "sign_in"

// CheckOperations is the host's own check of what paired operations need. It
// comes after the connector's, if TestOptions names operations.
const CheckOperations = "paired_operations"

// TestOptions says what a connection test must find.
type TestOptions struct {
	// RequiredScopes are those that the connection's users need.
	RequiredScopes []string
	// Operations are paired with the connection: CheckOperations tells what
	// they lack.
	Operations []*Operations
}

// Test tests the connection and yields each check as it ends: the host's
// [CheckSignIn] first, then the connector's in their declared order. It goes
// the way that sessions go: it shares a running renewal and stores what it
// renews. If the settings have changed since the access was got, it renews
// first, so that a wrong secret doesn't pass on old access. It deletes nothing.
//
// An error ends the test; checks that weren't reached are yielded before it as
// not run. The test passed if it ended without an error and [Passed] says so
// of all its checks.
func (c *Connection) Test(ctx context.Context, o TestOptions) iter.Seq2[connector.Check, error] {
	return func(yield func(connector.Check, error) bool) {
		run := testRun{c: c, options: o, yield: yield, started: time.Now()}
		run.run(ctx)
	}
}

// Passed reports whether a test with these checks passed: every check passed,
// with a warning at most.
func Passed(checks []connector.Check) bool {
	for _, c := range checks {
		if c.Status != connector.CheckPassed && c.Status != connector.CheckWarning {
			return false
		}
	}
	return len(checks) > 0
}

// testRun is one connection test.
type testRun struct {
	c       *Connection
	options TestOptions
	yield   func(connector.Check, error) bool
	started time.Time

	done    []connector.Check
	stopped bool
}

func (t *testRun) run(ctx context.Context) {
	conn, err := t.c.Connector()
	if err != nil {
		t.yield(connector.Check{}, err)
		return
	}
	r, err := t.c.load(ctx)
	if err != nil {
		t.yield(connector.Check{}, err)
		return
	}
	cfg, err := t.c.host.vault.config(ctx, r)
	if err != nil {
		t.yield(connector.Check{}, err)
		return
	}
	access := t.signIn(ctx)
	if !t.stopped {
		err = t.checks(ctx, conn, t.c.host.callConfig(cfg), access)
	}
	t.missing(conn, err)
	if err == nil {
		t.operations(ctx, access)
	}
	t.keep(ctx, r, err)
	if err != nil && !t.stopped {
		t.yield(connector.Check{}, err)
	}
}

// signIn is the host's own check.
func (t *testRun) signIn(ctx context.Context) *connector.Access {
	began := time.Now()
	check := connector.Check{ID: CheckSignIn, Title: "Stored sign-in", SideEffect: connector.SideEffectNone}
	access, renewed, err := t.access(ctx)
	switch d := connector.Diagnose(err, connector.OriginHost); {
	case d == nil && renewed:
		check.Status, check.Message = connector.CheckPassed, "renewed with the present settings"
	case d == nil:
		check.Status, check.Message = connector.CheckPassed, "access is at hand"
	case d.Code == connector.SignInRequired:
		check.Status, check.Diagnostic = connector.CheckSkipped, d
	default:
		check.Status, check.Diagnostic = connector.CheckFailed, d
	}
	check.Duration = time.Since(began)
	t.tell(check)
	return access
}

// access gets the access to test with, renewed if it comes from other settings
// than the present ones.
func (t *testRun) access(ctx context.Context) (a *connector.Access, renewed bool, err error) {
	l, err := t.c.open(ctx)
	if err != nil {
		return nil, false, err
	}
	r, err := t.c.host.store.Get(ctx, l.key.credential)
	if err != nil {
		return nil, false, err
	}
	var w want
	if len(r.Sealed[store.FieldCredential]) > 0 && (!l.ownSettings() || r.OpenedWith != r.SettingsRevision) {
		w.stale = r.Generation
	}
	h, err := l.access(ctx, w)
	if err != nil {
		return nil, false, err
	}
	return h.access, w.stale != 0, nil
}

// checks streams the connector's checks. If the service refuses the access, as
// it does after somebody revoked it, it is renewed once, as a session would,
// and the test goes on. If it can't be renewed, the reason is the outcome of
// the check that found the refusal. If the service asks to wait, the test does
// so while it has the time, and goes on with the check that met it.
func (t *testRun) checks(ctx context.Context, conn *Connector, cfg callConfig, access *connector.Access) error {
	l, err := t.c.open(ctx)
	if err != nil {
		return err
	}
	l.waits.refresh(ctx, 0)
	var (
		waits   = testWaits{throttle: l.waits, left: testPatience}
		renewed = access == nil
		why     *connector.Diagnostic
	)
	for {
		if err := waits.before(ctx, t.c.host); err != nil {
			return err
		}
		refused := false
		again, err := t.stream(ctx, conn, cfg, access, func(check *connector.Check) bool {
			if d := check.Diagnostic; d == nil || d.Code != connector.AccessRefused {
				return !waits.next(ctx, check)
			}
			if refused = !renewed; !refused && why != nil {
				check.Diagnostic = why
			}
			return !refused
		})
		if err != nil || !again || t.stopped {
			return err
		}
		if !refused {
			continue
		}
		renewed = true
		fresh, err := t.c.Access(ctx, connector.AccessRequest{Refused: access.Generation})
		if ctx.Err() != nil {
			return err
		}
		if why = connector.Diagnose(err, connector.OriginHost); why == nil {
			access = fresh
		}
	}
}

// stream runs the connector's checks and tells those that weren't told yet. A
// check is given to accept first; if that doesn't accept it, the stream ends
// early and reports true.
func (t *testRun) stream(ctx context.Context, conn *Connector, cfg callConfig, access *connector.Access, accept func(*connector.Check) bool) (again bool, err error) {
	declared := map[string]connector.CheckDeclaration{}
	for _, d := range conn.description.Checks {
		declared[d.ID] = d
	}
	n := 0
	for check, err := range conn.calls.test(ctx, cfg, access, t.options.RequiredScopes) {
		if err != nil {
			return false, err
		}
		if n++; n > handshake.MaxChecks {
			return false, contractBroken("TestConnection streamed too many checks")
		}
		if _, ok := declared[check.ID]; !ok {
			return false, contractBroken("TestConnection streamed a check that isn't declared")
		}
		if contains(t.done, check.ID) {
			continue
		}
		if !accept(&check) {
			return true, nil
		}
		if t.tell(check); t.stopped {
			return false, nil
		}
	}
	return false, nil
}

// operations is the host's check of what paired operations need.
func (t *testRun) operations(ctx context.Context, access *connector.Access) {
	if len(t.options.Operations) == 0 || t.stopped {
		return
	}
	began := time.Now()
	check := connector.Check{
		ID: CheckOperations, Title: "What your paired operations need", Status: connector.CheckPassed,
		DependsOn: []string{CheckSignIn}, SideEffect: connector.SideEffectNone,
	}
	if access == nil {
		check.Status = connector.CheckSkipped
	}
	for _, o := range t.options.Operations {
		if access == nil {
			break
		}
		p, err := t.c.Pair(ctx, o)
		if err == nil {
			err = p.Err()
		}
		if err != nil {
			check.Status, check.Diagnostic = connector.CheckFailed, connector.Diagnose(err, connector.OriginHost)
			break
		}
		for _, op := range p.Operations {
			if op.Diagnostic != nil && check.Diagnostic == nil {
				check.Status, check.Diagnostic = connector.CheckWarning, op.Diagnostic
			}
		}
	}
	check.Duration = time.Since(began)
	t.tell(check)
}

// missing tells the declared checks that never came.
func (t *testRun) missing(conn *Connector, cause error) {
	for _, check := range notReached(conn, t.done) {
		if t.stopped {
			return
		}
		if cause == nil {
			check.Diagnostic = contractBroken("TestConnection ended without this check")
		}
		t.tell(check)
	}
}

// notReached are the declared checks that aren't among those that ended.
func notReached(conn *Connector, ended []connector.Check) []connector.Check {
	var checks []connector.Check
	for _, d := range conn.description.Checks {
		if !contains(ended, d.ID) {
			checks = append(checks, connector.Check{
				ID: d.ID, Title: d.Title, Status: connector.CheckNotRun, DependsOn: d.DependsOn, SideEffect: d.SideEffect,
			})
		}
	}
	return checks
}

func contains(checks []connector.Check, id string) bool {
	return slices.ContainsFunc(checks, func(c connector.Check) bool { return c.ID == id })
}

func (t *testRun) tell(check connector.Check) {
	check.Runtime = t.c.host.run
	t.done = append(t.done, check)
	if !t.yield(check, nil) {
		t.stopped = true
	}
}

// keep stores the outcome, which is for people only.
func (t *testRun) keep(ctx context.Context, r *store.Record, failure error) {
	passed := failure == nil && Passed(t.done) && !t.stopped
	outcome := failure
	for _, c := range t.done {
		if outcome == nil && c.Diagnostic != nil && c.Status == connector.CheckFailed {
			outcome = c.Diagnostic
		}
	}
	if err := t.c.tenant.audit(ctx, audit.ActionTest, r, outcome); err != nil {
		return // logged where it happened; a test's result is worth telling all the same
	}
	now, err := t.c.host.store.Now(ctx)
	if err != nil {
		return
	}
	tested := r.SettingsRevision
	_, err = t.c.host.update(ctx, t.c.key, func(r *store.Record) error {
		if r.SettingsRevision == tested { // else it says nothing of the present settings
			r.TestedAt, r.TestPassed = now, passed
		}
		return nil
	})
	if err != nil {
		t.c.host.log.WarnContext(ctx, "the outcome of a test can't be kept", "connection", t.c.key.Connection, "error", err)
	}
}
