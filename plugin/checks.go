package plugin

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"time"

	"github.com/boxconnection/connector/plugin/internal/process"
	"github.com/boxconnection/connector/proto/connector"
)

// CheckFunc makes one check. It sets Status, Message and Diagnostic of the
// result; [RunChecks] sets the rest. [Passed], [Failed], [Warned] and
// [Skipped] make results.
type CheckFunc func(ctx context.Context) connector.Check

// Passed is the result of a check that found what it looked for; the message
// is formatted as by fmt.Sprintf and may be empty.
func Passed(format string, args ...any) connector.Check {
	return connector.Check{Status: connector.CheckPassed, Message: fmt.Sprintf(format, args...)}
}

// Failed is the result of a check that ended in an error. An error without a
// diagnostic becomes Internal without its text.
func Failed(err error) connector.Check {
	return connector.Check{Status: connector.CheckFailed, Diagnostic: connector.Diagnose(err, connector.OriginConnector)}
}

// Warned is the result of a check that passed with something to look at.
func Warned(d *connector.Diagnostic) connector.Check {
	return connector.Check{Status: connector.CheckWarning, Diagnostic: d}
}

// Skipped is the result of a check that had nothing to work on; the reason is
// formatted as by fmt.Sprintf.
func Skipped(format string, args ...any) connector.Check {
	return connector.Check{Status: connector.CheckSkipped, Message: fmt.Sprintf(format, args...)}
}

// RunChecks makes the declared checks in their order, one at a time, and
// yields each result with title, dependencies, side effect and duration
// filled in. A check is skipped if one that it depends on neither passed nor
// warned; it is not supported if run has no function for it, and not run once
// ctx has ended. A panic is a failed check and ends no other.
func RunChecks(ctx context.Context, declared []connector.CheckDeclaration, run map[string]CheckFunc) iter.Seq[connector.Check] {
	return func(yield func(connector.Check) bool) {
		held := make(map[string]bool, len(declared))
		for _, d := range declared {
			check := decide(ctx, d, held, run[d.ID])
			held[d.ID] = holds(check.Status)
			if !yield(complete(check, d)) {
				return
			}
		}
	}
}

func decide(ctx context.Context, d connector.CheckDeclaration, held map[string]bool, f CheckFunc) connector.Check {
	switch parent := missing(d, held); {
	case ctx.Err() != nil:
		return notRun(ctx)
	case parent != "":
		return Skipped("%q didn't pass", parent)
	case f == nil:
		return connector.Check{Status: connector.CheckNotSupported}
	}
	start := time.Now()
	check := protect(ctx, d.ID, f)
	check.Duration = time.Since(start)
	if check.Status == connector.CheckFailed && check.Diagnostic == nil {
		check.Diagnostic = fault("the check %q failed without saying why", d.ID)
	}
	if ctx.Err() != nil && check.Status == connector.CheckFailed &&
		(errors.Is(check.Diagnostic, context.Canceled) || errors.Is(check.Diagnostic, connector.Canceled)) {
		check = notRun(ctx)
	}
	return check
}

// protect runs a check and turns a panic into a failure. The panic's value
// may hold a secret, so only its type is logged.
func protect(ctx context.Context, id string, f CheckFunc) (check connector.Check) {
	defer func() {
		if v := recover(); v != nil {
			slog.ErrorContext(ctx, "a check panicked", "check", id, "type", fmt.Sprintf("%T", v), "stack", process.Stack(3))
			check = Failed(errPanicked)
		}
	}()
	return f(ctx)
}

// errPanicked is shown as Internal.
var errPanicked = errors.New("panicked")

func notRun(ctx context.Context) connector.Check {
	message := "the test was cancelled before"
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		message = "the test ran out of time before"
	}
	return connector.Check{Status: connector.CheckNotRun, Message: message}
}

func holds(s connector.CheckStatus) bool {
	return s == connector.CheckPassed || s == connector.CheckWarning
}

func missing(d connector.CheckDeclaration, held map[string]bool) string {
	for _, parent := range d.DependsOn {
		if !held[parent] {
			return parent
		}
	}
	return ""
}

// complete fills in what the declaration says.
func complete(c connector.Check, d connector.CheckDeclaration) connector.Check {
	c.ID, c.Title, c.SideEffect = d.ID, d.Title, d.SideEffect
	c.DependsOn = slices.Clone(d.DependsOn)
	return c
}

// A report holds a connector's results against its declarations: each once,
// in their order.
type report struct {
	left []connector.CheckDeclaration
}

func newReport(declared []connector.CheckDeclaration) *report { return &report{declared} }

// add completes a check, and returns those that should have come before it.
func (r *report) add(c *connector.Check) (missed []connector.Check, err error) {
	at := slices.IndexFunc(r.left, func(d connector.CheckDeclaration) bool { return d.ID == c.ID })
	switch {
	case at < 0:
		return nil, fault("it reported a check that it didn't declare, or one twice or out of order")
	case c.Status == "":
		return nil, fault("the check %q has no status", c.ID)
	case c.Status == connector.CheckFailed && c.Diagnostic == nil:
		return nil, fault("the check %q failed without saying why", c.ID)
	}
	for _, d := range r.left[:at] {
		missed = append(missed, complete(connector.Check{Status: connector.CheckNotRun}, d))
	}
	*c = complete(*c, r.left[at])
	r.left = r.left[at+1:]
	return missed, nil
}

// rest returns the checks that were never reported.
func (r *report) rest() []connector.Check {
	var checks []connector.Check
	for _, d := range r.left {
		checks = append(checks, complete(connector.Check{Status: connector.CheckNotRun}, d))
	}
	return checks
}
