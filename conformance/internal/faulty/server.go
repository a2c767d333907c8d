//go:build unix

package main

import (
	"context"
	"crypto/tls"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// server is the gRPC server with the services that hosts call.
type server struct {
	grpc   *grpc.Server
	active atomic.Int64
	serial sync.Mutex
	fault  fault
}

func newServer(f fault, config *tls.Config) *server {
	s := &server{fault: f}
	transport := insecure.NewCredentials()
	if config != nil {
		transport = credentials.NewTLS(config)
	}
	receive, send := handshake.MaxMessageBytes, handshake.MaxMessageBytes
	switch {
	case f.is("transport.accepts-4MiB"):
		receive = 3 << 20
	case f.is("transport.refuses-larger"):
		receive = 64 << 20
	case f.is("transport.answers"):
		send = 64 << 20
	}
	s.grpc = grpc.NewServer(grpc.Creds(transport), grpc.MaxRecvMsgSize(receive), grpc.MaxSendMsgSize(send),
		grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream))
	checks := health.NewServer()
	name := "plugin"
	if f.is("process.health") {
		name = "connector"
	}
	checks.SetServingStatus(name, healthv1.HealthCheckResponse_SERVING)
	healthv1.RegisterHealthServer(s.grpc, checks)
	connectorv1.RegisterConnectorServiceServer(s.grpc, newConnector(f))
	s.grpc.RegisterService(&grpc.ServiceDesc{
		ServiceName: "plugin.GRPCController", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Shutdown", Handler: func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
			s.shutdown()
			return &emptypb.Empty{}, nil
		}}},
	}, s)
	return s
}

func (s *server) shutdown() {
	busy := s.active.Load() > 0
	switch {
	case s.fault.is("process.shutdown") && !busy:
	case s.fault.is("process.shutdown-busy") && busy:
		go s.grpc.GracefulStop()
	default:
		time.AfterFunc(50*time.Millisecond, func() { os.Exit(0) })
	}
}

// enter counts calls, and with one fault lets them in one by one.
func (s *server) enter() (leave func()) {
	if s.fault.is("calls.concurrent") {
		s.serial.Lock()
	}
	s.active.Add(1)
	return func() {
		s.active.Add(-1)
		if s.fault.is("calls.concurrent") {
			s.serial.Unlock()
		}
	}
}

func (s *server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if info.FullMethod == healthv1.Health_Check_FullMethodName {
		return handler(ctx, req)
	}
	defer s.enter()()
	return handler(ctx, req)
}

func (s *server) stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	defer s.enter()()
	return handler(srv, stream)
}
