package launch

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/boxconnection/connector/host/launch/internal/child"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
)

// Options say how plugins are run. The zero Options are good; each field's
// zero value stands for its default.
type Options struct {
	// Logger gets what plugins print and what happens to their processes.
	// Default: nothing is logged.
	Logger *slog.Logger
	// Scrub removes secrets from a plugin's words before they are logged or
	// shown. It must be safe for concurrent use. Default: the words stay as
	// they are.
	Scrub func(string) string
	// RuntimeDir is the folder in which the launcher makes its own, private
	// one. It must be on a local disk from which programs can be run, and its
	// path must be short. Default: the first that is suitable of the temporary
	// folder, XDG_RUNTIME_DIR, /tmp and /var/tmp.
	RuntimeDir string
	// Versions are the contract's major versions that the host can speak.
	// Default: handshake.Version.
	Versions []int

	// StartTimeout bounds a start, up to the first answer. Default: 10 s.
	StartTimeout time.Duration
	// CallTimeout bounds a unary call whose context has no deadline.
	// Default: 2 min.
	CallTimeout time.Duration
	// PingTimeout bounds a health check. A process that lets it pass is
	// killed. Default: 5 s.
	PingTimeout time.Duration
	// HealthInterval is the time between health checks while calls are
	// running. Default: 15 s.
	HealthInterval time.Duration
	// DrainTimeout is how long Close waits for running calls if its context
	// has no deadline. Default: 10 s.
	DrainTimeout time.Duration
	// KillTimeout is how long a process may take to end by itself before it is
	// killed. Default: 3 s.
	KillTimeout time.Duration

	// CrashLimit crashes within CrashWindow stop the restarts until the window
	// has moved on. Default: 5 in 1 min.
	CrashLimit  int
	CrashWindow time.Duration
	// Backoff is the wait before the third start in a row; it doubles with each
	// further crash, up to 16 times. The first restart is immediate.
	// Default: 100 ms.
	Backoff time.Duration
}

// Launcher runs plugins. It is safe for concurrent use.
type Launcher struct {
	options Options
	folder  *runFolder
	spawner *child.Spawner

	closed chan struct{} // closed when Close has ended

	mu      sync.Mutex
	plugins map[*Plugin]struct{}
	down    bool
}

// New makes a launcher with a private folder, and removes the folders that
// dead hosts left behind. A folder that can't be had is a StoreUnsuitable
// diagnostic. Close must be called.
func New(options Options) (*Launcher, error) {
	options.setDefaults()
	folder, err := openRunFolder(options.RuntimeDir)
	if err != nil {
		return nil, err
	}
	return &Launcher{
		options: options, folder: folder, spawner: child.NewSpawner(),
		closed: make(chan struct{}), plugins: map[*Plugin]struct{}{},
	}, nil
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Scrub == nil {
		o.Scrub = func(text string) string { return text }
	}
	if len(o.Versions) == 0 {
		o.Versions = []int{handshake.Version}
	}
	o.Versions = slices.Sorted(slices.Values(o.Versions))
	for field, value := range map[*time.Duration]time.Duration{
		&o.StartTimeout: 10 * time.Second, &o.CallTimeout: 2 * time.Minute, &o.PingTimeout: 5 * time.Second,
		&o.HealthInterval: 15 * time.Second, &o.DrainTimeout: 10 * time.Second, &o.KillTimeout: 3 * time.Second,
		&o.CrashWindow: time.Minute, &o.Backoff: 100 * time.Millisecond,
	} {
		if *field <= 0 {
			*field = value
		}
	}
	if o.CrashLimit <= 0 {
		o.CrashLimit = 5
	}
}

// Load checks a plugin's file, copies it to the launcher's private folder and
// takes its digest; nothing is executed. What can't be run is a
// PluginNotExecutable diagnostic, what isn't trusted PluginDigestMismatch or
// PluginUntrusted. The process is started by the first call.
//
// A script is copied alone: its digest covers neither its interpreter nor
// other files beside it, which it doesn't find there either.
func (l *Launcher) Load(ctx context.Context, path string, trust Trust) (*Plugin, error) {
	source, err := openSource(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = source.file.Close() }()
	folder, err := os.MkdirTemp(l.folder.path, "bin-")
	if err != nil {
		return nil, l.copyFailed(source.name, err)
	}
	keep := false
	defer func() {
		if !keep {
			_ = os.RemoveAll(folder)
		}
	}()
	binary := filepath.Join(folder, filepath.Base(path))
	digest, err := source.copyTo(ctx, binary)
	if err != nil {
		return nil, l.copyFailed(source.name, err)
	}
	if err := trust.check(source.name, source.path, digest); err != nil {
		return nil, err
	}
	p := newPlugin(l, source, binary, digest)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, closedError(source.name)
	}
	l.plugins[p] = struct{}{}
	keep = true
	return p, nil
}

// Close closes all plugins at once, as [Plugin.Close] does, and removes the
// private folder. It is safe to call it again: a later call waits for the
// first, at most as long as its context lets it.
func (l *Launcher) Close(ctx context.Context) error {
	l.mu.Lock()
	first := !l.down
	l.down = true
	plugins := make([]*Plugin, 0, len(l.plugins))
	for p := range l.plugins {
		plugins = append(plugins, p)
	}
	l.mu.Unlock()
	if !first {
		select {
		case <-l.closed:
			return nil
		case <-ctx.Done():
			return canceled("The wait for the plugins' end", ctx)
		}
	}
	defer close(l.closed)
	errs := make([]error, len(plugins))
	var all sync.WaitGroup
	for i, p := range plugins {
		all.Go(func() { errs[i] = p.Close(ctx) })
	}
	all.Wait()
	l.spawner.Close()
	if err := l.folder.Close(); err != nil {
		errs = append(errs, connector.Errorf(connector.StoreUnwritable, connector.OriginHost,
			"The plugins' run folder can't be removed.").WithDetail("%s", l.folder.path).Because(err))
	}
	return errors.Join(errs...)
}

func (l *Launcher) forget(p *Plugin) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.plugins, p)
}

func (l *Launcher) copyFailed(name string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return connector.Errorf(connector.Canceled, connector.OriginHost, "Loading plugin %q was canceled.", name).Because(err)
	}
	if errors.Is(err, fs.ErrNotExist) && l.isDown() {
		return closedError(name)
	}
	return connector.Errorf(connector.StoreUnwritable, connector.OriginHost,
		"Plugin %q can't be copied to the run folder: %v.", name, reason(err)).
		WithDetail("%s", l.folder.path).Suggest("Check that the disk isn't full.").Because(err)
}

func (l *Launcher) isDown() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down
}

// closedError answers calls that come after Close.
func closedError(name string) *connector.Diagnostic {
	return connector.Errorf(connector.Canceled, connector.OriginHost, "Plugin %q is closed; the host is ending.", name)
}

// canceled tells that a wait ended with its context.
func canceled(what string, ctx context.Context) *connector.Diagnostic {
	code, happened := connector.Canceled, "was canceled"
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code, happened = connector.TimedOut, "took too long"
	}
	return connector.Errorf(code, connector.OriginHost, "%s %s.", what, happened).Because(ctx.Err())
}
