package protoconv

import (
	"encoding/json"
	"slices"

	"github.com/boxconnection/connector/proto/connector"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// Limits of what is shown, in bytes and members. They hold in both
// directions.
const (
	maxName        = 256  // a name, a title
	maxText        = 1024 // a sentence or two for a person
	maxPointer     = 512
	maxFix         = 1024
	maxList        = 64
	maxDiagnostics = 256
)

var (
	severities = newEnum(connector.SeverityError, connectorv1.Severity_SEVERITY_ERROR,
		map[connector.Severity]connectorv1.Severity{
			connector.SeverityError:   connectorv1.Severity_SEVERITY_ERROR,
			connector.SeverityWarning: connectorv1.Severity_SEVERITY_WARNING,
			connector.SeverityInfo:    connectorv1.Severity_SEVERITY_INFO,
		})
	dispositions = newEnum("", connectorv1.Disposition_DISPOSITION_UNSPECIFIED,
		map[connector.Disposition]connectorv1.Disposition{
			connector.Retry:            connectorv1.Disposition_DISPOSITION_RETRY,
			connector.FixSettings:      connectorv1.Disposition_DISPOSITION_FIX_SETTINGS,
			connector.AskAdministrator: connectorv1.Disposition_DISPOSITION_ASK_ADMINISTRATOR,
			connector.SignInAgain:      connectorv1.Disposition_DISPOSITION_SIGN_IN_AGAIN,
		})
	origins = newEnum("", connectorv1.Origin_ORIGIN_UNSPECIFIED,
		map[connector.Origin]connectorv1.Origin{
			connector.OriginSettings:  connectorv1.Origin_ORIGIN_SETTINGS,
			connector.OriginService:   connectorv1.Origin_ORIGIN_SERVICE,
			connector.OriginNetwork:   connectorv1.Origin_ORIGIN_NETWORK,
			connector.OriginConnector: connectorv1.Origin_ORIGIN_CONNECTOR,
			connector.OriginHost:      connectorv1.Origin_ORIGIN_HOST,
		})
	// The number of each code is that of the constant whose name is the code
	// with the prefix CODE_, so that a new code needs no entry here.
	diagnosticCodes = codesByName()
)

func codesByName() enum[connector.Code, connectorv1.Code] {
	const prefix = "CODE_"
	numbers := map[connector.Code]connectorv1.Code{}
	for number, name := range connectorv1.Code_name {
		if number != 0 {
			numbers[connector.Code(name[len(prefix):])] = connectorv1.Code(number)
		}
	}
	return newEnum(connector.Internal, connectorv1.Code_CODE_INTERNAL, numbers)
}

// DiagnosticToProto writes a diagnostic with clean texts and without its
// cause; nil stays nil.
func DiagnosticToProto(d *connector.Diagnostic) *connectorv1.Diagnostic {
	if d == nil {
		return nil
	}
	p := &connectorv1.Diagnostic{
		Severity: severities.toProto(d.Severity), Code: diagnosticCodes.toProto(d.Code),
		Pointer: cleanPointer(d.Pointer),
		Summary: cleanText(d.Summary, maxText), Detail: cleanText(d.Detail, maxText),
		Suggestion: cleanText(d.Suggestion, maxText),
		RetryAfter: DurationToProto(d.RetryAfter), Disposition: dispositions.toProto(d.Disposition),
		Origin: origins.toProto(d.Origin),
	}
	if fix := cleanFix(d.Fix); fix != nil {
		p.Fix = &connectorv1.Fix{Pointer: fix.Pointer, Value: fix.Value}
	}
	return p
}

// DiagnosticFromProto reads a diagnostic; nil stays nil. An unknown code is
// Internal, an unknown severity an error, any other unknown number the zero
// value. A fix that isn't JSON is left out.
func DiagnosticFromProto(p *connectorv1.Diagnostic) *connector.Diagnostic {
	if p == nil {
		return nil
	}
	d := &connector.Diagnostic{
		Severity: severities.fromProto(p.GetSeverity()), Code: diagnosticCodes.fromProto(p.GetCode()),
		Pointer: cleanPointer(p.GetPointer()),
		Summary: cleanText(p.GetSummary(), maxText), Detail: cleanText(p.GetDetail(), maxText),
		Suggestion: cleanText(p.GetSuggestion(), maxText),
		RetryAfter: lenient(Duration(p.GetRetryAfter(), "")), Disposition: dispositions.fromProto(p.GetDisposition()),
		Origin: origins.fromProto(p.GetOrigin()),
	}
	if p.GetFix() != nil {
		d.Fix = cleanFix(&connector.Fix{Pointer: p.GetFix().GetPointer(), Value: p.GetFix().GetValue()})
	}
	return d
}

// DiagnosticsToProto writes a list without its nil members, at most 256.
func DiagnosticsToProto(ds connector.Diagnostics) []*connectorv1.Diagnostic {
	var list []*connectorv1.Diagnostic
	for _, d := range ds {
		if d != nil && len(list) < maxDiagnostics {
			list = append(list, DiagnosticToProto(d))
		}
	}
	return list
}

// DiagnosticsFromProto reads a list without its nil members, at most 256.
func DiagnosticsFromProto(list []*connectorv1.Diagnostic) connector.Diagnostics {
	var ds connector.Diagnostics
	for _, p := range list {
		if p != nil && len(ds) < maxDiagnostics {
			ds = append(ds, DiagnosticFromProto(p))
		}
	}
	return ds
}

// cleanPointer drops a pointer that it would have to change: half a pointer
// leads to the wrong place.
func cleanPointer(s string) string {
	if (s != "" && s[0] != '/') || cleanText(s, maxPointer) != s {
		return ""
	}
	return s
}

func cleanFix(f *connector.Fix) *connector.Fix {
	if f == nil || cleanPointer(f.Pointer) != f.Pointer || len(f.Value) > maxFix || !json.Valid(f.Value) {
		return nil
	}
	return &connector.Fix{Pointer: f.Pointer, Value: slices.Clone(f.Value)}
}
