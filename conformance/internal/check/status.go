package check

import (
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// Failure is a failed call's status, taken apart.
type Failure struct {
	GRPC        codes.Code
	Diagnostics []*connectorv1.Diagnostic
	Retry       *durationpb.Duration // of RetryInfo
	// Size is that of the serialised status.
	Size    int
	Message string
}

// Failed takes an error apart; nil for no error.
func Failed(err error) *Failure {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	f := &Failure{GRPC: s.Code(), Message: s.Message(), Size: size(s)}
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *connectorv1.Diagnostic:
			f.Diagnostics = append(f.Diagnostics, d)
		case *errdetails.RetryInfo:
			f.Retry = d.GetRetryDelay()
		}
	}
	return f
}

// Diagnostic is the first one, or an empty one.
func (f *Failure) Diagnostic() *connectorv1.Diagnostic {
	if f == nil || len(f.Diagnostics) == 0 {
		return &connectorv1.Diagnostic{}
	}
	return f.Diagnostics[0]
}

// Code is the code of an error's diagnostic, unspecified if there is none.
func Code(err error) connectorv1.Code { return Failed(err).Diagnostic().GetCode() }

// Brief shows an error by its codes, without its texts, which may be hostile.
func Brief(err error) string {
	if err == nil {
		return "success"
	}
	f := Failed(err)
	if len(f.Diagnostics) == 0 {
		message := f.Message
		if len(message) > 200 {
			message = message[:200]
		}
		return fmt.Sprintf("%s (%q)", f.GRPC, message)
	}
	d := f.Diagnostic()
	text := fmt.Sprintf("%s with %s", f.GRPC, d.GetCode())
	if d.GetDisposition() != 0 {
		text += " and " + d.GetDisposition().String()
	}
	return text
}

// size is that of the serialised status as it travels.
func size(s *status.Status) int { return proto.Size(s.Proto()) }
