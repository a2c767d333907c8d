package connector

import "time"

// CheckStatus is the outcome of a check.
type CheckStatus string

// The outcomes of a check.
const (
	CheckPassed       CheckStatus = "passed"
	CheckFailed       CheckStatus = "failed"
	CheckWarning      CheckStatus = "warning"
	CheckSkipped      CheckStatus = "skipped"       // what it depends on didn't pass, or it had nothing to work on
	CheckNotSupported CheckStatus = "not_supported" // declared but not implemented; never counts as passed
	CheckNotRun       CheckStatus = "not_run"       // the test ended before it
)

// SideEffect says what a check leaves behind at the service.
type SideEffect string

// The side effects.
const (
	SideEffectNone  SideEffect = "none"
	SideEffectRead  SideEffect = "read"  // it appears in the account's access log
	SideEffectWrite SideEffect = "write" // it changes something
)

// CheckDeclaration announces a check that a connection test makes.
type CheckDeclaration struct {
	// ID is stable: [a-z][a-z0-9_]*.
	ID    string `json:"id"`
	Title string `json:"title"`
	// DependsOn names earlier checks. If one of them doesn't pass, this one is
	// skipped.
	DependsOn  []string   `json:"depends_on,omitempty"`
	SideEffect SideEffect `json:"side_effect"`
}

// Check is the result of one check.
type Check struct {
	ID     string      `json:"id"`
	Title  string      `json:"title"`
	Status CheckStatus `json:"status"`
	// Message says in a few words what was found, for a check that passed.
	Message    string        `json:"message,omitempty"`
	Diagnostic *Diagnostic   `json:"diagnostic,omitempty"`
	Duration   time.Duration `json:"duration"`
	DependsOn  []string      `json:"depends_on,omitempty"`
	SideEffect SideEffect    `json:"side_effect"`
	// Runtime names where the test ran. The host sets it.
	Runtime string `json:"runtime,omitempty"`
}
