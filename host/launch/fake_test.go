//go:build unix

package launch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/boxconnection/connector/proto/handshake"
)

// The test binary is its own plugin: run under the name "fake-MODE" it behaves
// as that mode says. The name is all that reaches a plugin, since its
// environment comes from a list.
const fakePrefix = "fake-"

func TestMain(m *testing.M) {
	if mode, ok := strings.CutPrefix(filepath.Base(os.Args[0]), fakePrefix); ok {
		runFake(mode)
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == hostArgument {
		runHost(os.Args[2:])
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// runFake is the main function of a plugin. Modes are joined by "+".
func runFake(mode string) {
	versions := []int{handshake.Version}
	cookie := handshake.CookieValue
	for m := range strings.SplitSeq(mode, "+") {
		switch m {
		case "good":
		case "line":
			fmt.Println("starting up! \x1b[31mred\x1b[0m")
		case "unfinished":
			fmt.Print("starting up without an end")
			time.Sleep(time.Hour)
		case "megabyte":
			fmt.Print(strings.Repeat("x", 1<<20))
			time.Sleep(time.Hour)
		case "silent":
			time.Sleep(time.Hour)
		case "mute":
			_ = os.Stdout.Close()
			time.Sleep(time.Hour)
		case "exits":
			os.Exit(0)
		case "panics":
			panic("no way to start")
		case "stops":
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		case "v3":
			versions = []int{3}
		case "v0":
			versions = []int{0}
		case "v1v2":
			versions = []int{1, 2}
		case "cookie":
			cookie = "another"
		case "watching":
			watchDeath()
		case "raw", "stranger", "plain", "nocert", "elsewhere":
			runRaw(m)
		case "crashes": // answers, then dies
			go func() { time.Sleep(20 * time.Millisecond); os.Exit(3) }()
		case "parent":
			spawn(false)
		default:
			fmt.Fprintln(os.Stderr, "unknown mode", m)
			os.Exit(9)
		}
	}
	sets := map[int]goplugin.PluginSet{}
	for _, v := range versions {
		sets[v] = goplugin.PluginSet{handshake.PluginName: fakePlugin{stderr: os.Stderr}}
	}
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			MagicCookieKey: handshake.CookieKey, MagicCookieValue: cookie,
		},
		VersionedPlugins: sets,
		GRPCServer:       goplugin.DefaultGRPCServer,
		Logger:           hclog.New(&hclog.LoggerOptions{Output: os.Stderr, JSONFormat: true, Level: hclog.Info}),
	})
}

// watchDeath ends the process with its host, as the contract asks.
func watchDeath() {
	fd, err := strconv.Atoi(os.Getenv(handshake.DeathFD))
	if err != nil {
		os.Exit(8)
	}
	pipe := os.NewFile(uintptr(fd), "death")
	go func() {
		_, _ = pipe.Read(make([]byte, 1))
		_ = os.RemoveAll(os.Getenv(handshake.SocketDir))
		_ = syscall.Kill(0, syscall.SIGKILL)
	}()
}

// spawn starts a grandchild that keeps the outputs open.
func spawn(session bool) int {
	c := exec.Command("sleep", "30")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if session {
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	if err := c.Start(); err != nil {
		panic(err)
	}
	return c.Process.Pid
}

// fakePlugin serves one unary method and one stream.
type fakePlugin struct {
	goplugin.NetRPCUnsupportedPlugin
	stderr *os.File // the process's own, before Serve replaces it
}

func (p fakePlugin) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "launchtest.Fake",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Do", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var in wrapperspb.BytesValue
			if err := decode(&in); err != nil {
				return nil, err
			}
			out, err := p.do(ctx, string(in.GetValue()))
			return wrapperspb.Bytes([]byte(out)), err
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Watch", ServerStreams: true, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			for {
				var in wrapperspb.BytesValue
				if err := s.RecvMsg(&in); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				out, err := p.do(s.Context(), string(in.GetValue()))
				if err != nil {
					return err
				}
				if err := s.SendMsg(wrapperspb.Bytes([]byte(out))); err != nil {
					return err
				}
			}
		}}},
	}, struct{}{})
	return nil
}

func (fakePlugin) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

func (p fakePlugin) do(ctx context.Context, command string) (string, error) {
	verb, rest, _ := strings.Cut(command, " ")
	n, _ := strconv.Atoi(rest)
	switch verb {
	case "echo":
		return rest, nil
	case "pid":
		return strconv.Itoa(os.Getpid()), nil
	case "env":
		return strings.Join(os.Environ(), "\n"), nil
	case "stdin":
		b, err := io.ReadAll(os.Stdin)
		return fmt.Sprint(len(b), err), nil
	case "pwd":
		return os.Getwd()
	case "sleep":
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(time.Duration(n) * time.Millisecond):
			return "slept", nil
		}
	case "fail":
		return "", status.Error(codes.Unavailable, "the handler says so")
	case "panic":
		panic("in a handler")
	case "exit":
		os.Exit(n)
	case "big":
		return strings.Repeat("x", n), nil
	case "size":
		return strconv.Itoa(len(rest)), nil
	case "spawn":
		return strconv.Itoa(spawn(rest == "session")), nil
	case "stderr":
		_, err := io.WriteString(p.stderr, rest)
		return "", err
	case "flood":
		for i := range n {
			_, _ = fmt.Fprintf(p.stderr, "line %d of a flood\n", i)
		}
	case "print":
		for range n {
			fmt.Println("printed after the handshake")
		}
	case "unread": // stdout of the process itself, without a line's end
		_, err := os.NewFile(1, "stdout").Write([]byte(strings.Repeat("y", n)))
		return "", err
	}
	return "", nil
}

// do runs a command in the fake.
func do(ctx context.Context, cc grpc.ClientConnInterface, command string) (string, error) {
	var out wrapperspb.BytesValue
	err := cc.Invoke(ctx, "/launchtest.Fake/Do", wrapperspb.Bytes([]byte(command)), &out)
	return string(out.GetValue()), err
}
