package operation

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/url"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

// service is the wire's side of a [Server].
type service struct {
	operationv1.UnimplementedOperationServiceServer
	server *Server
}

// Describe answers from the description that was made at the start.
func (s *service) Describe(context.Context, *operationv1.DescribeRequest) (*operationv1.DescribeResponse, error) {
	return protoconv.OperationSetToProto(s.server.description), nil
}

// Access serves the stream on which access is asked for.
func (s *service) Access(stream operationv1.OperationService_AccessServer) error {
	return s.server.asker.serve(stream.Context(), stream)
}

// Run is one execution.
func (s *service) Run(stream operationv1.OperationService_RunServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	if start == nil || start.GetExecution() == "" {
		return misuse("the execution doesn't begin with a start")
	}
	o := s.server.operations[start.GetOperation()]
	if o == nil {
		return connector.Errorf(connector.Unsupported, connector.OriginConnector, "%s has no such operation.", s.server.description.Title).
			Suggest("Use an operation that Describe lists.")
	}
	document, problems := o.read(start)
	if err := problems.Err(); err != nil {
		if serr := stream.Send(&operationv1.RunResponse{Part: &operationv1.RunResponse_Rejection{
			Rejection: &operationv1.Rejection{Problems: protoconv.DiagnosticsToProto(problems)},
		}}); serr != nil {
			return serr
		}
		return err
	}
	base, err := s.server.bases.get(protoconv.NetworkFromProto(start.GetNetwork()))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	access, closeAccess := s.server.asker.open(ctx, start.GetExecution())
	defer closeAccess()
	session := newSession(ctx, start, stream, access, base)
	return session.finish(start, o.Run.run(ctx, session, document))
}

// read checks all that an execution is given but its content's bytes, and
// returns the input with its defaults.
func (o *served) read(start *operationv1.Start) ([]byte, connector.Diagnostics) {
	document, problems := o.input.Read(start.GetInput())
	switch {
	case start.GetContent() != nil && !o.TakesContent:
		problems = append(problems, connector.Errorf(connector.InputInvalid, connector.OriginSettings, "%s takes no content.", o.Title).
			Suggest("Give the input document alone."))
	case start.GetContent() == nil && o.TakesContent:
		problems = append(problems, connector.Errorf(connector.InputInvalid, connector.OriginSettings, "%s needs content.", o.Title).
			Suggest("Give the content beside the input document."))
	}
	if start.Checkpoint != nil && !o.Resumable {
		problems = append(problems, connector.Errorf(connector.CheckpointUnreadable, connector.OriginHost, "%s can't go on from a checkpoint.", o.Title).
			Suggest("Run it from the beginning."))
	}
	if len(problems) > 0 {
		return nil, problems
	}
	data, err := json.Marshal(document)
	if err != nil {
		return nil, connector.Diagnostics{connector.Diagnose(err, connector.OriginConnector)}
	}
	return data, nil
}

// finish tells the outcome of an operation.
func (s *Session) finish(start *operationv1.Start, err error) error {
	if err == nil {
		err = s.unfinished()
	}
	if err != nil {
		d := diagnose(s.ctx, err)
		if !start.GetReturnApplicationErrors() || !isApplicationError(d) || s.unfinished() != nil {
			return d
		}
		if err := s.send(&operationv1.RunResponse{Part: &operationv1.RunResponse_Document{
			Document: &operationv1.Document{Error: protoconv.DiagnosticToProto(d)},
		}}); err != nil {
			return err
		}
	}
	return s.send(&operationv1.RunResponse{Part: &operationv1.RunResponse_Checkpoint{
		Checkpoint: &operationv1.Checkpoint{Done: true},
	}})
}

// isApplicationError reports whether the service refused this very input, for
// good.
func isApplicationError(d *connector.Diagnostic) bool {
	return d.Origin == connector.OriginService && d.Disposition == ""
}

// diagnose finds the diagnostic of an operation's error, under the execution's
// context.
func diagnose(ctx context.Context, err error) *connector.Diagnostic {
	if d, ok := errors.AsType[*connector.Diagnostic](err); ok {
		return d
	}
	if ctx.Err() != nil {
		return connector.Diagnose(ctx.Err(), connector.OriginConnector)
	}
	if request, ok := errors.AsType[*url.Error](err); ok {
		host := "the service"
		if u, perr := url.Parse(request.URL); perr == nil {
			host = u.Host
		}
		return connectorhttp.NetworkFailure(ctx, err, host)
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, io.ErrUnexpectedEOF) {
		return connectorhttp.NetworkFailure(ctx, err, "the service")
	}
	return connector.Diagnose(err, connector.OriginConnector)
}

// misuse reports a request that a host must not send.
func misuse(what string) *connector.Diagnostic {
	return connector.Errorf(connector.UsageWrong, connector.OriginHost, "The host's request can't be meant: %s.", what).
		Suggest("Report it to the author of the engine.")
}

// fault reports a mistake of the operation's own code.
func fault(what string) *connector.Diagnostic {
	return connector.Errorf(connector.Internal, connector.OriginConnector, "The operation broke its contract: %s.", what).
		Suggest("Report it to the author of the operation.")
}
