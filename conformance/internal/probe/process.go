package probe

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/boxconnection/connector/conformance/internal/rawclient"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// Main runs a probe until its host ends it.
func Main() error {
	if os.Getenv(handshake.CookieKey) != handshake.CookieValue {
		return errors.New("this is a plugin that hosts are judged with: an integration engine starts it")
	}
	folder, err := folder()
	if err != nil {
		return err
	}
	sockets := os.Getenv(handshake.SocketDir)
	e := Entry{Event: Started, Environment: environment(), SocketPath: len(sockets)}
	if info, err := os.Stat(sockets); err == nil {
		e.SocketMode = uint32(info.Mode().Perm())
	}
	if err := add(folder, e); err != nil {
		return err
	}
	script, err := readScript(folder)
	if err != nil {
		return err
	}
	if sockets == "" {
		sockets = os.TempDir()
	}
	return serve(folder, filepath.Join(sockets, "plugin"+strconv.Itoa(os.Getpid())), script.Start)
}

func serve(folder, socket string, start Start) error {
	id, err := rawclient.NewIdentity()
	if err != nil {
		return err
	}
	shown := id
	if start.OtherCertificate {
		if shown, err = rawclient.NewIdentity(); err != nil {
			return err
		}
	}
	options := []grpc.ServerOption{grpc.MaxRecvMsgSize(handshake.MaxMessageBytes)}
	certificate := ""
	if client := os.Getenv("PLUGIN_CLIENT_CERT"); client != "" {
		config, err := id.ServerConfig(client)
		if err != nil {
			return err
		}
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
		certificate = base64.RawStdEncoding.EncodeToString(shown.DER())
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer(options...)
	connectorv1.RegisterConnectorServiceServer(server, &service{folder: folder})
	healthy := health.NewServer()
	healthy.SetServingStatus("plugin", healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(server, healthy)
	server.RegisterService(controller(server.Stop), nil)
	go watchHost(server.Stop)

	time.Sleep(time.Duration(start.DelayMS) * time.Millisecond) // what the script is about
	line := start.Line
	if line == "" {
		version := handshake.Version
		if start.Version != 0 {
			version = start.Version
		}
		line = fmt.Sprintf("1|%d|unix|%s|grpc|%s", version, socket, certificate)
	}
	if _, err := fmt.Println(line); err != nil {
		return err
	}
	return server.Serve(listener)
}

// controller is go-plugin's service that ends a plugin.
func controller(stop func()) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "plugin.GRPCController", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Shutdown",
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				if err := decode(&emptypb.Empty{}); err != nil {
					return nil, err
				}
				go stop()
				return &emptypb.Empty{}, nil
			},
		}},
	}
}

// watchHost ends the probe with its host.
func watchHost(stop func()) {
	fd, err := strconv.Atoi(os.Getenv(handshake.DeathFD))
	if err != nil || fd < 3 {
		return
	}
	_, _ = io.Copy(io.Discard, os.NewFile(uintptr(fd), "death pipe"))
	stop()
}
