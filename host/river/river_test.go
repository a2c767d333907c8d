//go:build unix

package river_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/river"
	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/host/store/pgstore/pgtest"
	"github.com/boxconnection/connector/proto/connector"
)

// patience bounds what should happen soon.
const patience = 30 * time.Second

var server *pgtest.Server

func TestMain(m *testing.M) {
	code, err := run(m)
	if err == nil && code == 0 {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if server, err = pgtest.Run(context.Background()); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	return m.Run(), nil
}

// noAudit keeps nothing.
type noAudit struct{}

func (noAudit) Record(context.Context, audit.Event) error { return nil }

// watched is a store that a keep-alive waits in until the test lets it go.
type watched struct {
	*pgstore.Store
	entered chan struct{} // a keep-alive has come
	blocked atomic.Bool
	most    *atomic.Int32 // of all stores together
	now     *atomic.Int32
}

func (w *watched) Due(ctx context.Context, limit int) ([]store.Key, error) {
	n := w.now.Add(1)
	defer w.now.Add(-1)
	for most := w.most.Load(); n > most && !w.most.CompareAndSwap(most, n); most = w.most.Load() {
	}
	select {
	case w.entered <- struct{}{}:
	default:
	}
	if w.blocked.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return w.Store.Due(ctx, limit)
}

// cluster is workers on one database.
type cluster struct {
	dsn       string
	most, now atomic.Int32
}

// process is one of them, or one that only asks.
type process struct {
	store *watched
	queue *river.Queue
	host  *host.Host
}

func (c *cluster) process(t *testing.T) *process {
	t.Helper()
	st, err := pgstore.Open(t.Context(), c.dsn)
	if err != nil {
		t.Fatal(err)
	}
	set, err := seal.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.Parse(set)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{store: &watched{Store: st, entered: make(chan struct{}, 1), most: &c.most, now: &c.now}}
	if p.queue, err = river.Open(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	if p.host, err = host.Open(p.store, keys, noAudit{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.queue.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(p.host.Close(ctx), st.Close()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// serve runs a worker until stop is called, which returns Serve's error. It
// returns when the worker serves.
func (p *process) serve(t *testing.T, runtime string, o river.ServeOptions) (stop func() error) {
	t.Helper()
	node, err := p.host.Join(t.Context(), "local", runtime, host.NodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	o.Ready = func() { close(ready) }
	go func() { done <- p.queue.Serve(ctx, p.host, node, o) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- nil
		t.Fatalf("the worker doesn't serve: %v", err)
	case <-time.After(patience):
		t.Fatal("the worker doesn't begin to serve")
	}
	return stop
}

// comes waits for a keep-alive on this process.
func (p *process) comes(t *testing.T, what string) {
	t.Helper()
	select {
	case <-p.store.entered:
	case <-time.After(patience):
		t.Fatalf("%s: not within %s", what, patience)
	}
}

func execute(t *testing.T, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// Workers of a cluster start at once on a new database.
func TestMigrateTogether(t *testing.T) {
	t.Parallel()
	c := &cluster{dsn: server.Database(t)}
	const workers = 4
	start := make(chan struct{})
	var work sync.WaitGroup
	for range workers {
		p := c.process(t)
		work.Go(func() {
			<-start
			for range 2 {
				if err := p.queue.Migrate(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	close(start)
	work.Wait()
}

// A queue without its tables says so, and nothing of a worker is left.
func TestServeWithoutTables(t *testing.T) {
	t.Parallel()
	c := &cluster{dsn: server.Database(t)}
	p := c.process(t)
	node, err := p.host.Join(t.Context(), "local", "edge", host.NodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.queue.Serve(t.Context(), p.host, node, river.ServeOptions{}); !errors.Is(err, connector.StoreUnavailable) {
		t.Errorf("Serve: %v", err)
	}
	if err := p.queue.Dispatch(t.Context(), "local", "edge", "run"); !errors.Is(err, connector.StoreUnavailable) {
		t.Errorf("Dispatch: %v", err)
	}
	if list, err := p.host.Tenant("local", "", "test").Runtimes(t.Context()); err != nil || list[0].State != host.RuntimeStopped {
		t.Errorf("a worker that couldn't begin: %+v, %v", list, err)
	}
}

// A job of a kind that this program doesn't know was made by a newer one. A
// worker doesn't start beside it, where it could throw such jobs away.
func TestUnknownKinds(t *testing.T) {
	t.Parallel()
	c := &cluster{dsn: server.Database(t)}
	p := c.process(t)
	if err := p.queue.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	execute(t, c.dsn, `INSERT INTO connector.river_job (args, kind, max_attempts, queue) VALUES ('{}', 'of_tomorrow', 1, 'keep_alive')`)
	node, err := p.host.Join(t.Context(), "local", "edge", host.NodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.queue.Serve(t.Context(), p.host, node, river.ServeOptions{}); !errors.Is(err, connector.StoreVersionNewer) {
		t.Errorf("Serve: %v", err)
	}
	execute(t, c.dsn, `UPDATE connector.river_job SET state = 'discarded', finalized_at = now() WHERE kind = 'of_tomorrow'`)
	p.serve(t, "edge", river.ServeOptions{})
	p.comes(t, "the keep-alive of a worker that starts")
}

// Of several workers one at a time keeps connections alive. One that is stopped
// in the middle ends soon, and another one goes on where it was.
func TestKeepAliveGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	c := &cluster{dsn: server.Database(t)}
	first, second := c.process(t), c.process(t)
	if err := first.queue.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	every := river.ServeOptions{KeepAliveEvery: time.Second}
	first.store.blocked.Store(true)
	stop := first.serve(t, "cluster", every)
	first.comes(t, "the keep-alive on the first worker")
	second.serve(t, "cluster", every)
	began := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the worker ended after %s", took)
	}
	second.comes(t, "the keep-alive on the second worker")
	if n := c.most.Load(); n != 1 {
		t.Errorf("%d workers at a time kept connections alive", n)
	}
}

// Options that can't be meant are refused before anything starts.
func TestServeOptions(t *testing.T) {
	t.Parallel()
	c := &cluster{dsn: server.Database(t)}
	p := c.process(t)
	node, err := p.host.Join(t.Context(), "local", "edge", host.NodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []river.ServeOptions{{Tests: -1}, {KeepAliveEvery: time.Millisecond}} {
		if err := p.queue.Serve(t.Context(), p.host, node, o); !errors.Is(err, connector.UsageWrong) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
