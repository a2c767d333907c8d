package operation

import (
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"google.golang.org/grpc"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/plugin/internal/process"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
)

// Deadlines of calls whose callers set none.
const (
	describeTimeout = 10 * time.Second
	runTimeout      = 24 * time.Hour // hosts set tighter ones
)

// Server serves operations on a gRPC server of the caller's:
//
//	g := grpc.NewServer(s.Options()...)
//	s.Register(g)
//
// It is for tests; a binary calls [Main]. It is safe for concurrent use.
type Server struct {
	description connector.OperationSet
	operations  map[string]*served
	asker       *asker
	bases       bases
}

// served is an operation with its schema compiled.
type served struct {
	*Operation
	input *descriptor.DocumentSchema
}

// NewServer returns a server for the operations. It fails if their
// description can't be meant; the error is for their author.
func NewServer(p Plugin) (*Server, error) {
	s := &Server{operations: map[string]*served{}, asker: newAsker()}
	if p.ContractMin == 0 && p.ContractMax == 0 {
		p.ContractMin, p.ContractMax = handshake.Version, handshake.Version
	}
	s.description = connector.OperationSet{
		ID: p.ID, Title: p.Title, Version: p.Version, Connector: p.Connector,
		ContractMin: p.ContractMin, ContractMax: p.ContractMax,
	}
	if err := checkSet(&s.description, len(p.Operations)); err != nil {
		return nil, err
	}
	for i := range p.Operations {
		if err := s.add(&p.Operations[i]); err != nil {
			return nil, fmt.Errorf("operation %q: %w", p.Operations[i].ID, err)
		}
	}
	return s, nil
}

// add checks an operation and takes it in.
func (s *Server) add(o *Operation) error {
	if err := checkOperation(o); err != nil {
		return err
	}
	if s.operations[o.ID] != nil {
		return fmt.Errorf("is there twice")
	}
	in, out := o.Run.types()
	input, schema, err := schemaOf(o.Input, in)
	if err != nil {
		return fmt.Errorf("input: %w", err)
	}
	output, _, err := schemaOf(o.Output, out)
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	s.operations[o.ID] = &served{o, schema}
	s.description.Operations = append(s.description.Operations, connector.Operation{
		ID: o.ID, Title: o.Title, Description: o.Description, Effect: o.Effect, Input: input, Output: output,
		Scopes: o.Scopes, Narrow: o.Narrow, Resource: o.Resource,
		TakesContent: o.TakesContent, GivesContent: o.GivesContent, Resumable: o.Resumable,
	})
	return nil
}

var name = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

func checkSet(s *connector.OperationSet, operations int) error {
	switch {
	case !name.MatchString(s.ID):
		return fmt.Errorf("the ID %q isn't of the form [a-z][a-z0-9-]*", s.ID)
	case !name.MatchString(s.Connector):
		return fmt.Errorf("the connector %q isn't of the form [a-z][a-z0-9-]*", s.Connector)
	case s.Title == "" || s.Version == "":
		return fmt.Errorf("title and version must be given")
	case s.ContractMin < 1 || s.ContractMax < s.ContractMin:
		return fmt.Errorf("the contract's range %d to %d holds no version", s.ContractMin, s.ContractMax)
	case operations == 0 || operations > handshake.MaxOperations:
		return fmt.Errorf("%d operations; there may be 1 to %d", operations, handshake.MaxOperations)
	}
	return nil
}

func checkOperation(o *Operation) error {
	switch {
	case !name.MatchString(o.ID):
		return fmt.Errorf("the ID isn't of the form [a-z][a-z0-9-]*")
	case o.Title == "":
		return fmt.Errorf("it has no title")
	case o.Effect != Read && o.Effect != Write && o.Effect != Delete:
		return fmt.Errorf("its effect is none of read, write and delete")
	case o.Run == nil:
		return fmt.Errorf("it has no Run")
	}
	return nil
}

// Register adds the operations' service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	operationv1.RegisterOperationServiceServer(r, &service{server: s})
}

// Options returns the limits and interceptors that the server needs.
func (s *Server) Options() []grpc.ServerOption {
	g := s.guard()
	g.Log = slog.Default()
	return g.Options()
}

func (s *Server) guard() process.Guard {
	return process.Guard{
		Prefix:  "/" + operationv1.OperationService_ServiceDesc.ServiceName + "/",
		Timeout: timeout,
		Lasting: operationv1.OperationService_Access_FullMethodName,
	}
}

func timeout(method string) time.Duration {
	switch method {
	case operationv1.OperationService_Describe_FullMethodName:
		return describeTimeout
	case operationv1.OperationService_Access_FullMethodName:
		return 0
	}
	return runTimeout
}
