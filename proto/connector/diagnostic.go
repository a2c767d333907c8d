package connector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Severity says how much a diagnostic weighs.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityInfo    Severity = "info"
)

// Disposition says what a caller should do about a failure.
type Disposition string

// The dispositions. The empty one decides nothing: repeating the same call
// brings the same answer.
const (
	// Retry: it passes by itself; RetryAfter says how long to wait at least.
	Retry Disposition = "retry"
	// FixSettings: a person must change a setting first.
	FixSettings Disposition = "fix_settings"
	// AskAdministrator: somebody must act at the service first, an
	// administrator or the account's own holder. The grant stays good.
	AskAdministrator Disposition = "ask_administrator"
	// SignInAgain: the grant is dead. It is final for the credential and the
	// settings that were tried, and for nothing else.
	SignInAgain Disposition = "sign_in_again"
)

// Origin says where a failure began, so that the right person is called.
type Origin string

// The origins.
const (
	OriginSettings  Origin = "settings"
	OriginService   Origin = "service"
	OriginNetwork   Origin = "network"
	OriginConnector Origin = "connector"
	OriginHost      Origin = "host"
)

// Fix is a change that a machine can apply: replace the setting at Pointer by
// Value.
type Fix struct {
	Pointer string          `json:"pointer"`
	Value   json.RawMessage `json:"value"`
}

// Diagnostic is the one shape in which anything that went wrong is told. It
// is an error. Its texts are for a person; nobody should match on them. No
// field ever holds a secret.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	Code     Code     `json:"code"`
	// Pointer is a JSON pointer (RFC 6901) to the setting, or "" for none.
	Pointer string `json:"pointer,omitempty"`
	// Summary says in a sentence what happened.
	Summary string `json:"summary"`
	// Detail adds what helps to find the cause, or is empty.
	Detail string `json:"detail,omitempty"`
	// Suggestion says what to do.
	Suggestion string `json:"suggestion,omitempty"`
	Fix        *Fix   `json:"fix,omitempty"`
	// RetryAfter is the least time to wait, zero for unknown. In JSON it is
	// in nanoseconds, as time.Duration marshals.
	RetryAfter  time.Duration `json:"retry_after,omitempty"`
	Disposition Disposition   `json:"disposition,omitempty"`
	Origin      Origin        `json:"origin"`

	cause error
}

// Errorf makes an error diagnostic whose summary is formatted as by
// fmt.Sprintf; %w isn't special. Chain the With methods to complete it.
func Errorf(code Code, origin Origin, format string, args ...any) *Diagnostic {
	return &Diagnostic{
		Severity: SeverityError, Code: code, Origin: origin,
		Summary: fmt.Sprintf(format, args...),
	}
}

// With returns a copy with a disposition.
func (d *Diagnostic) With(disposition Disposition) *Diagnostic {
	c := *d
	c.Disposition = disposition
	return &c
}

// At returns a copy that points at a setting.
func (d *Diagnostic) At(pointer string) *Diagnostic {
	c := *d
	c.Pointer = pointer
	return &c
}

// Suggest returns a copy with a suggestion, formatted as by fmt.Sprintf.
func (d *Diagnostic) Suggest(format string, args ...any) *Diagnostic {
	c := *d
	c.Suggestion = fmt.Sprintf(format, args...)
	return &c
}

// WithDetail returns a copy with a detail, formatted as by fmt.Sprintf.
func (d *Diagnostic) WithDetail(format string, args ...any) *Diagnostic {
	c := *d
	c.Detail = fmt.Sprintf(format, args...)
	return &c
}

// After returns a copy with the least time to wait before a retry.
func (d *Diagnostic) After(wait time.Duration) *Diagnostic {
	c := *d
	c.RetryAfter = wait
	return &c
}

// Because returns a copy that unwraps to cause. The cause's text isn't shown,
// since it may hold what a diagnostic must not.
func (d *Diagnostic) Because(cause error) *Diagnostic {
	c := *d
	c.cause = cause
	return &c
}

// Error returns the code, the place, the summary, the detail and the
// suggestion in one line.
func (d *Diagnostic) Error() string {
	var b strings.Builder
	b.WriteString(string(d.Code))
	if d.Pointer != "" {
		b.WriteString(" at " + d.Pointer)
	}
	b.WriteString(": " + d.Summary)
	if d.Detail != "" {
		b.WriteString(" (" + d.Detail + ")")
	}
	if d.Suggestion != "" {
		b.WriteString(" " + d.Suggestion)
	}
	return b.String()
}

// Is reports whether target is the diagnostic's code.
func (d *Diagnostic) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == d.Code
}

// Unwrap returns the cause, or nil.
func (d *Diagnostic) Unwrap() error { return d.cause }

// Diagnose returns the first Diagnostic in err's tree. The end of a context
// becomes Canceled or TimedOut. Any other error becomes an Internal diagnostic
// of the given origin that unwraps to err and doesn't show its text. It
// returns nil for nil.
func Diagnose(err error, origin Origin) *Diagnostic {
	if err == nil {
		return nil
	}
	if d, ok := errors.AsType[*Diagnostic](err); ok {
		return d
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Errorf(Canceled, OriginHost, "The call was cancelled by its caller.").Because(err)
	case errors.Is(err, context.DeadlineExceeded):
		return Errorf(TimedOut, origin, "There was no answer in time.").With(Retry).
			Suggest("Try again.").Because(err)
	}
	return Errorf(Internal, origin, "An unexpected fault in the %s.", origin).
		Suggest("Report it to the author of the %s, with the log around this time.", origin).
		Because(err)
}

// Diagnostics is a list of what is wrong, in the order of the form's fields.
type Diagnostics []*Diagnostic

// Err returns the first diagnostic of severity error as an error, or nil if
// there is none. Its detail tells how many more there are.
func (ds Diagnostics) Err() error {
	var first *Diagnostic
	more := 0
	for _, d := range ds {
		switch {
		case d.Severity != SeverityError:
		case first == nil:
			first = d
		default:
			more++
		}
	}
	if first == nil {
		return nil
	}
	if more > 0 && first.Detail == "" {
		return first.WithDetail("%d more problem(s) found", more)
	}
	return first
}
