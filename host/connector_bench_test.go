//go:build unix

package host_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/santhosh-tekuri/jsonschema/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/proto/benchtest"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// The Box connector as it ships, against a minimal go-plugin plugin in a stock
// go-plugin host. Both are built for the run.
const (
	boxConnection = "../plugin/cmd/box-connection"
	stockPlugin   = "./testdata/stockplugin"
)

// Bounds of the shipped binary, in bytes.
const (
	maxBinary    = 16 << 20
	maxResident  = 20 << 20
	maxAnonymous = 8 << 20
)

// build builds a program as it ships.
func build(b *testing.B, pkg string) string {
	b.Helper()
	out := filepath.Join(b.TempDir(), filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-tags", "grpcnotrace", "-trimpath", "-ldflags", "-s -w", "-o", out, pkg)
	if text, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, text)
	}
	return out
}

func launcher(b *testing.B, o launch.Options) *launch.Launcher {
	b.Helper()
	l, err := launch.New(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			b.Error(err)
		}
	})
	return l
}

func load(b *testing.B, l *launch.Launcher, path string, t launch.Trust) *launch.Plugin {
	b.Helper()
	p, err := l.Load(b.Context(), path, t)
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func describe(b *testing.B, conn grpc.ClientConnInterface) {
	b.Helper()
	if _, err := connectorv1.NewConnectorServiceClient(conn).Describe(b.Context(), &connectorv1.DescribeRequest{}); err != nil {
		b.Fatal(err)
	}
}

// empty makes a call that does nothing and that every plugin answers.
func empty(b *testing.B, conn grpc.ClientConnInterface) {
	b.Helper()
	req := &grpc_health_v1.HealthCheckRequest{Service: goplugin.GRPCServiceName}
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(b.Context(), req); err != nil {
		b.Fatal(err)
	}
}

// stockStart starts the minimal plugin with go-plugin's own means, up to its
// first answer.
func stockStart(b *testing.B, path string, sum []byte) time.Duration {
	b.Helper()
	config := &goplugin.ClientConfig{
		HandshakeConfig:  goplugin.HandshakeConfig{MagicCookieKey: handshake.CookieKey, MagicCookieValue: handshake.CookieValue},
		VersionedPlugins: map[int]goplugin.PluginSet{handshake.Version: {handshake.PluginName: stock{}}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		Cmd:              exec.Command(path),
		Logger:           hclog.NewNullLogger(),
	}
	if sum != nil {
		config.SecureConfig = &goplugin.SecureConfig{Checksum: sum, Hash: sha256.New()}
	}
	began := time.Now()
	client := goplugin.NewClient(config)
	defer client.Kill()
	protocol, err := client.Client()
	if err != nil {
		b.Fatal(err)
	}
	empty(b, protocol.(*goplugin.GRPCClient).Conn)
	return time.Since(began)
}

type stock struct {
	goplugin.NetRPCUnsupportedPlugin
}

func (stock) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error { return nil }

func (stock) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

// BenchmarkRestart measures from exec to the first Describe of a connector
// that was loaded before.
func BenchmarkRestart(b *testing.B) {
	p := load(b, launcher(b, launch.Options{CrashLimit: 1 << 20, Backoff: time.Nanosecond}), build(b, boxConnection), launch.AnyDigest())
	minimal := build(b, stockPlugin)
	benchtest.Compare(b, benchtest.Bound{Ratio: 1}, 1,
		func() time.Duration { return stockStart(b, minimal, nil) },
		func() time.Duration {
			began := time.Now()
			describe(b, p)
			took := time.Since(began)
			inc, err := p.Incarnation(b.Context())
			if err == nil {
				err = syscall.Kill(inc.PID(), syscall.SIGKILL)
			}
			if err != nil {
				b.Fatal(err)
			}
			<-inc.Done()
			return took
		})
}

// BenchmarkFirstLoad measures from the path to the first Describe, the check
// of the digest included.
func BenchmarkFirstLoad(b *testing.B) {
	ours, minimal := build(b, boxConnection), build(b, stockPlugin)
	l := launcher(b, launch.Options{})
	trust := launch.RequireDigest(launch.DigestOf(digestOf(b, ours)))
	sum := digestOf(b, minimal)
	benchtest.Compare(b, benchtest.Bound{Ratio: 1.25}, 1,
		func() time.Duration { return stockStart(b, minimal, sum[:]) },
		func() time.Duration {
			began := time.Now()
			p := load(b, l, ours, trust)
			describe(b, p)
			took := time.Since(began)
			if err := p.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
			return took
		})
}

func digestOf(b *testing.B, path string) [sha256.Size]byte {
	b.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	return sha256.Sum256(data)
}

// BenchmarkValidateSettings compares ValidateSettings with the sum of its
// parts: an empty call over the same connection, and the validation of the
// same settings against the bare schema.
func BenchmarkValidateSettings(b *testing.B) {
	p := load(b, launcher(b, launch.Options{}), build(b, boxConnection), launch.AnyDigest())
	client := connectorv1.NewConnectorServiceClient(p)
	about, err := client.Describe(b.Context(), &connectorv1.DescribeRequest{})
	if err != nil {
		b.Fatal(err)
	}
	schema := compile(b, about.GetSchema())
	settings := []byte(`{"connection_type":"oauth2","client_id":"abc","client_secret":"def","api_url":"https://api.box.com/2.0"}`)
	const calls = 300
	benchtest.Compare(b, benchtest.Bound{Ratio: 1.3}, calls,
		func() time.Duration {
			began := time.Now()
			for range calls {
				empty(b, p)
				var v any
				if err := json.Unmarshal(settings, &v); err != nil {
					b.Fatal(err)
				}
				if err := schema.Validate(v); err != nil {
					b.Fatal(err)
				}
			}
			return time.Since(began)
		},
		func() time.Duration {
			began := time.Now()
			for range calls {
				resp, err := client.ValidateSettings(b.Context(), &connectorv1.ValidateSettingsRequest{Settings: settings})
				if err != nil || len(resp.GetDiagnostics()) > 0 {
					b.Fatal(resp, err)
				}
			}
			return time.Since(began)
		})
}

func compile(b *testing.B, schema []byte) *jsonschema.Schema {
	b.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat = true
	if err := c.AddResource("settings.json", bytes.NewReader(schema)); err != nil {
		b.Fatal(err)
	}
	compiled, err := c.Compile("settings.json")
	if err != nil {
		b.Fatal(err)
	}
	return compiled
}

// BenchmarkFootprint measures the connector's binary, and its memory when it
// is idle after its first calls.
func BenchmarkFootprint(b *testing.B) {
	path := build(b, boxConnection)
	p := load(b, launcher(b, launch.Options{}), path, launch.AnyDigest())
	describe(b, p)
	inc, err := p.Incarnation(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	resident, anonymous := memory(b, inc.PID())
	for b.Loop() { // one state, whatever the number of rounds
	}
	b.ReportMetric(0, "ns/op")
	for _, m := range []struct {
		name         string
		value, bound int64
	}{{"binary", info.Size(), maxBinary}, {"resident", resident, maxResident}, {"anonymous", anonymous, maxAnonymous}} {
		const mb = 1 << 20
		b.ReportMetric(float64(m.value)/mb, "MB-"+m.name)
		b.Logf("%s %s: %.1f MB, bound at most %d: %s", b.Name(), m.name, float64(m.value)/mb, m.bound/mb,
			map[bool]string{true: "met", false: "MISSED"}[m.value <= m.bound])
	}
}

// memory reads a process's resident memory and the part of it that is
// anonymous, in bytes; zero where there is no /proc.
func memory(b *testing.B, pid int) (resident, anonymous int64) {
	b.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skip("this system has no /proc to read memory from")
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var kb int64
		name, value, _ := strings.Cut(lines.Text(), ":")
		if _, err := fmt.Sscanf(value, "%d kB", &kb); err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			resident = kb << 10
		case "RssAnon":
			anonymous = kb << 10
		}
	}
	return resident, anonymous
}
