// Package report is what a run tells, and the forms that it is written in.
package report

import (
	"encoding/json"
	"io"
	"time"

	"github.com/boxconnection/connector/conformance/internal/check"
)

// Outcome is what a run says of a connector.
type Outcome string

// The outcomes.
const (
	// Conformant: every MUST that can be seen from outside held.
	Conformant Outcome = "conformant"
	// NotConformant: one didn't, or wasn't looked at.
	NotConformant Outcome = "not_conformant"
	// Partial: only chosen checks ran, and all of them are green. It says
	// nothing about the rest.
	Partial Outcome = "partial"
)

// Subject is what was judged.
type Subject struct {
	Path    string `json:"path,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
	ID      string `json:"id,omitempty"`
	Version string `json:"version,omitempty"`
	// Attached says that a running plugin was judged, not a binary.
	Attached bool `json:"attached,omitempty"`
}

// Coverage counts the contract's clauses that demand something of connectors.
type Coverage struct {
	// Observable are the MUST clauses that can be seen from outside, Covered
	// those among them whose checks ran to a verdict.
	Observable int      `json:"observable"`
	Covered    int      `json:"covered"`
	Missing    []string `json:"missing,omitempty"`
}

// Report is the result of a run.
type Report struct {
	Subject  Subject        `json:"subject"`
	Profile  string         `json:"profile,omitempty"`
	Outcome  Outcome        `json:"outcome"`
	Begun    time.Time      `json:"begun"`
	Duration time.Duration  `json:"duration_ns"`
	Coverage Coverage       `json:"coverage"`
	Results  []check.Result `json:"results"`
	// Stale are entries of known failures that didn't come as expected.
	Stale []string `json:"stale,omitempty"`
}

// Count counts the results with a verdict.
func (r *Report) Count(v check.Verdict) int {
	n := 0
	for i := range r.Results {
		if r.Results[i].Verdict == v {
			n++
		}
	}
	return n
}

// Ran reports whether any check ran to a verdict of its own.
func (r *Report) Ran() bool {
	return r.Count(check.NotRun) < len(r.Results)
}

// JSON writes the report as one JSON object.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}
