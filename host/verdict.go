package host

import (
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// verdictOf returns why the record's credential is dead, or nil if it isn't
// known to be.
func verdictOf(r *store.Record) *connector.Diagnostic {
	v := r.Verdict
	if v == nil || v.Diagnostic == nil || v.Generation != r.Generation || v.SettingsRevision != r.SettingsRevision {
		return nil
	}
	d := *v.Diagnostic
	since := "found at " + v.At.UTC().Format(time.RFC3339)
	if d.Detail != "" {
		since = d.Detail + "; " + since
	}
	return d.WithDetail("%s", since)
}

// isFinal reports whether err says that the credential is dead.
func isFinal(err error) bool {
	d := connector.Diagnose(err, connector.OriginConnector)
	return d != nil && d.Disposition == connector.SignInAgain
}

// outcomeUnknown reports whether the service may have answered a renewal whose
// answer nobody has.
func outcomeUnknown(d *connector.Diagnostic) bool {
	switch d.Code {
	case connector.PluginExited, connector.PluginUnresponsive, connector.PluginContractBroken,
		connector.TimedOut, connector.Canceled, connector.ConnectionFailed, connector.UnexpectedAnswer, connector.Internal:
		return true
	default:
		return false
	}
}

// cutOff is the renewal of the record's present credential that was cut off,
// or nil.
func cutOff(r *store.Record) *store.Lease {
	if cut := r.Interrupted; cut != nil && cut.Intent == intentRenew && cut.Generation == r.Generation {
		return cut
	}
	return nil
}

// mayRepeat refuses to make a renewal again that was cut off, unless the
// connector says that the service answers it again.
func mayRepeat(conn *Connector, r *store.Record) error {
	cut := cutOff(r)
	if cut == nil || conn.Description().RenewalReplay == connector.ReplayUntilUsed {
		return nil
	}
	return connector.Errorf(connector.RenewalCutOff, connector.OriginHost, "A renewal was cut off, and the service may have spent the credential with it.").
		With(connector.SignInAgain).
		WithDetail("the renewal on %s at %s ended before its answer was stored", cut.Holder, cut.Since.UTC().Format(time.RFC3339)).
		Suggest("Sign in again. The service doesn't answer the same renewal twice, so it isn't tried.")
}

// explain adds to a dead credential's diagnostic what the record knows of the
// cause: a renewal before this one that was cut off.
func explain(r *store.Record, d *connector.Diagnostic) *connector.Diagnostic {
	cut := cutOff(r)
	if cut == nil || d.Code != connector.GrantInvalid {
		return d
	}
	return connector.Errorf(connector.RenewalCutOff, connector.OriginHost, "A renewal was cut off, and the service has spent the credential with it.").
		With(connector.SignInAgain).
		WithDetail("the renewal on %s at %s ended before its answer was stored", cut.Holder, cut.Since.UTC().Format(time.RFC3339)).
		Suggest("Sign in again. Such a loss needs a service whose refresh tokens are strictly single-use, and a crash within the width of one answer.")
}
