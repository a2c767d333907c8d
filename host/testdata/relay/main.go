// Relay brings what HTTP answers as content of a document and does nothing
// else: the baseline of the benchmark of downloads.
package main

import (
	"context"
	"encoding/json"
	"hash/crc32"
	"io"
	"net/http"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/boxconnection/connector/proto/handshake"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
)

const chunkSize = 256 << 10

type relay struct {
	operationv1.UnimplementedOperationServiceServer
	goplugin.NetRPCUnsupportedPlugin
}

func (r *relay) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	operationv1.RegisterOperationServiceServer(s, r)
	return nil
}

func (*relay) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

// Run gets the URL of the input.
func (*relay) Run(stream operationv1.OperationService_RunServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	var in struct{ URL, Authorization string }
	if err := json.Unmarshal(first.GetStart().GetInput(), &in); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(stream.Context(), http.MethodGet, in.URL, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", in.Authorization)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	sum, buffer := crc32.New(handshake.Castagnoli()), make([]byte, chunkSize)
	for {
		n, err := io.ReadFull(resp.Body, buffer)
		if n > 0 {
			_, _ = sum.Write(buffer[:n])
			if err := stream.Send(&operationv1.RunResponse{Part: &operationv1.RunResponse_Chunk{Chunk: buffer[:n]}}); err != nil {
				return err
			}
		}
		if err != nil {
			return stream.Send(&operationv1.RunResponse{Part: &operationv1.RunResponse_ContentEnd{ContentEnd: &operationv1.ContentEnd{Crc32C: sum.Sum32()}}})
		}
	}
}

func main() {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  goplugin.HandshakeConfig{MagicCookieKey: handshake.CookieKey, MagicCookieValue: handshake.CookieValue},
		VersionedPlugins: map[int]goplugin.PluginSet{handshake.Version: {handshake.OperationsName: &relay{}}},
		GRPCServer:       goplugin.DefaultGRPCServer,
	})
}
