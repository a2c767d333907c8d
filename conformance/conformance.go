// Package conformance judges whether a connector keeps the contract
// (proto/integration/CONTRACT.md). It starts the connector and speaks to it by
// means of its own, puts a service under control behind it, and holds it to
// every clause that can be seen from outside.
//
//	report, err := conformance.Run(ctx, conformance.Binary("bin/my-connector"), conformance.Options{Profile: p})
//
// An engine that has a launcher of its own judges with it by implementing
// [Target]. In a test, [RunT] does all of it.
package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/checks"
	"github.com/boxconnection/connector/conformance/internal/peer"
	"github.com/boxconnection/connector/conformance/internal/profile"
	"github.com/boxconnection/connector/conformance/internal/report"
)

type (
	// Target hands over connections to a connector, each to a fresh process if
	// it can, since checks expect that. Connect is called by several
	// goroutines. The suite starts a target made by [Binary] by itself; with
	// any other, checks of transport and process are not run.
	Target = check.Target
	// Instance is a connection. Close ends the process behind it. If it has a
	// method Output() []byte, that is what the process printed, which is
	// searched for secrets.
	Instance = check.Instance

	// Report is the result of a run.
	Report = report.Report
	// Result is the result of one check in it.
	Result = check.Result
	// Outcome is what the report says of the connector.
	Outcome = report.Outcome
	// Verdict is the outcome of one check.
	Verdict = check.Verdict
	// Level says whether a check is about a MUST or a SHOULD.
	Level = check.Level

	// Profile is what the suite must know of a connector; see PEER.md.
	Profile = profile.Profile
)

// The outcomes.
const (
	Conformant    = report.Conformant
	NotConformant = report.NotConformant
	Partial       = report.Partial
)

// The verdicts.
const (
	Pass          = check.Pass
	Fail          = check.Fail
	Warn          = check.Warn
	NotApplicable = check.NotApplicable
	NotRun        = check.NotRun
	Error         = check.Error
	Timeout       = check.Timeout
)

// Errors of [Run]. Others are faults of the suite.
var (
	// ErrUsage says that the options can't be meant.
	ErrUsage = errors.New("usage")
	// ErrNothingRan says that no check came to a verdict.
	ErrNothingRan = errors.New("no check ran")
	// ErrProfile says that the profile can't be meant.
	ErrProfile = profile.ErrMalformed
)

// Binary is the target that the suite starts itself.
func Binary(path string, args ...string) Target { return &check.Binary{Path: path, Args: args} }

// ReadProfile reads a profile from a file; the error wraps [ErrProfile].
func ReadProfile(path string) (*Profile, error) { return profile.Read(path) }

// Options says how to run. The zero value runs all checks that do without a
// profile; the others are then not run.
type Options struct {
	Profile *Profile
	// ProfilePath is named in the commands that repeat a check.
	ProfilePath string
	// Checks are ids of checks or areas to run; all if empty. A run of some
	// is never called conformant.
	Checks []string
	// Parallel is how many checks run at a time; 4 if zero. Checks that share
	// a running peer take turns.
	Parallel int
	// Watchdogs is the factor on the time that checks have; 1 if zero.
	Watchdogs float64
	// Shuffle, if not zero, is the seed of the order that checks run in.
	Shuffle uint64
	// Service, if set, starts the service in place of the profile's peer, once
	// for each check. It returns what the peer's line would hold.
	Service func(ctx context.Context) (vars map[string]string, stop func(), err error)
	// PeerFolder is where commands of peers are looked for; the profile's
	// folder if empty.
	PeerFolder string
	// Attached says that the target is a plugin that somebody started.
	Attached bool
}

// Run judges a target. The report stands for itself if the error is nil,
// whatever it says.
func Run(ctx context.Context, target Target, o Options) (*Report, error) {
	chosen, err := choose(o.Checks)
	if err != nil {
		return nil, err
	}
	r := &Report{Begun: time.Now()}
	if err := subject(target, r); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "cc")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	s := &check.Suite{
		Target: target, Profile: o.Profile, Parallel: o.Parallel, Factor: o.Watchdogs, Shuffle: o.Shuffle,
		Folder: folder, Attached: o.Attached,
	}
	if s.Parallel == 0 {
		s.Parallel = 4
	}
	if err := behind(s, &o); err != nil {
		return nil, err
	}
	if o.Profile != nil {
		r.Profile = o.Profile.Name
	}
	r.Results = s.Run(ctx, chosen)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if d := s.Description(); d != nil {
		r.Subject.ID, r.Subject.Version = d.GetId(), d.GetVersion()
	}
	r.Subject.Attached = o.Attached
	r.Duration = time.Since(r.Begun)
	conclude(r, &o, len(chosen) == len(checks.All()))
	if n := r.Count(check.Error); n > 0 {
		return r, fmt.Errorf("the suite failed in %d checks", n)
	}
	if !r.Ran() {
		return r, ErrNothingRan
	}
	return r, nil
}

func choose(names []string) ([]*check.Check, error) {
	all := checks.All()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []*check.Check
	for _, c := range all {
		if slices.Contains(names, c.ID) || slices.Contains(names, c.Area()) {
			chosen = append(chosen, c)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(all, func(c *check.Check) bool { return c.ID == name || c.Area() == name }) {
			return nil, fmt.Errorf("%w: there is no check or area %q", ErrUsage, name)
		}
	}
	return chosen, nil
}

// subject binds the report to the binary.
func subject(target Target, r *Report) (err error) {
	b, ok := target.(*check.Binary)
	if !ok {
		return nil
	}
	f, err := os.Open(b.Path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	r.Subject.Path, r.Subject.SHA256 = b.Path, hex.EncodeToString(h.Sum(nil))
	return nil
}

// behind says how checks get at the service.
func behind(s *check.Suite, o *Options) error {
	switch p := o.Profile; {
	case p == nil:
	case o.Service != nil:
		s.Peer = func(ctx context.Context, _ string) (*peer.Instance, error) {
			vars, stop, err := o.Service(ctx)
			if err != nil {
				return nil, err
			}
			return peer.New(vars, stop)
		}
	case p.Peer == nil:
	case len(p.Peer.Command) > 0:
		folder := o.PeerFolder
		if folder == "" {
			folder = p.Folder
		}
		folder, err := filepath.Abs(folder)
		if err != nil {
			return err
		}
		command := slices.Clone(p.Peer.Command)
		if filepath.Base(command[0]) != command[0] && !filepath.IsAbs(command[0]) {
			if command[0], err = filepath.Abs(filepath.Join(p.Folder, command[0])); err != nil {
				return err
			}
		}
		s.Peer = func(ctx context.Context, home string) (*peer.Instance, error) {
			vars, stop, err := peer.Start(ctx, command, folder, home)
			if err != nil {
				return nil, err
			}
			for name, text := range map[string]string{"control_url": p.Peer.ControlURL, "control_token": p.Peer.ControlToken} {
				if text != "" {
					vars[name] = profile.Fill(text, vars)
				}
			}
			return peer.New(vars, stop)
		}
	default:
		s.SharedPeer = true
		s.Peer = func(ctx context.Context, _ string) (*peer.Instance, error) {
			vars := map[string]string{"control_url": p.Peer.ControlURL, "control_token": p.Peer.ControlToken}
			for name, value := range p.Peer.Vars {
				vars[name] = value
			}
			i, err := peer.New(vars, nil)
			if err != nil {
				return nil, err
			}
			return i, i.Reset(ctx)
		}
	}
	return nil
}

// conclude says what the results come to.
func conclude(r *Report, o *Options, whole bool) {
	known := map[string]string{}
	if o.Profile != nil {
		for _, k := range o.Profile.KnownFailures {
			known[k.Check] = k.Reason
		}
	}
	green := true
	for i := range r.Results {
		res := &r.Results[i]
		res.Repeat = repeat(r, o, res.ID)
		if reason, ok := known[res.ID]; ok {
			if res.Verdict.Green() || !strings.Contains(strings.Join(res.Messages, "\n"), reason) {
				r.Stale = append(r.Stale, fmt.Sprintf("%s is listed as a known failure (%s), but its verdict is %s", res.ID, reason, res.Verdict))
			} else {
				res.Known = true
			}
			delete(known, res.ID)
		}
		green = green && (res.Level != check.Must || res.Verdict.Green())
	}
	for id := range known {
		if whole {
			r.Stale = append(r.Stale, id+" is listed as a known failure, but there is no such check")
		}
	}
	slices.Sort(r.Stale)
	r.Coverage = checks.Cover(r.Results)
	switch {
	case !green || len(r.Stale) > 0 || o.Attached:
		r.Outcome = NotConformant
	case !whole || r.Coverage.Covered < r.Coverage.Observable:
		r.Outcome = Partial
	default:
		r.Outcome = Conformant
	}
}

func repeat(r *Report, o *Options, id string) string {
	if r.Subject.Path == "" {
		return ""
	}
	command := "connector-conformance run " + quote(r.Subject.Path)
	if o.ProfilePath != "" {
		command += " --profile " + quote(o.ProfilePath)
	}
	return command + " --check " + id
}

// quote makes a path one word of a shell.
func quote(path string) string {
	if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

type (
	// Narrowing is what NarrowAccess is asked for, in a [Profile].
	Narrowing = profile.Narrowing
	// Sample is a credential of a format, in a [Profile].
	Sample = profile.Sample
	// KnownFailure is a check that is known to fail, in a [Profile].
	KnownFailure = profile.KnownFailure
)
