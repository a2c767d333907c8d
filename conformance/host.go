package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/hostsuite"
)

// HostOptions says how [RunHost] judges a host.
type HostOptions struct {
	// Command starts the host for one action; its words may hold the
	// placeholders of HOSTS.md.
	Command []string
	// Probe is the binary of connector-probe.
	Probe string
	// Checks are ids of checks to run; all if empty.
	Checks []string
	// Parallel is how many checks run at a time; 4 if zero.
	Parallel int
	// Watchdogs is the factor on the time that things have; 1 if zero.
	Watchdogs float64
}

// RunHost judges a host by the H clauses of the contract. The report stands
// for itself if the error is nil, whatever it says.
func RunHost(ctx context.Context, o HostOptions) (*Report, error) {
	if len(o.Command) == 0 {
		return nil, fmt.Errorf("%w: there is no command", ErrUsage)
	}
	chosen := hostsuite.All()
	for _, id := range o.Checks {
		if !slices.ContainsFunc(chosen, func(c *hostsuite.Check) bool { return c.ID == id }) {
			return nil, fmt.Errorf("%w: there is no check %q", ErrUsage, id)
		}
	}
	whole := len(o.Checks) == 0
	if !whole {
		chosen = slices.DeleteFunc(chosen, func(c *hostsuite.Check) bool { return !slices.Contains(o.Checks, c.ID) })
	}
	folder, err := os.MkdirTemp("", "ch")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	s := &hostsuite.Suite{Command: o.Command, Probe: o.Probe, Folder: folder, Parallel: o.Parallel, Factor: o.Watchdogs}
	if s.Parallel == 0 {
		s.Parallel = 4
	}
	if err := s.Ready(); err != nil {
		return nil, errors.Join(ErrUsage, err)
	}
	r := &Report{Begun: time.Now(), Profile: "host"}
	r.Subject.Path = o.Command[0]
	r.Results = s.Run(ctx, chosen)
	r.Duration = time.Since(r.Begun)
	r.Coverage = hostsuite.Cover(r.Results)
	green := true
	for i := range r.Results {
		green = green && (r.Results[i].Level != check.Must || r.Results[i].Verdict.Green())
	}
	switch {
	case !green:
		r.Outcome = NotConformant
	case !whole || r.Coverage.Covered < r.Coverage.Observable:
		r.Outcome = Partial
	default:
		r.Outcome = Conformant
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case !r.Ran():
		return r, ErrNothingRan
	case r.Count(check.Error) > 0:
		return r, fmt.Errorf("the suite failed in %d checks", r.Count(check.Error))
	}
	return r, nil
}

// HostChecks lists the checks of hosts. The ids don't change.
func HostChecks() []Info {
	var out []Info
	for _, c := range hostsuite.All() {
		out = append(out, Info{ID: c.ID, Area: "host", Level: c.Level, Clauses: c.Clauses, Title: c.Title})
	}
	return out
}
