package plugin

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/plugin/internal/process"
	"github.com/boxconnection/connector/proto/connector"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// Deadlines of calls whose callers set none. They bound a connector that
// hangs; hosts set tighter ones.
const (
	offlineTimeout = 10 * time.Second // no traffic
	serviceTimeout = time.Minute      // a few requests to the service
	testTimeout    = 5 * time.Minute  // all checks
)

// Server serves a connector's calls on a gRPC server of the caller's:
//
//	g := grpc.NewServer(s.Options()...)
//	s.Register(g)
//
// It is for tests; a connector's binary calls [Main]. It checks each request
// before the connector sees it and each answer before the host does. It is
// safe for concurrent use.
type Server struct {
	connector   Connector
	description *connector.Description
	descriptor  func() (*descriptor.Descriptor, error)
}

// NewServer calls Describe and returns a server for the connector. It fails
// if the description can't be meant; the schema isn't read yet, so that
// starting is quick.
func NewServer(c Connector) (*Server, error) {
	d := c.Describe()
	d.Capabilities = capabilities(c)
	if err := checkDescription(&d); err != nil {
		return nil, err
	}
	return &Server{
		connector: c, description: &d,
		descriptor: sync.OnceValues(func() (*descriptor.Descriptor, error) {
			return descriptor.Parse(d.Schema, d.Layout)
		}),
	}, nil
}

// Register adds the connector's service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	connectorv1.RegisterConnectorServiceServer(r, &service{Server: s})
}

// Options returns the limits and interceptors that the server needs.
func (s *Server) Options() []grpc.ServerOption {
	g := s.guard()
	g.Log = slog.Default()
	return g.Options()
}

func (s *Server) guard() process.Guard {
	return process.Guard{
		Prefix:  "/" + connectorv1.ConnectorService_ServiceDesc.ServiceName + "/",
		Timeout: timeout,
	}
}

func timeout(method string) time.Duration {
	switch method {
	case connectorv1.ConnectorService_Describe_FullMethodName,
		connectorv1.ConnectorService_ValidateSettings_FullMethodName,
		connectorv1.ConnectorService_BeginAuthorization_FullMethodName:
		return offlineTimeout
	case connectorv1.ConnectorService_TestConnection_FullMethodName:
		return testTimeout
	}
	return serviceTimeout
}

// capabilities derives what a connector declares from what it implements.
func capabilities(c Connector) []connector.Capability {
	var have []connector.Capability
	if _, ok := c.(Authorizer); ok {
		have = append(have, connector.CapabilityAuthorize)
	}
	if _, ok := c.(Identifier); ok {
		have = append(have, connector.CapabilityIdentify)
	}
	if _, ok := c.(Narrower); ok {
		have = append(have, connector.CapabilityNarrow)
	}
	if _, ok := c.(Revoker); ok {
		have = append(have, connector.CapabilityRevoke)
	}
	return have
}

// unsupported answers a call that the connector doesn't declare.
func (s *Server) unsupported(c connector.Capability) error {
	return connector.Errorf(connector.Unsupported, connector.OriginConnector,
		"%s doesn't offer %q.", s.description.Title, c).
		Suggest("Use the capabilities that Describe lists.")
}

// fault reports a mistake of the connector's own code.
func fault(format string, args ...any) *connector.Diagnostic {
	return connector.Errorf(connector.Internal, connector.OriginConnector,
		"The connector broke its contract: %s.", fmt.Sprintf(format, args...)).
		Suggest("Report it to the author of the connector.")
}

// misuse reports a request that a host must not send.
func misuse(format string, args ...any) *connector.Diagnostic {
	return connector.Errorf(connector.UsageWrong, connector.OriginHost,
		"The host's request can't be meant: %s.", fmt.Sprintf(format, args...)).
		Suggest("Report it to the author of the engine.")
}
