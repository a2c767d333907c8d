package plugin_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// child is the test binary, running as a plugin.
type child struct {
	*goplugin.Client
	cmd    *exec.Cmd
	stderr *buffer
	calls  connectorv1.ConnectorServiceClient
}

type grpcOnly struct{ goplugin.NetRPCUnsupportedPlugin }

func (grpcOnly) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error { return nil }
func (grpcOnly) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// start runs the test binary as a stock go-plugin client does, with AutoMTLS.
func start(t *testing.T, env ...string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0]), stderr: &buffer{}}
	dir, err := os.MkdirTemp("", "sdk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c.cmd.Env = append([]string{handshake.SocketDir + "=" + dir, "PATH=" + os.Getenv("PATH")}, env...)
	c.Client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			MagicCookieKey: handshake.CookieKey, MagicCookieValue: handshake.CookieValue,
		},
		VersionedPlugins: map[int]goplugin.PluginSet{handshake.Version: {handshake.PluginName: grpcOnly{}}},
		Cmd:              c.cmd, SkipHostEnv: true, AutoMTLS: true, StartTimeout: 20 * time.Second,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Off}),
		Stderr:           c.stderr,
	})
	t.Cleanup(c.Kill)
	conn, err := c.Client.Client()
	if err != nil {
		t.Fatalf("start: %v; stderr: %.2000s", err, c.stderr)
	}
	raw, err := conn.Dispense(handshake.PluginName)
	if err != nil {
		t.Fatal(err)
	}
	c.calls = connectorv1.NewConnectorServiceClient(raw.(*grpc.ClientConn))
	return c
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestDescribeThroughAProcess(t *testing.T) {
	t.Parallel()
	c := start(t)
	d, err := c.calls.Describe(within(t, 5*time.Second), &connectorv1.DescribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if d.GetId() != "fake" || d.GetContractVersion() != handshake.Version || len(d.GetCapabilities()) != 0 {
		t.Errorf("description: %v", d)
	}
}

// A library that prints while the program starts, or a handler that prints,
// must not break the handshake or hang the call.
func TestNoiseOnStandardOutput(t *testing.T) {
	t.Parallel()
	c := start(t, "FAKE_NOISE=1")
	for range 3 {
		_, err := c.calls.OpenSession(within(t, 10*time.Second), &connectorv1.OpenSessionRequest{Settings: []byte(`{"mode":"noise"}`)})
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() bool { return bytes.Count([]byte(c.stderr.String()), []byte("noise without end")) >= 4 })
	if !bytes.Contains([]byte(c.stderr.String()), []byte("noise while the program is initialised")) {
		t.Error("what is printed at initialisation doesn't reach standard error")
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("it didn't happen in time")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
