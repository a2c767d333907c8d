// Package host is an engine's door to connectors. It loads connector
// binaries, keeps what a connection consists of in a [store.Store], sealed,
// and keeps its credential alive: renewed by one holder at a time, written
// before it is used, and never lost to a race, a crash or a caller that went
// away.
//
// An engine opens one [Host] for a store, takes a [Tenant] for whoever it
// acts for, and from it drafts, connections and their sessions. All types are
// safe for concurrent use. Errors are *connector.Diagnostic; errors.Is with a
// connector.Code tells them apart.
package host

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// Host serves connections out of one store. Close it to end its background
// work; the store stays the caller's.
type Host struct {
	store  store.Store
	vault  vault
	sink   audit.Sink
	log    *slog.Logger
	holder string
	run    string
	net    connector.Network
	loader Loader
	// newFormats is set by WithNewFormats.
	newFormats bool
	loading    singleflight.Group
	pace       pace
	lease      leaseTimes
	// dispatcher is nil where connections can't be tested elsewhere.
	dispatcher     Dispatcher
	keepAliveEvery time.Duration

	start time.Time
	ctx   context.Context
	stop  context.CancelFunc
	work  sync.WaitGroup

	// copied is set while the store was last seen to be a copy. It only saves
	// the way to the lease.
	copied atomic.Bool

	mu         sync.Mutex
	closed     bool
	connectors map[string]*Connector
	lives      map[lifeKey]*life
	throttles  map[store.Key]*throttle // by credential
	operations map[*Operations]struct{}
}

// Option changes a default of Open.
type Option interface{ apply(*Host) }

type option func(*Host)

func (o option) apply(h *Host) { o(h) }

// WithLogger sets where the host logs. The default discards. Nothing secret is
// ever logged.
func WithLogger(l *slog.Logger) Option { return option(func(h *Host) { h.log = l }) }

// WithNetwork sets the way to the services for connections that name none of
// their own. The default is direct; [NetworkFromEnvironment] reads the proxy
// variables.
func WithNetwork(n connector.Network) Option { return option(func(h *Host) { h.net = n }) }

// WithRuntime names this host for people: in leases, in the results of tests.
// The default is the machine's name.
func WithRuntime(name string) Option { return option(func(h *Host) { h.run = name }) }

// Loader loads the connector of a connection, with [Host.Load], when it is
// needed and isn't loaded. It may be called by several goroutines at once.
type Loader func(ctx context.Context, i Info) (*Connector, error)

// WithLoader sets how connectors are loaded on demand. Without it a connection
// can be used only after its connector was loaded.
func WithLoader(l Loader) Option { return option(func(h *Host) { h.loader = l }) }

// Open makes a host. All three arguments are required: a host doesn't run
// without a record of what it does. A store that is a copy opens too, and can
// be read; see [Host.Copied].
func Open(st store.Store, sealer seal.Sealer, sink audit.Sink, opts ...Option) (*Host, error) {
	if st == nil || sealer == nil || sink == nil {
		return nil, connector.Errorf(connector.UsageWrong, connector.OriginHost, "A host needs a store, a sealer and an audit sink.").
			Suggest("Pass all three to host.Open.")
	}
	node, err := os.Hostname()
	if err != nil || node == "" {
		node = "local"
	}
	h := &Host{
		store: st, vault: vault{sealer}, sink: sink, run: node, start: time.Now(),
		log: slog.New(slog.DiscardHandler), lease: defaultLease,
		connectors: map[string]*Connector{}, lives: map[lifeKey]*life{}, throttles: map[store.Key]*throttle{},
		operations: map[*Operations]struct{}{},
	}
	for _, o := range opts {
		o.apply(h)
	}
	h.holder = h.run + "/" + token(4)
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.tellPlace()
	if h.keepAliveEvery > 0 {
		h.work.Add(1)
		go h.keepAliveForever()
	}
	return h, nil
}

// Close ends the host: no new renewal begins, and running ones are waited for,
// since each of them is bounded by its lease, until ctx ends. It leaves the
// store open.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.stop()
	h.closeOperations()
	done := make(chan struct{})
	go func() {
		h.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return connector.Errorf(connector.TimedOut, connector.OriginHost, "A renewal was still running when the host was closed.").
			Suggest("Give Close a deadline of at least a minute.").Because(ctx.Err())
	}
}

// begin counts a piece of background work in, unless the host is closed.
func (h *Host) begin() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "The host is closed.")
	}
	h.work.Add(1)
	return nil
}

// elapsed is the time since the host was opened, on the monotonic clock.
func (h *Host) elapsed() time.Duration { return time.Since(h.start) }

// token returns n random bytes in hexadecimal.
func token(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b)
}

// is reports whether err carries the code.
func is(err error, code connector.Code) bool { return errors.Is(err, code) }
