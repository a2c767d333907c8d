package main

import (
	"errors"
	"strings"

	"github.com/boxconnection/connector/proto/connector"
)

// The exit codes. They follow what a caller has to do.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitSettings    = 10
	exitSignIn      = 11
	exitAsk         = 12
	exitRetry       = 13
	exitPlugin      = 14
	exitStore       = 15
	exitInterrupted = 130
)

// shownError is an error that has been told to the person already.
type shownError struct{ err error }

func (e *shownError) Error() string { return e.err.Error() }
func (e *shownError) Unwrap() error { return e.err }

// exitCode is the exit code of an error. What isn't a diagnostic comes from
// the parser of the command line.
func exitCode(err error) int {
	var d *connector.Diagnostic
	if !errors.As(err, &d) {
		return exitUsage
	}
	code := string(d.Code)
	switch {
	case d.Code == connector.UsageWrong:
		return exitUsage
	case d.Code == connector.Canceled:
		return exitInterrupted
	case d.Code == connector.AuthorizationDenied:
		return exitSignIn
	case strings.HasPrefix(code, "PLUGIN_"), d.Code == connector.Unsupported, d.Code == connector.CredentialUnreadable:
		return exitPlugin
	case strings.HasPrefix(code, "STORE_"), strings.HasPrefix(code, "SEALING_"), d.Code == connector.AuditUnwritable:
		return exitStore
	case d.Origin == connector.OriginSettings:
		return exitSettings
	}
	switch d.Disposition {
	case connector.FixSettings:
		return exitSettings
	case connector.SignInAgain:
		return exitSignIn
	case connector.AskAdministrator:
		return exitAsk
	case connector.Retry:
		return exitRetry
	}
	if d.Origin == connector.OriginConnector {
		return exitPlugin
	}
	return exitFailed
}
