package plugin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// child is the test binary, running as a plugin.
type child struct {
	*goplugin.Client
	cmd    *exec.Cmd
	stderr *buffer
	conn   *grpc.ClientConn
	calls  connectorv1.ConnectorServiceClient
}

type grpcOnly struct {
	goplugin.NetRPCUnsupportedPlugin
}

func (grpcOnly) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error { return nil }
func (grpcOnly) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// command is the test binary as a plugin's command, with a folder of its own
// for its socket.
func command(env ...string) (cmd *exec.Cmd, dir string, err error) {
	if dir, err = os.MkdirTemp("", "sdk"); err != nil {
		return nil, "", err
	}
	cmd = exec.Command(os.Args[0])
	cmd.Env = append([]string{handshake.SocketDir + "=" + dir, "PATH=" + os.Getenv("PATH")}, env...)
	return cmd, dir, nil
}

// connect starts a command as a stock go-plugin client does, with AutoMTLS.
func connect(cmd *exec.Cmd) (*child, error) {
	c := &child{cmd: cmd, stderr: &buffer{}}
	c.Client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			MagicCookieKey: handshake.CookieKey, MagicCookieValue: handshake.CookieValue,
		},
		VersionedPlugins: map[int]goplugin.PluginSet{handshake.Version: {handshake.PluginName: grpcOnly{}}},
		Cmd:              cmd, SkipHostEnv: true, AutoMTLS: true, StartTimeout: 20 * time.Second,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Off}),
		Stderr:           c.stderr,
	})
	rpc, err := c.Client.Client()
	if err != nil {
		c.Kill()
		return nil, fmt.Errorf("start: %w; stderr: %.2000s", err, c.stderr)
	}
	c.conn = rpc.(*goplugin.GRPCClient).Conn
	c.calls = connectorv1.NewConnectorServiceClient(c.conn)
	return c, nil
}

func start(t *testing.T, env ...string) *child {
	t.Helper()
	cmd, dir, err := command(env...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return begin(t, cmd)
}

func begin(t *testing.T, cmd *exec.Cmd) *child {
	t.Helper()
	c, err := connect(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
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
	eventually(t, func() bool { return strings.Count(c.stderr.String(), "noise without end") >= 4 })
	if !strings.Contains(c.stderr.String(), "noise while the program is initialised") {
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

func TestFailuresThroughAProcess(t *testing.T) {
	t.Parallel()
	c := start(t)
	open := func(mode string) error {
		_, err := c.calls.OpenSession(within(t, 10*time.Second), &connectorv1.OpenSessionRequest{Settings: []byte(`{"mode":"` + mode + `"}`)})
		return err
	}
	for _, mode := range []string{"panic", "error"} {
		if d := diagnose(open(mode)); d.Code != connector.Internal || d.Origin != connector.OriginConnector {
			t.Errorf("%s: %v", mode, d)
		}
	}
	if err := open("plain"); err != nil {
		t.Errorf("after a panic: %v", err)
	}
	if _, err := c.calls.Identify(within(t, 5*time.Second), &connectorv1.IdentifyRequest{}); diagnose(err).Code != connector.Unsupported {
		t.Errorf("undeclared: %v", err)
	}
	big := &connectorv1.ValidateSettingsRequest{Settings: make([]byte, 5<<20)}
	if _, err := c.calls.ValidateSettings(within(t, 10*time.Second), big); diagnose(err).Code != connector.LimitExceeded {
		t.Errorf("5 MiB: %v", err)
	}
	eventually(t, func() bool { return strings.Contains(c.stderr.String(), "a call panicked") })
	if strings.Contains(c.stderr.String(), secret) {
		t.Errorf("the log holds the panic's value: %s", c.stderr)
	}
}

// A person who runs the binary in a shell reads what it is, and a script sees
// that it failed.
func TestRunByHand(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{nil, 1, "", "connectorctl plugin describe " + os.Args[0]},
		{nil, 1, "", "Fake connector (fake 1.2.3) is a connector"},
		{[]string{"--verbose"}, 1, "", "is loaded by an integration engine"},
		{[]string{"--version"}, 0, "fake 1.2.3 (contract 1)\n", ""},
		{[]string{"--version", "--verbose"}, 0, "go1", ""},
		{[]string{"--nonsense"}, 2, "", `unknown argument "--nonsense"`},
	} {
		cmd := exec.CommandContext(within(t, 20*time.Second), os.Args[0], x.args...)
		cmd.Env = []string{"FAKE_PLUGIN=1"}
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		code := 0
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			code = exit.ExitCode()
		}
		if code != x.code || !strings.Contains(stdout.String(), x.stdout) || !strings.Contains(stderr.String(), x.stderr) {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", x.args, code, stdout.String(), stderr.String())
		}
		if (x.stdout == "") != (stdout.Len() == 0) {
			t.Errorf("%v: stdout %q", x.args, stdout.String())
		}
	}
}

// Stock hosts panic at a log line whose own keys aren't strings.
func TestLogLinesAreWhatHostsRead(t *testing.T) {
	t.Parallel()
	cmd, dir, err := command()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cmd.Args = append(cmd.Args, "--verbose")
	c := begin(t, cmd)
	if _, err := c.calls.OpenSession(within(t, 10*time.Second), &connectorv1.OpenSessionRequest{Settings: []byte(`{"mode":"pause"}`)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return strings.Contains(c.stderr.String(), "entered") })
	lines := strings.Split(strings.TrimSpace(c.stderr.String()), "\n")
	for _, line := range lines {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("not JSON: %s", line)
			continue
		}
		for _, key := range []string{"@level", "@message", "@timestamp"} {
			if _, ok := entry[key].(string); !ok {
				t.Errorf("%s isn't a string: %s", key, line)
			}
		}
		if _, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", fmt.Sprint(entry["@timestamp"])); err != nil {
			t.Errorf("time: %v", err)
		}
	}
	if len(lines) < 2 {
		t.Errorf("--verbose shows nothing more: %s", c.stderr)
	}
}

func TestShutdownEndsTheProcess(t *testing.T) {
	t.Parallel()
	c := start(t)
	c.Kill()
	if !c.Exited() || c.cmd.ProcessState == nil || c.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("state: %v", c.cmd.ProcessState)
	}
}
