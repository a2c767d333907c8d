//go:build unix

package launch_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/proto/handshake"
)

// The benchmarks compare this package with a stock go-plugin host (AutoMTLS),
// alternating in one run, and report the median of the rounds' ratios
// (below 1: this package is faster) with its 95 % interval. Run them with
// -benchtime 1x. The two variables name other binaries: the plugin that this
// package runs and the one that the stock host runs, by default the same fake.
const (
	pluginVariable = "LAUNCH_BENCH_PLUGIN"
	stockVariable  = "LAUNCH_BENCH_STOCK"
	rounds         = 21
)

// BenchmarkRestart measures from exec to the first answered call, of a plugin
// that was loaded before.
func BenchmarkRestart(b *testing.B) {
	ours, stock := benchBinaries(b)
	l := launcher(b, launch.Options{CrashLimit: 1 << 20, Backoff: time.Nanosecond})
	p, err := l.Load(b.Context(), ours, launch.AnyDigest())
	if err != nil {
		b.Fatal(err)
	}
	compare(b,
		func() (time.Duration, func()) {
			begin := time.Now()
			firstCall(b, p)
			took := time.Since(begin)
			return took, func() {
				inc, err := p.Incarnation(b.Context())
				if err == nil {
					err = syscall.Kill(inc.PID(), syscall.SIGKILL)
				}
				if err != nil {
					b.Fatal(err)
				}
				<-inc.Done()
			}
		},
		func() (time.Duration, func()) { return stockStart(b, stock, nil) })
}

// BenchmarkFirstLoad measures from the path, the digest's check included, to
// the first answered call.
func BenchmarkFirstLoad(b *testing.B) {
	ours, stock := benchBinaries(b)
	l := launcher(b, launch.Options{})
	trust := launch.RequireDigest(digestOf(b, ours))
	sum, err := hex.DecodeString(strings.TrimPrefix(digestOf(b, stock).String(), "sha256:"))
	if err != nil {
		b.Fatal(err)
	}
	compare(b,
		func() (time.Duration, func()) {
			begin := time.Now()
			p, err := l.Load(b.Context(), ours, trust)
			if err != nil {
				b.Fatal(err)
			}
			firstCall(b, p)
			return time.Since(begin), func() {
				if err := p.Close(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		},
		func() (time.Duration, func()) { return stockStart(b, stock, sum) })
}

// BenchmarkCall measures one call on a warm plugin.
func BenchmarkCall(b *testing.B) {
	ours, _ := benchBinaries(b)
	p, err := launcher(b, launch.Options{}).Load(b.Context(), ours, launch.AnyDigest())
	if err != nil {
		b.Fatal(err)
	}
	firstCall(b, p)
	for b.Loop() {
		firstCall(b, p)
	}
}

func benchBinaries(b *testing.B) (ours, stock string) {
	b.Helper()
	ours, stock = os.Getenv(pluginVariable), os.Getenv(stockVariable)
	if ours == "" {
		ours = fake(b, "good")
	}
	if stock == "" {
		stock = fake(b, "good")
	}
	return ours, stock
}

// firstCall makes a call that every plugin answers.
func firstCall(b *testing.B, cc grpc.ClientConnInterface) {
	b.Helper()
	request := &grpc_health_v1.HealthCheckRequest{Service: goplugin.GRPCServiceName}
	if _, err := grpc_health_v1.NewHealthClient(cc).Check(context.Background(), request); err != nil {
		b.Fatal(err)
	}
}

// stockStart does with go-plugin's own means what this package does.
func stockStart(b *testing.B, path string, sum []byte) (time.Duration, func()) {
	b.Helper()
	config := &goplugin.ClientConfig{
		HandshakeConfig:  goplugin.HandshakeConfig{MagicCookieKey: handshake.CookieKey, MagicCookieValue: handshake.CookieValue},
		VersionedPlugins: map[int]goplugin.PluginSet{handshake.Version: {handshake.PluginName: fakePlugin{}}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		Cmd:              exec.Command(path),
		Logger:           hclog.NewNullLogger(),
	}
	if sum != nil {
		config.SecureConfig = &goplugin.SecureConfig{Checksum: sum, Hash: sha256.New()}
	}
	begin := time.Now()
	client := goplugin.NewClient(config)
	protocol, err := client.Client()
	if err != nil {
		b.Fatal(err)
	}
	firstCall(b, protocol.(*goplugin.GRPCClient).Conn)
	return time.Since(begin), client.Kill
}

// compare runs both sides in turns, each first in every other round.
func compare(b *testing.B, ours, stock func() (took time.Duration, end func())) {
	b.Helper()
	run := func(side func() (time.Duration, func())) time.Duration {
		took, end := side()
		end()
		return took
	}
	run(ours)
	run(stock)
	var ratios []float64
	var a, c []time.Duration
	for n := range rounds {
		var x, y time.Duration
		if n%2 == 0 {
			x, y = run(ours), run(stock)
		} else {
			y, x = run(stock), run(ours)
		}
		a, c = append(a, x), append(c, y)
		ratios = append(ratios, float64(x)/float64(y))
	}
	slices.Sort(ratios)
	slices.Sort(a)
	slices.Sort(c)
	low, high := medianInterval(rounds)
	b.ReportMetric(ratios[rounds/2], "ratio")
	b.ReportMetric(ratios[low], "ratio-low")
	b.ReportMetric(ratios[high], "ratio-high")
	b.ReportMetric(float64(a[rounds/2])/1e6, "ms-ours")
	b.ReportMetric(float64(c[rounds/2])/1e6, "ms-stock")
}

// medianInterval returns the ranks, from 0, between which the median of n
// values lies with a probability of at least 95 %.
func medianInterval(n int) (low, high int) {
	total := new(big.Int).Exp(big.NewInt(2), big.NewInt(int64(n)), nil)
	below := new(big.Int)
	for k := range n / 2 {
		below.Add(below, new(big.Int).Binomial(int64(n), int64(k)))
		tail, _ := new(big.Rat).SetFrac(below, total).Float64()
		if tail > 0.025 {
			return max(k-1, 0), n - 1 - max(k-1, 0)
		}
	}
	return n/2 - 1, n - n/2
}
