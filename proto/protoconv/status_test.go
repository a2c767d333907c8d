package protoconv_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

func TestNoErrorIsNoStatus(t *testing.T) {
	t.Parallel()
	if protoconv.StatusFromError(nil, connector.OriginConnector) != nil || protoconv.ErrorFromStatus(nil) != nil {
		t.Error("nil became an error")
	}
}

func TestStatusCodes(t *testing.T) {
	t.Parallel()
	for code, want := range map[connector.Code]codes.Code{
		connector.SettingInvalid: codes.InvalidArgument, connector.RenewalRequired: codes.FailedPrecondition,
		connector.GrantInvalid: codes.FailedPrecondition, connector.ServiceUnavailable: codes.Unavailable,
		connector.RateLimited: codes.ResourceExhausted, connector.LimitExceeded: codes.ResourceExhausted,
		connector.Unsupported: codes.Unimplemented, connector.PermissionDenied: codes.PermissionDenied,
		connector.TimedOut: codes.DeadlineExceeded, connector.Canceled: codes.Canceled, connector.Internal: codes.Internal,
	} {
		if got := protoconv.StatusFromError(connector.Errorf(code, connector.OriginService, "x"), connector.OriginConnector).Code(); got != want {
			t.Errorf("%s became %s", code, got)
		}
	}
	// No code may look like success.
	for number, name := range connectorv1.Code_name {
		if number != 0 && protoconv.GRPCCode(connector.Code(strings.TrimPrefix(name, "CODE_"))) == codes.OK {
			t.Errorf("%s is OK", name)
		}
	}
}

func TestErrorsCrossTheWire(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := anyDiagnostic(t)
		d.Severity = connector.SeverityError
		if d.Summary == "" {
			d.Summary = "something"
		}
		st := protoconv.StatusFromError(fmt.Errorf("wrapped: %w", d), connector.OriginConnector)
		err := protoconv.ErrorFromStatus(status.FromProto(overWire(t, st.Proto())).Err())
		got, ok := errors.AsType[*connector.Diagnostic](err)
		if !ok || !cmp.Equal(got, d, noCause) {
			t.Fatalf("%+v became %+v", d, got)
		}
		if status.Code(err) != st.Code() {
			t.Fatalf("the gRPC code is lost: %v", status.Code(err))
		}
	})
}

func TestRetryInfo(t *testing.T) {
	t.Parallel()
	find := func(st *status.Status) *errdetails.RetryInfo {
		for _, detail := range st.Details() {
			if info, ok := detail.(*errdetails.RetryInfo); ok {
				return info
			}
		}
		return nil
	}
	limited := connector.Errorf(connector.RateLimited, connector.OriginService, "slow down")
	if find(protoconv.StatusFromError(limited, connector.OriginConnector)) != nil {
		t.Error("a wait without one")
	}
	st := protoconv.StatusFromError(limited.After(7*time.Second), connector.OriginConnector)
	if info := find(st); info.GetRetryDelay().AsDuration() != 7*time.Second {
		t.Errorf("wait %v", info)
	}
	// A peer that gives the wait there alone.
	only, err := status.New(codes.Unavailable, "").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if d := connector.Diagnose(protoconv.ErrorFromStatus(only.Err()), ""); d.RetryAfter != time.Minute {
		t.Errorf("wait %v", d.RetryAfter)
	}
}

// An error of a library may quote a whole request, secrets included.
func TestPlainErrorsLoseTheirText(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	st := protoconv.StatusFromError(fmt.Errorf("post: client_secret=%s", secret), connector.OriginConnector)
	if strings.Contains(st.String(), secret) || strings.Contains(fmt.Sprint(st.Details()...), secret) || st.Code() != codes.Internal {
		t.Errorf("status: %v", st)
	}
	caused := connector.Errorf(connector.TLSFailed, connector.OriginNetwork, "no trust").Because(errors.New(secret))
	if st := protoconv.StatusFromError(caused, connector.OriginConnector); strings.Contains(fmt.Sprint(st.Proto()), secret) {
		t.Errorf("status: %v", st)
	}
	raw := status.Error(codes.Internal, "panic: "+secret)
	if err := protoconv.ErrorFromStatus(raw); strings.Contains(err.Error(), secret) {
		t.Errorf("error: %v", err)
	}
}

func TestStatusWithoutDiagnostic(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		code   connector.Code
		origin connector.Origin
	}{
		{status.Error(codes.Unimplemented, "x"), connector.Unsupported, connector.OriginConnector},
		{status.Error(codes.Canceled, "x"), connector.Canceled, connector.OriginHost},
		{context.Canceled, connector.Canceled, connector.OriginHost},
		{status.Error(codes.DeadlineExceeded, "x"), connector.TimedOut, connector.OriginConnector},
		{fmt.Errorf("call: %w", context.DeadlineExceeded), connector.TimedOut, connector.OriginConnector},
		{status.Error(codes.ResourceExhausted, "x"), connector.LimitExceeded, connector.OriginConnector},
		{status.Error(codes.Unavailable, "x"), connector.PluginExited, connector.OriginConnector},
		{status.Error(codes.Unknown, "x"), connector.Internal, connector.OriginConnector},
		{errors.New("x"), connector.Internal, connector.OriginConnector},
	} {
		got, ok := errors.AsType[*connector.Diagnostic](protoconv.ErrorFromStatus(c.err))
		if !ok || got.Code != c.code || got.Origin != c.origin || got.Severity != connector.SeverityError {
			t.Errorf("%v became %+v", c.err, got)
		}
	}
	for err, code := range map[error]connector.Code{context.Canceled: connector.Canceled, context.DeadlineExceeded: connector.TimedOut} {
		st := protoconv.StatusFromError(fmt.Errorf("post: %w", err), connector.OriginConnector)
		if got := connector.Diagnose(protoconv.ErrorFromStatus(st.Err()), ""); got.Code != code {
			t.Errorf("%v became %s", err, got.Code)
		}
	}
}

// Other implementations of gRPC refuse large statuses, and the largest end
// the connection; what a caller decides by must survive the trimming.
func TestStatusIsCapped(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"x", "ä", "€", "\U0001F600", "\x00\xff"})
		long := func(name string) string {
			return strings.Repeat(text.Draw(t, name), rapid.IntRange(0, 5000).Draw(t, name+" length"))
		}
		d := connector.Errorf(connector.GrantInvalid, connector.OriginService, "%s", long("summary")).
			WithDetail("%s", long("detail")).Suggest("%s", long("suggestion")).At("/" + long("pointer")).
			With(connector.SignInAgain).After(time.Minute)
		d.Fix = &connector.Fix{Pointer: "/a", Value: []byte(`"` + strings.Repeat("x", rapid.IntRange(0, 1100).Draw(t, "fix")) + `"`)}
		st := protoconv.StatusFromError(d, connector.OriginConnector)
		if size := proto.Size(st.Proto()); size > handshake.MaxStatusBytes || len(st.Message()) > 200 {
			t.Fatalf("status of %d bytes, message of %d", size, len(st.Message()))
		}
		got := connector.Diagnose(protoconv.ErrorFromStatus(status.FromProto(overWire(t, st.Proto())).Err()), "")
		if got.Code != d.Code || got.Disposition != d.Disposition || got.RetryAfter != d.RetryAfter || got.Origin != d.Origin {
			t.Fatalf("became %+v", got)
		}
		if !utf8.ValidString(got.Summary + got.Detail + got.Suggestion) {
			t.Fatal("cut within a character")
		}
	})
}

// Texts give way in the order of their use: a person needs the summary most.
func TestLargestStatus(t *testing.T) {
	t.Parallel()
	d := connector.Errorf(connector.RateLimited, connector.OriginService, "%s", strings.Repeat("s", 1024)).
		WithDetail("%s", strings.Repeat("d", 1024)).Suggest("%s", strings.Repeat("g", 1024)).
		At("/" + strings.Repeat("p", 511)).With(connector.Retry).After(time.Minute)
	d.Fix = &connector.Fix{Pointer: d.Pointer, Value: []byte(`"` + strings.Repeat("f", 1022) + `"`)}
	st := protoconv.StatusFromError(d, connector.OriginConnector)
	if size := proto.Size(st.Proto()); size > handshake.MaxStatusBytes || size < handshake.MaxStatusBytes-64 {
		t.Errorf("status of %d bytes", size)
	}
	got := connector.Diagnose(protoconv.ErrorFromStatus(st.Err()), "")
	if got.Summary != d.Summary || got.Pointer != d.Pointer || got.Fix == nil || len(got.Detail) >= 1024 || len(got.Suggestion) == 0 {
		t.Errorf("became %+v", got)
	}
}

func TestHostileDetails(t *testing.T) {
	t.Parallel()
	bad := &anypb.Any{TypeUrl: "type.googleapis.com/integration.connector.v1.Diagnostic", Value: []byte{0x1a, 2, 0xff, 0xfe}} // pointer in bad UTF-8
	unknown := &anypb.Any{TypeUrl: "type.googleapis.com/no.such.Type", Value: []byte("x")}
	good, err := anypb.New(&connectorv1.Diagnostic{
		Code: connectorv1.Code_CODE_RATE_LIMITED, Severity: connectorv1.Severity_SEVERITY_INFO, Summary: strings.Repeat("\x1b[2J", 1<<20),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		details []*anypb.Any
		code    connector.Code
	}{
		"unreadable": {[]*anypb.Any{bad}, connector.Internal},
		"unknown":    {[]*anypb.Any{unknown, good}, connector.RateLimited},
		"huge":       {[]*anypb.Any{good}, connector.RateLimited},
	} {
		d := connector.Diagnose(protoconv.ErrorFromStatus(status.ErrorProto(&spb.Status{Code: int32(codes.Internal), Message: "raw", Details: c.details})), "")
		if d.Code != c.code || d.Severity != connector.SeverityError || d.Summary == "" || len(d.Error()) > 4096 || strings.ContainsAny(d.Error(), "\x1b\n") {
			t.Errorf("%s: %.200q", name, d.Error())
		}
	}
}

// Whatever a peer puts into a status, what comes out can be shown.
func FuzzErrorFromStatus(f *testing.F) {
	for _, code := range []connector.Code{connector.Internal, connector.RateLimited} {
		st := protoconv.StatusFromError(connector.Errorf(code, connector.OriginService, "x\n").At("/a").After(time.Second), connector.OriginHost)
		seed, err := proto.Marshal(st.Proto())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var p spb.Status
		if proto.Unmarshal(data, &p) != nil || p.GetCode() == 0 {
			return
		}
		d := connector.Diagnose(protoconv.ErrorFromStatus(status.FromProto(&p).Err()), "")
		text := d.Error()
		if d.Code == "" || d.Summary == "" || d.RetryAfter < 0 || !utf8.ValidString(text) || len(text) > 4096 || strings.ContainsAny(text, "\x00\x1b\r\n\u202e") {
			t.Errorf("%q", text)
		}
	})
}
