package protoconv

import (
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// maxMessage bounds the status's own message, in bytes. It travels beside the
// details once more, each byte as three at worst.
const maxMessage = 200

// StatusFromError writes an error as a gRPC status that carries the
// diagnostic as a detail, beside google.rpc.RetryInfo where there is a wait.
// It is never larger than handshake.MaxStatusBytes: detail, suggestion and
// summary give way in that order, code and disposition never. A cancelled or
// expired context becomes Canceled or TimedOut; any other error without a
// diagnostic becomes Internal of the given origin, without its text. It
// returns nil for nil.
func StatusFromError(err error, origin connector.Origin) *status.Status {
	if err == nil {
		return nil
	}
	d := *connector.Diagnose(err, origin)
	d.Severity = connector.SeverityError
	return fit(GRPCCode(d.Code), DiagnosticToProto(&d))
}

// ErrorFromStatus reads the error of a gRPC call. It returns nil for nil, and
// otherwise a *connector.Diagnostic of severity error that unwraps to err. An
// error that carries none gets one by its gRPC code, and its own message,
// which may hold anything, isn't shown.
func ErrorFromStatus(err error) error {
	if err == nil {
		return nil
	}
	if d, ok := errors.AsType[*connector.Diagnostic](err); ok {
		return d
	}
	st := status.FromContextError(err)
	if s, ok := status.FromError(err); ok {
		st = s
	}
	var d *connector.Diagnostic
	var wait time.Duration
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *connectorv1.Diagnostic:
			if d == nil {
				d = DiagnosticFromProto(detail)
			}
		case *errdetails.RetryInfo:
			wait = lenient(Duration(detail.GetRetryDelay(), ""))
		}
	}
	if d == nil {
		d = bare(st.Code())
	}
	if d.Summary == "" {
		d.Summary = bare(st.Code()).Summary
	}
	d.Severity = connector.SeverityError
	d.RetryAfter = max(d.RetryAfter, wait)
	return d.Because(err)
}

// GRPCCode returns the gRPC code that goes with a diagnostic's code, for
// callers that look no further.
func GRPCCode(code connector.Code) codes.Code {
	if c, ok := grpcCodes[code]; ok {
		return c
	}
	return codes.Internal
}

var grpcCodes = map[connector.Code]codes.Code{
	connector.SettingRequired:    codes.InvalidArgument,
	connector.SettingInvalid:     codes.InvalidArgument,
	connector.SettingUnknown:     codes.InvalidArgument,
	connector.SettingsUnreadable: codes.InvalidArgument,
	connector.DestinationChanged: codes.InvalidArgument,
	connector.UsageWrong:         codes.InvalidArgument,

	connector.ClientRejected:        codes.FailedPrecondition,
	connector.ClientUnauthorized:    codes.FailedPrecondition,
	connector.RedirectURIRejected:   codes.FailedPrecondition,
	connector.AuthorizationExpired:  codes.FailedPrecondition,
	connector.AuthorizationInvalid:  codes.FailedPrecondition,
	connector.SignInRequired:        codes.FailedPrecondition,
	connector.GrantInvalid:          codes.FailedPrecondition,
	connector.GrantNotRenewable:     codes.FailedPrecondition,
	connector.RenewalRequired:       codes.FailedPrecondition,
	connector.RenewalCutOff:         codes.FailedPrecondition,
	connector.AccountActionRequired: codes.FailedPrecondition,
	connector.AccountInactive:       codes.FailedPrecondition,
	connector.AccountMismatch:       codes.FailedPrecondition,
	connector.ApplicationBlocked:    codes.FailedPrecondition,
	connector.ScopeMissing:          codes.FailedPrecondition,
	connector.ScopesUnknown:         codes.FailedPrecondition,
	connector.ServiceRefused:        codes.FailedPrecondition,
	connector.ClockSkewed:           codes.FailedPrecondition,
	connector.CredentialUnreadable:  codes.FailedPrecondition,
	connector.TLSFailed:             codes.FailedPrecondition,

	connector.AuthorizationDenied: codes.PermissionDenied,
	connector.PermissionDenied:    codes.PermissionDenied,
	connector.LocationBlocked:     codes.PermissionDenied,
	connector.PluginUntrusted:     codes.PermissionDenied,

	connector.AccessRefused: codes.Unauthenticated,

	connector.NameResolutionFailed: codes.Unavailable,
	connector.ConnectionFailed:     codes.Unavailable,
	connector.ProxyFailed:          codes.Unavailable,
	connector.ServiceUnavailable:   codes.Unavailable,
	connector.UnexpectedAnswer:     codes.Unavailable,
	connector.PluginExited:         codes.Unavailable,
	connector.PluginUnresponsive:   codes.Unavailable,
	connector.StoreBusy:            codes.Unavailable,
	connector.StoreUnavailable:     codes.Unavailable,

	connector.RateLimited:   codes.ResourceExhausted,
	connector.LimitExceeded: codes.ResourceExhausted,

	connector.ServiceConflict:   codes.Aborted,
	connector.ConnectionChanged: codes.Aborted,

	connector.TimedOut:       codes.DeadlineExceeded,
	connector.DeadlinePassed: codes.DeadlineExceeded,
	connector.Canceled:       codes.Canceled,
	connector.Unsupported:    codes.Unimplemented,

	connector.ConnectionNotFound: codes.NotFound,
	connector.ConnectionExists:   codes.AlreadyExists,
	connector.StoreDamaged:       codes.DataLoss,

	connector.RuntimeNotFound:      codes.NotFound,
	connector.RuntimeDead:          codes.Unavailable,
	connector.RuntimeForbidden:     codes.PermissionDenied,
	connector.InputInvalid:         codes.InvalidArgument,
	connector.CheckpointUnreadable: codes.InvalidArgument,
	connector.ExecutionUnknown:     codes.PermissionDenied,
	connector.PairingWrong:         codes.FailedPrecondition,
	connector.ItemNotFound:         codes.NotFound,
	connector.ItemExists:           codes.AlreadyExists,
	connector.ItemChanged:          codes.Aborted,
	connector.ItemRefused:          codes.FailedPrecondition,
	connector.StorageFull:          codes.ResourceExhausted,
	connector.ContentDamaged:       codes.DataLoss,
}

// bare words a status that carries no diagnostic.
func bare(code codes.Code) *connector.Diagnostic {
	const origin = connector.OriginConnector
	switch code {
	case codes.Canceled:
		return connector.Errorf(connector.Canceled, connector.OriginHost, "The call was cancelled by its caller.")
	case codes.DeadlineExceeded:
		return connector.Errorf(connector.TimedOut, origin, "The connector didn't answer in time.").
			With(connector.Retry)
	case codes.Unimplemented:
		return connector.Errorf(connector.Unsupported, origin, "The connector doesn't offer this call.")
	case codes.ResourceExhausted:
		return connector.Errorf(connector.LimitExceeded, origin, "A message is larger than the contract allows.")
	case codes.Unavailable:
		return connector.Errorf(connector.PluginExited, origin, "The connector's process ended, or the connection to it broke.").
			With(connector.Retry)
	default:
		return connector.Errorf(connector.Internal, origin, "The connector failed without telling why.").
			Suggest("Report it to the author of the connector, with the log around this time.")
	}
}

// fit builds the status and trims it to the limit.
func fit(code codes.Code, d *connectorv1.Diagnostic) *status.Status {
	steps := []func(over int){
		func(over int) { d.Detail = cut(d.Detail, len(d.Detail)-over) },
		func(over int) { d.Suggestion = cut(d.Suggestion, len(d.Suggestion)-over) },
		func(int) { d.Fix = nil },
		func(over int) { d.Summary = cut(d.Summary, len(d.Summary)-over) },
		func(int) { d.Pointer = "" },
	}
	st := assemble(code, d)
	for _, step := range steps {
		over := proto.Size(st.Proto()) - handshake.MaxStatusBytes
		if over <= 0 {
			break
		}
		step(over)
		st = assemble(code, d)
	}
	return st
}

func assemble(code codes.Code, d *connectorv1.Diagnostic) *status.Status {
	st := status.New(code, cut(d.GetSummary(), maxMessage))
	details := []protoadapt.MessageV1{d}
	if d.GetRetryAfter() != nil {
		details = append(details, &errdetails.RetryInfo{RetryDelay: d.GetRetryAfter()})
	}
	withDetails, err := st.WithDetails(details...)
	if err != nil {
		// Unreachable: the code isn't OK and all strings are valid UTF-8.
		return st
	}
	return withDetails
}
