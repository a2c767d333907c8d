package launch

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/boxconnection/connector/proto/connector"
)

// Plugin is a binary that was loaded, and its process, which is started when
// it is needed. It implements grpc.ClientConnInterface, so the generated
// clients work on it. It is safe for concurrent use.
type Plugin struct {
	launcher *Launcher
	name     string
	path     string
	digest   Digest
	binary   string // the private copy
	logger   *slog.Logger

	life   context.Context // ends when Close has drained
	end    context.CancelFunc
	starts sync.WaitGroup
	closed chan struct{} // closed when Close has ended

	mu       sync.Mutex
	down     bool
	current  *Incarnation
	all      map[*Incarnation]struct{} // the current one and those that aren't gone yet
	starting *flight
	count    uint64 // incarnations so far
	crashes  crashes
}

var _ grpc.ClientConnInterface = (*Plugin)(nil)

// flight is a start that several callers wait for.
type flight struct {
	done chan struct{}
	inc  *Incarnation
	err  error
}

func newPlugin(l *Launcher, s *source, binary string, digest Digest) *Plugin {
	life, end := context.WithCancel(context.Background())
	o := l.options
	return &Plugin{
		launcher: l, name: s.name, path: s.path, digest: digest, binary: binary,
		logger: o.Logger.With("plugin", s.name),
		life:   life, end: end, closed: make(chan struct{}), all: map[*Incarnation]struct{}{},
		crashes: crashes{limit: o.CrashLimit, window: o.CrashWindow, backoff: o.Backoff},
	}
}

// Name returns the base name of the path that was loaded.
func (p *Plugin) Name() string { return p.name }

// Path returns the absolute path of the file that was loaded, with symbolic
// links resolved.
func (p *Plugin) Path() string { return p.path }

// Digest returns the digest of the bytes that run.
func (p *Plugin) Digest() Digest { return p.digest }

// Invoke makes a unary call; see [Incarnation.Invoke]. It starts the process
// if none is running.
func (p *Plugin) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	inc, err := p.Incarnation(ctx)
	if err != nil {
		return err
	}
	return inc.Invoke(ctx, method, args, reply, opts...)
}

// NewStream opens a stream; see [Incarnation.NewStream]. It starts the process
// if none is running.
func (p *Plugin) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	inc, err := p.Incarnation(ctx)
	if err != nil {
		return nil, err
	}
	return inc.NewStream(ctx, desc, method, opts...)
}

// Ping checks that the process answers, starting it if none is running.
func (p *Plugin) Ping(ctx context.Context) error {
	inc, err := p.Incarnation(ctx)
	if err != nil {
		return err
	}
	return inc.Ping(ctx)
}

// Incarnation returns the running process, and starts one if there is none.
// Callers share a start, which none of their contexts can cut short; a start
// that fails is tried again by the next call only. After too many crashes it
// returns a PluginRestartLimit diagnostic that says how long to wait.
func (p *Plugin) Incarnation(ctx context.Context) (*Incarnation, error) {
	p.mu.Lock()
	if p.down {
		p.mu.Unlock()
		return nil, closedError(p.name)
	}
	if p.current != nil {
		if p.current.Err() == nil {
			defer p.mu.Unlock()
			return p.current, nil
		}
		p.current = nil
	}
	f := p.starting
	if f == nil {
		wait, ok := p.crashes.next(time.Now())
		if !ok {
			defer p.mu.Unlock()
			return nil, p.restartLimit(wait)
		}
		f = &flight{done: make(chan struct{})}
		p.starting = f
		p.starts.Go(func() { p.launch(f, wait) })
	}
	p.mu.Unlock()
	select {
	case <-f.done:
		return f.inc, f.err
	case <-ctx.Done():
		return nil, canceled("The start of plugin \""+p.name+"\"", ctx)
	}
}

// launch starts a process after a wait and lands the flight.
func (p *Plugin) launch(f *flight, wait time.Duration) {
	defer close(f.done)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.life.Done():
	}
	inc, err := p.start(p.life)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starting = nil
	if err != nil {
		if p.life.Err() != nil {
			f.err = closedError(p.name)
			return
		}
		d := connector.Diagnose(err, connector.OriginHost)
		p.crashes.add(time.Now(), d)
		p.logger.Warn("The plugin failed to start.", "error", d)
		f.err = d
		return
	}
	p.current, f.inc = inc, inc
	p.all[inc] = struct{}{}
	go inc.watch()
}

// ended is told by an incarnation that its process ended though nobody asked
// it to.
func (p *Plugin) ended(why *connector.Diagnostic) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.crashes.add(time.Now(), why)
}

// gone is told by an incarnation that nothing of it is left.
func (p *Plugin) gone(i *Incarnation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, i)
}

func (p *Plugin) restartLimit(wait time.Duration) error {
	d := connector.Errorf(connector.PluginRestartLimit, connector.OriginConnector,
		"Plugin %q ended %d times within %v and isn't started again before %s.",
		p.name, p.crashes.limit, p.crashes.window, time.Now().Add(wait).Format(time.TimeOnly)).
		With(connector.Retry).After(wait)
	if last := p.crashes.last; last != nil {
		d = d.WithDetail("last: %s", last.Summary).Because(last)
	}
	return d.Suggest("Look into the log for what the plugin printed, and report it to its author.")
}

// Close ends the plugin: new calls are refused, running ones may finish until
// ctx is done (without a deadline: Options.DrainTimeout), then the process is
// asked to end and, after Options.KillTimeout, killed. It is safe to call it
// again: a later call waits for the first, at most as long as its context
// lets it.
func (p *Plugin) Close(ctx context.Context) error {
	p.mu.Lock()
	first := !p.down
	p.down = true
	current := p.current
	p.mu.Unlock()
	if !first {
		select {
		case <-p.closed:
			return nil
		case <-ctx.Done():
			return canceled("The wait for the end of plugin \""+p.name+"\"", ctx)
		}
	}
	defer close(p.closed)
	if current != nil {
		if _, ok := ctx.Deadline(); !ok {
			limited, cancel := context.WithTimeout(ctx, p.launcher.options.DrainTimeout)
			defer cancel()
			ctx = limited
		}
		current.drain(ctx)
	}
	p.end()
	p.starts.Wait()
	p.mu.Lock()
	all := slices.Collect(maps.Keys(p.all))
	p.mu.Unlock()
	errs := make([]error, len(all))
	var stops sync.WaitGroup
	for n, i := range all {
		stops.Go(func() { errs[n] = i.stop() })
	}
	stops.Wait()
	_ = os.RemoveAll(filepath.Dir(p.binary)) // what is left goes with the run folder
	p.launcher.forget(p)
	return errors.Join(errs...)
}
