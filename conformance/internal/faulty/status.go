//go:build unix

package main

import (
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

type (
	code        = connectorv1.Code
	disposition = connectorv1.Disposition
	origin      = connectorv1.Origin
)

const (
	retry       = connectorv1.Disposition_DISPOSITION_RETRY
	fixSettings = connectorv1.Disposition_DISPOSITION_FIX_SETTINGS
	signInAgain = connectorv1.Disposition_DISPOSITION_SIGN_IN_AGAIN

	fromService   = connectorv1.Origin_ORIGIN_SERVICE
	fromNetwork   = connectorv1.Origin_ORIGIN_NETWORK
	fromHost      = connectorv1.Origin_ORIGIN_HOST
	fromConnector = connectorv1.Origin_ORIGIN_CONNECTOR
)

// trouble is a diagnostic that is an error.
type trouble struct{ *connectorv1.Diagnostic }

func (t *trouble) Error() string { return t.GetSummary() }

func fail(c code, o origin, d disposition, summary string) *trouble {
	return &trouble{&connectorv1.Diagnostic{
		Severity: connectorv1.Severity_SEVERITY_ERROR, Code: c, Origin: o, Disposition: d, Summary: summary, Suggestion: "Read the contract.",
	}}
}

func (t *trouble) after(d time.Duration) *trouble {
	if d > 0 {
		t.RetryAfter = durationpb.New(d)
	}
	return t
}

func internal(what string) *connectorv1.Diagnostic {
	return fail(connectorv1.Code_CODE_INTERNAL, fromConnector, 0, "It couldn't work with "+what+".").Diagnostic
}

func misuse(summary string) *trouble {
	return fail(connectorv1.Code_CODE_USAGE_WRONG, fromHost, 0, summary)
}

// status makes the gRPC error, wrong as the fault wants it.
func (c *connector) status(t *trouble) error {
	d := t.Diagnostic
	grpcCode := grpcCode(d.GetCode())
	unreadable := d.GetCode() == connectorv1.Code_CODE_CREDENTIAL_UNREADABLE
	network := d.GetOrigin() == fromNetwork
	details := []protoadapt.MessageV1{protoadapt.MessageV1Of(d)}
	switch {
	case c.is("errors.one-diagnostic") && unreadable:
		details = append(details, protoadapt.MessageV1Of(d))
	case c.is("errors.severity") && unreadable:
		d.Severity = connectorv1.Severity_SEVERITY_WARNING
	case c.is("errors.codes") && unreadable:
		grpcCode = codes.Internal
	case c.is("errors.lines") && network:
		d.Detail = "one line\nand another"
	case c.is("errors.libraries") && network:
		d.Detail = "dial tcp 127.0.0.1:1: connect: connection refused"
	case c.is("errors.size") && network:
		d.Detail = strings.Repeat("long ", 1200)
	case c.is("errors.origin") && network:
		d.Origin = 0
	case c.is("errors.pointer") && network:
		d.Pointer = "service_url"
	case c.is("errors.secrets") && network:
		d.Detail = c.lastSecret()
	}
	if d.GetRetryAfter() != nil && !c.is("errors.wait") {
		details = append(details, protoadapt.MessageV1Of(&errdetails.RetryInfo{RetryDelay: d.GetRetryAfter()}))
	}
	s, err := status.New(grpcCode, d.GetSummary()).WithDetails(details...)
	if err != nil {
		return status.Error(codes.Internal, "no details")
	}
	return s.Err()
}

func grpcCode(c code) codes.Code {
	switch c { //nolint:exhaustive // the others have the code below
	case connectorv1.Code_CODE_SETTING_REQUIRED, connectorv1.Code_CODE_SETTING_INVALID, connectorv1.Code_CODE_SETTING_UNKNOWN,
		connectorv1.Code_CODE_SETTINGS_UNREADABLE, connectorv1.Code_CODE_USAGE_WRONG:
		return codes.InvalidArgument
	case connectorv1.Code_CODE_AUTHORIZATION_DENIED:
		return codes.PermissionDenied
	case connectorv1.Code_CODE_ACCESS_REFUSED:
		return codes.Unauthenticated
	case connectorv1.Code_CODE_CONNECTION_FAILED, connectorv1.Code_CODE_SERVICE_UNAVAILABLE, connectorv1.Code_CODE_UNEXPECTED_ANSWER:
		return codes.Unavailable
	case connectorv1.Code_CODE_RATE_LIMITED, connectorv1.Code_CODE_LIMIT_EXCEEDED:
		return codes.ResourceExhausted
	case connectorv1.Code_CODE_SERVICE_CONFLICT:
		return codes.Aborted
	case connectorv1.Code_CODE_TIMED_OUT, connectorv1.Code_CODE_DEADLINE_PASSED:
		return codes.DeadlineExceeded
	case connectorv1.Code_CODE_CANCELED:
		return codes.Canceled
	case connectorv1.Code_CODE_UNSUPPORTED:
		return codes.Unimplemented
	case connectorv1.Code_CODE_INTERNAL:
		return codes.Internal
	}
	return codes.FailedPrecondition
}
