// Package check is what a check of the suite is made of: what it says about
// itself, what it is run with, and the run of all of them.
package check

import (
	"time"

	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// Level is how much a clause demands.
type Level string

// The levels.
const (
	Must   Level = "MUST"
	Should Level = "SHOULD"
)

// Verdict is the outcome of a check.
type Verdict string

// The verdicts.
const (
	// Pass: the clause held.
	Pass Verdict = "pass"
	// Fail: it was broken.
	Fail Verdict = "fail"
	// Warn: a SHOULD was broken.
	Warn Verdict = "warn"
	// NotApplicable: the clause belongs to a capability that the connector
	// doesn't declare; the message is the evidence.
	NotApplicable Verdict = "not_applicable"
	// NotRun: something that the check needs wasn't there.
	NotRun Verdict = "not_run"
	// Error: the suite failed.
	Error Verdict = "error"
	// Timeout: the check didn't end in time.
	Timeout Verdict = "timeout"
)

// Green reports whether a MUST with this verdict allows a connector to be
// called conformant.
func (v Verdict) Green() bool { return v == Pass || v == NotApplicable }

// Need is something that not every run has.
type Need uint8

// The needs.
const (
	// Process: the suite starts the binary itself.
	Process Need = 1 << iota
	// Description: Describe answers.
	Description
	// Settings: a profile with settings, and its peer if it names one.
	Settings
	// Peer: a service with the control protocol.
	Peer
)

// Check is one check. Its ID is frozen.
type Check struct {
	ID    string
	Level Level
	// Clauses are the ids of the clauses that it holds the connector to.
	Clauses []string
	// Title says in one line what is demanded.
	Title string
	Needs Need
	// Capability, if set, must be declared, or the check isn't applicable.
	Capability connectorv1.Capability
	// Watchdog bounds the check; DefaultWatchdog if zero.
	Watchdog time.Duration
	Run      func(*T)
}

// DefaultWatchdog bounds a check that names no bound of its own.
const DefaultWatchdog = 25 * time.Second

// Area is the first part of the ID.
func (c *Check) Area() string {
	for i := range c.ID {
		if c.ID[i] == '.' {
			return c.ID[:i]
		}
	}
	return c.ID
}

// Result is what came of a check.
type Result struct {
	ID      string   `json:"id"`
	Area    string   `json:"area"`
	Level   Level    `json:"level"`
	Clauses []string `json:"clauses"`
	Title   string   `json:"title"`
	Verdict Verdict  `json:"verdict"`
	// Messages say what was found; for not_applicable they are the evidence.
	Messages []string `json:"messages,omitempty"`
	// Known says that the failure is listed in the profile.
	Known    bool          `json:"known,omitempty"`
	Duration time.Duration `json:"duration_ns"`
	// Repeat is the command that repeats the check.
	Repeat string `json:"repeat,omitempty"`
}
