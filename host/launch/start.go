package launch

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/boxconnection/connector/host/launch/internal/child"
	"github.com/boxconnection/connector/host/launch/internal/logs"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
)

const (
	// lastWordsWait is how long a failed start waits for the process's end to
	// learn its exit status. The end of its output comes moments before.
	lastWordsWait = 500 * time.Millisecond
	// maxHeaderBytes bounds the headers and trailers of an answer. The largest
	// legitimate thing there is a status, twice and in base64.
	maxHeaderBytes = 64 << 10
)

// start runs the binary and returns when it has answered a health check. Every
// error is a diagnostic, and then nothing is left behind.
func (p *Plugin) start(ctx context.Context) (*Incarnation, error) {
	begin := time.Now()
	o := p.launcher.options
	ctx, cancel := context.WithTimeout(ctx, o.StartTimeout)
	defer cancel()
	tlsConfig, certificate, err := clientTLS(begin)
	if err != nil {
		return nil, connector.Diagnose(err, connector.OriginHost)
	}
	p.mu.Lock()
	p.count++
	i := &Incarnation{
		plugin: p, id: p.count, calls: newGate(), over: make(chan struct{}), done: make(chan struct{}),
	}
	p.mu.Unlock()
	i.log = logs.New(p.logger.With("incarnation", i.id), o.Scrub)
	link := &link{plugin: p, log: i.log, spawner: p.launcher.spawner, ctx: ctx, judged: make(chan struct{})}
	synced := [2]io.WriteCloser{i.log.Writer(logs.SyncedStdout), i.log.Writer(logs.SyncedStderr)}
	versions := map[int]goplugin.PluginSet{}
	for _, v := range o.Versions {
		versions[v] = goplugin.PluginSet{handshake.PluginName: goplugin.NetRPCUnsupportedPlugin{}}
	}
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  goplugin.HandshakeConfig{MagicCookieKey: handshake.CookieKey, MagicCookieValue: handshake.CookieValue},
		VersionedPlugins: versions,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		SkipHostEnv:      true,
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: p.launcher.folder.path},
		TLSConfig:        tlsConfig,
		StartTimeout:     o.StartTimeout + time.Second, // ours ends first, and says more
		SyncStdout:       synced[0],
		SyncStderr:       synced[1],
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Off, Output: io.Discard}),
		GRPCDialOptions:  dialOptions(),
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, folder string) (runner.Runner, error) {
			link.prepare(folder, append(append(environment(folder), spec.Env...), "PLUGIN_CLIENT_CERT="+string(certificate)))
			return link, nil
		},
	})
	i.client, i.link = client, link

	// Killing the process ends whatever waits below.
	release := context.AfterFunc(ctx, link.kill)
	defer release()
	err = i.connect(ctx)
	if err == nil && !release() {
		err = ctx.Err() // the process is being killed
	}
	if err != nil {
		d := link.explain(ctx, err)
		i.discard()
		return nil, d
	}
	p.logger.Info("The plugin is running.", "incarnation", i.id, "pid", i.PID(), "took", time.Since(begin))
	return i, nil
}

// connect goes through go-plugin's steps and asks for a first answer.
func (i *Incarnation) connect(ctx context.Context) error {
	if _, err := i.client.Start(); err != nil {
		return err
	}
	protocol, err := i.client.Client()
	if err != nil {
		return err
	}
	connected, ok := protocol.(*goplugin.GRPCClient)
	if !ok {
		return errors.New("not a gRPC plugin")
	}
	i.conn = connected.Conn
	return i.checkHealth(ctx)
}

// discard ends a process that failed to start.
func (i *Incarnation) discard() {
	i.link.kill()
	i.client.Kill()
	i.log.Close()
}

func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(handshake.MaxMessageBytes), grpc.MaxCallSendMsgSize(handshake.MaxMessageBytes)),
		grpc.WithMaxHeaderListSize(maxHeaderBytes),
		grpc.WithStatsHandler(answers{}),
		grpc.WithStreamInterceptor(refuseBroker),
		grpc.WithDisableRetry(), // a call is sent once
		grpc.WithIdleTimeout(0),
		grpc.WithNoProxy(),
	}
}

// link is the go-plugin runner of one process. go-plugin sees the handshake
// line, if it is good, and the process's end; everything else that the process
// prints goes to the log without passing through it.
type link struct {
	plugin  *Plugin
	log     *logs.Log
	spawner *child.Spawner
	ctx     context.Context // the start's

	mu     sync.Mutex
	dead   bool
	child  *child.Child // nil until go-plugin calls prepare
	folder string
	stdout *io.PipeReader
	line   *io.PipeWriter

	judged   chan struct{} // closed when fault is set, after which it doesn't change
	fault    *connector.Diagnostic
	startErr error
}

var _ runner.Runner = (*link)(nil)

// prepare sets the process up. go-plugin calls it before any other method.
func (l *link) prepare(folder string, env []string) {
	l.folder = folder
	l.stdout, l.line = io.Pipe()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.child = child.New(child.Spec{
		Path: l.plugin.binary, Env: env, Dir: folder,
		Stdout: l.log.Writer(logs.Stdout), Stderr: l.log.Writer(logs.Stderr),
	})
	if l.dead {
		l.child.Kill()
	}
}

// Start starts the process.
func (l *link) Start(context.Context) error {
	if l.startErr = l.child.Start(l.spawner); l.startErr != nil {
		close(l.judged)
		return l.startErr
	}
	go l.judge()
	return nil
}

// judge hands the first line to go-plugin if it is a good handshake.
func (l *link) judge() {
	line, ok := l.child.FirstLine(l.ctx)
	switch {
	case ok:
		l.fault = l.plugin.checkHandshake(line, l.folder)
	case strings.TrimSpace(line) != "":
		l.fault = l.plugin.handshakeFailed("printed something else than the handshake line").
			WithDetail("it begins with: %q", logs.Clean(l.plugin.launcher.options.Scrub(line), shownOutput)).
			Suggest("Give the path of a connector plugin. If it is one, nothing in it may print before it serves.")
	default:
		ok = false
	}
	close(l.judged)
	if ok && l.fault == nil {
		_, _ = io.WriteString(l.line, line+"\n") // go-plugin reads it or is gone
	}
	_ = l.line.Close()
}

// kill kills the process, or keeps it from being started.
func (l *link) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	if l.child != nil {
		l.child.Kill()
	}
}

// explain turns a failed start into a diagnostic.
func (l *link) explain(ctx context.Context, err error) *connector.Diagnostic {
	p := l.plugin
	if l.child == nil { // go-plugin couldn't make the socket's folder
		return connector.Errorf(connector.StoreUnwritable, connector.OriginHost,
			"Plugin %q can't be started: there is no place for its socket.", p.name).
			WithDetail("%s", p.launcher.folder.path).Suggest("Check that the disk isn't full.").Because(err)
	}
	<-l.judged
	switch {
	case l.startErr != nil:
		return p.notExecutable(l.startErr)
	case l.fault != nil:
		return l.fault.Because(err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		d := p.handshakeFailed("wasn't ready within %v", p.launcher.options.StartTimeout).Because(err)
		return l.withLastWords(d)
	}
	select {
	case <-l.child.Done():
		d := p.handshakeFailed("ended at its start (%v)", l.child.State()).Because(err)
		return l.withLastWords(d)
	case <-time.After(lastWordsWait):
		return p.handshakeFailed("can't be talked to").
			Suggest("It must keep its output open, serve TLS with the certificate it announced, and answer health checks for the service %q.", goplugin.GRPCServiceName).
			Because(err)
	}
}

func (l *link) withLastWords(d *connector.Diagnostic) *connector.Diagnostic {
	if words := l.log.LastWords(shownOutput); words != "" {
		d = d.WithDetail("its last words: %q", words)
	}
	return d.Suggest("Look into the log for what the plugin printed, and report it to its author.")
}

func (p *Plugin) notExecutable(err error) *connector.Diagnostic {
	d := connector.Errorf(connector.PluginNotExecutable, connector.OriginHost,
		"Plugin %q can't be run: %v.", p.name, reason(err)).WithDetail("%s", p.path).Because(err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d.Suggest("The program or the interpreter that it names is missing on this machine.")
	case errors.Is(err, syscall.ENOEXEC):
		return d.Suggest("Install the plugin that was built for this machine.")
	}
	return d
}

// Wait waits for the process's end.
func (l *link) Wait(context.Context) error {
	<-l.child.Done()
	return nil
}

// Kill kills the process's group.
func (l *link) Kill(context.Context) error {
	l.child.Kill()
	return nil
}

// Stdout gives go-plugin the handshake line.
func (l *link) Stdout() io.ReadCloser { return l.stdout }

// Stderr gives go-plugin nothing: its reading of a plugin's log can be made to
// panic.
func (l *link) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name names the plugin.
func (l *link) Name() string { return l.plugin.name }

// ID must never be empty: go-plugin would leave the socket's folder behind.
func (l *link) ID() string { return l.plugin.name }

// Diagnose has nothing to add: explain says it all.
func (l *link) Diagnose(context.Context) string { return "" }

// PluginToHost and HostToPlugin leave addresses as they are.
func (l *link) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin leaves addresses as they are.
func (l *link) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
