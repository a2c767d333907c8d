// Package process runs a plugin's process: what stands between main and the
// calls, for every kind of plugin.
package process

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/boxconnection/connector/plugin/internal/stdio"
	"github.com/boxconnection/connector/proto/handshake"
)

// drainTime is how long calls may go on after SIGTERM. It is longer than a
// token request needs as a rule, and shorter than service managers wait.
// flushTime is how long their answers may take to leave the process.
const (
	drainTime = 8 * time.Second
	flushTime = 200 * time.Millisecond
)

// Program is a plugin binary.
type Program struct {
	// ID, Title and Version are shown to a person who runs the binary by hand.
	ID, Title, Version string
	// Kind completes "… is a": "connector", "set of operations".
	Kind string
	// Look is the command that shows what it offers, without the binary's path.
	Look string
	// Protocol is the contract's major version, Name the plugin's name in the
	// handshake.
	Protocol int
	Name     string
	// Register adds the plugin's services to the server.
	Register func(grpc.ServiceRegistrar)
	// Calls configures how its calls are guarded.
	Calls Guard
}

// Main runs the program and returns the exit code of the process. It takes
// the process over: signals, standard streams, log, umask.
func Main(p Program, args []string) int {
	verbose, debugged := false, false
	for _, arg := range args {
		switch strings.TrimPrefix(arg, "-") {
		case "-version":
			printVersion(os.Stdout, p, args)
			return 0
		case "-verbose":
			verbose = true
		case "-debug":
			debugged = true
		default:
			_, _ = fmt.Fprintf(os.Stderr, "unknown argument %q\n", arg)
			usage(os.Stderr, p)
			return 2
		}
	}
	if debugged {
		return serveByHand(p, verbose, os.Stdout, os.Stderr)
	}
	if !Started() {
		usage(os.Stderr, p)
		return 1
	}
	return serve(p, verbose)
}

// Started reports whether a host started this process as a plugin.
func Started() bool { return os.Getenv(handshake.CookieKey) == handshake.CookieValue }

func serve(p Program, verbose bool) int {
	restrictFiles()
	forgetEnvironment()
	log := newLog(os.Stderr, verbose)
	slog.SetDefault(log)
	stop := watchHost(log)
	defer stop()

	guard := p.Calls
	guard.Log = log
	calls := newCalls(guard, restoreStreams(os.Stdout, os.Stderr))
	terminated := onTerminate(log, calls)
	defer terminated()

	id, err := newIdentity(time.Now())
	if err != nil {
		log.Error("no certificate for the host", "error", err)
		return 1
	}
	os.Stdout = filterHandshake(stdio.HandshakeOut(), os.Stderr, id.announce)
	config := &goplugin.ServeConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			MagicCookieKey: handshake.CookieKey, MagicCookieValue: handshake.CookieValue,
		},
		VersionedPlugins: map[int]goplugin.PluginSet{p.Protocol: {p.Name: &registration{register: p.Register}}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			// From here on the process may start others, which are no plugins.
			_ = os.Unsetenv(handshake.CookieKey)
			_ = os.Unsetenv(handshake.DeathFD)
			return calls.server(append(opts, calls.options()...))
		},
		Logger: newHCLog(os.Stderr, p.ID, verbose),
	}
	if id != nil {
		config.TLSProvider = func() (*tls.Config, error) { return id.config, nil }
	}
	goplugin.Serve(config)
	return 0
}

// registration is go-plugin's view of a plugin's services.
type registration struct {
	goplugin.NetRPCUnsupportedPlugin
	register func(grpc.ServiceRegistrar)
}

// GRPCServer implements goplugin.GRPCPlugin.
func (r *registration) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	r.register(s)
	return nil
}

// GRPCClient implements goplugin.GRPCPlugin.
func (r *registration) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("this side only serves")
}

// restoreStreams returns a function that gives os.Stdout and os.Stderr back.
// go-plugin replaces both by pipes that block as soon as a host doesn't read
// its stream of them; standard error is always read.
func restoreStreams(stdout, stderr *os.File) func() {
	return sync.OnceFunc(func() { os.Stdout, os.Stderr = stdout, stderr })
}

func usage(w io.Writer, p Program) {
	_, _ = fmt.Fprintf(w, `%s (%s %s) is a %s.
It is loaded by an integration engine and does nothing by itself.
To see what it offers, try: %s %s

  --version   print the version
  --verbose   log more; with --version, print how it was built as well
  --debug     serve in plain text on a private socket, for a debugger
`, p.Title, p.ID, p.Version, p.Kind, p.Look, executable())
}

func printVersion(w io.Writer, p Program, args []string) {
	_, _ = fmt.Fprintf(w, "%s %s (contract %d)\n", p.ID, p.Version, p.Protocol)
	info, ok := debug.ReadBuildInfo()
	if !ok || !strings.Contains(strings.Join(args, " "), "-verbose") {
		return
	}
	_, _ = fmt.Fprintf(w, "%s\n%s %s\n", info.GoVersion, info.Main.Path, info.Main.Version)
	for _, s := range info.Settings {
		if strings.HasPrefix(s.Key, "vcs.") || s.Key == "GOOS" || s.Key == "GOARCH" {
			_, _ = fmt.Fprintf(w, "%s=%s\n", s.Key, s.Value)
		}
	}
}

func executable() string {
	if len(os.Args) > 0 && os.Args[0] != "" {
		return os.Args[0]
	}
	return "PATH"
}
