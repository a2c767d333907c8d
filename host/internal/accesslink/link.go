// Package accesslink answers the questions of one process of operations: which
// access an execution may use, and how long. It holds the stream on which they
// are asked open as long as the process lives.
package accesslink

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc"

	"github.com/boxconnection/connector/proto/connector"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
)

const (
	// maxSlow is how many questions of one process may wait for an answer that
	// isn't at hand. An execution needs one or two.
	maxSlow = 1024

	// askBurst and askInterval bound how often one execution may ask what costs
	// more than a look into memory.
	askBurst    = 40
	askInterval = 200 * time.Millisecond

	// maxReopen is the longest wait before a broken stream is opened again.
	maxReopen = 2 * time.Second
)

// Granter decides about one execution's access. It is safe for concurrent use.
type Granter interface {
	// Ready answers from memory, or reports false.
	Ready(req connector.AccessRequest) (Granted, bool)
	// Grant answers, if need be with traffic.
	Grant(ctx context.Context, req connector.AccessRequest) (Granted, error)
	connector.Throttle
}

// Granted is access and how long it may be used without asking again. The
// access is shared and never changed.
type Granted struct {
	Access  *connector.Access
	GoodFor time.Duration
}

// Link is the questions and answers of one process. It is safe for concurrent
// use.
type Link struct {
	client operationv1.OperationServiceClient
	log    *slog.Logger
	ctx    context.Context
	end    context.CancelFunc
	nudge  chan struct{}
	slow   chan struct{}
	work   sync.WaitGroup

	mu         sync.Mutex
	executions map[string]*execution
}

// execution is one that may ask.
type execution struct {
	ctx     context.Context
	end     context.CancelFunc
	granter Granter
	limit   bucket
	over    chan struct{} // closed when the plugin says that it is over
	tell    sync.Once

	mu     sync.Mutex
	sent   *connector.Access // what the plugin has
	id     uint64
	paused time.Time // the end of the pause that was told last
}

// New returns a link to the process behind conn and opens its stream. It
// works until Close, or until done is closed: the process is gone.
func New(conn grpc.ClientConnInterface, done <-chan struct{}, log *slog.Logger) *Link {
	l := &Link{
		client: operationv1.NewOperationServiceClient(conn), log: log,
		nudge: make(chan struct{}, 1), slow: make(chan struct{}, maxSlow), executions: map[string]*execution{},
	}
	l.ctx, l.end = context.WithCancel(context.Background())
	l.work.Go(l.keepOpen)
	l.work.Go(func() {
		select {
		case <-done:
			l.end()
		case <-l.ctx.Done():
		}
	})
	return l
}

// Close ends the link and waits until nothing of it is left.
func (l *Link) Close() {
	l.end()
	l.work.Wait()
}

// Register lets an execution ask by its handle, until it is released.
func (l *Link) Register(handle string, g Granter) *Registration {
	e := &execution{granter: g, limit: bucket{burst: askBurst, interval: askInterval}, over: make(chan struct{})}
	e.ctx, e.end = context.WithCancel(l.ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.executions[handle] = e
	return &Registration{l, handle, e}
}

// Registration is an execution's right to ask.
type Registration struct {
	link      *Link
	handle    string
	execution *execution
}

// Over waits until the plugin says that the execution is over, for at most d.
// A cancelled one may still have something to undo.
func (r *Registration) Over(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-r.execution.over:
	case <-r.link.ctx.Done():
	case <-t.C:
	}
}

// Release ends the right to ask.
func (r *Registration) Release() {
	r.execution.end()
	r.link.mu.Lock()
	defer r.link.mu.Unlock()
	delete(r.link.executions, r.handle)
}

// Nudge has the executions told of pauses that began since.
func (l *Link) Nudge() {
	select {
	case l.nudge <- struct{}{}:
	default:
	}
}

// keepOpen opens the stream again each time that it breaks.
func (l *Link) keepOpen() {
	delays := backoff.NewExponentialBackOff()
	delays.InitialInterval, delays.MaxInterval = 20*time.Millisecond, maxReopen
	for l.ctx.Err() == nil {
		opened := time.Now()
		err := l.serve()
		if l.ctx.Err() != nil {
			return
		}
		if time.Since(opened) > maxReopen {
			delays.Reset()
		}
		timer := time.NewTimer(delays.NextBackOff())
		select {
		case <-timer.C:
			l.log.Warn("the stream for access broke and is opened again", "error", err)
		case <-l.ctx.Done():
			timer.Stop()
		}
	}
}

// serve answers on one stream until it ends.
func (l *Link) serve() error {
	ctx, cancel := context.WithCancel(l.ctx)
	stream, err := l.client.Access(ctx)
	if err != nil {
		cancel()
		return err
	}
	s := &session{link: l, stream: stream, ctx: ctx}
	defer s.work.Wait()
	defer cancel()
	s.work.Go(s.tellPauses)
	for {
		asked, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := s.take(asked.GetQuestions()); err != nil {
			return err
		}
	}
}

func (l *Link) execution(handle string) *execution {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.executions[handle]
}

// each returns all executions by their handles.
func (l *Link) each() map[string]*execution {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]*execution, len(l.executions))
	for handle, e := range l.executions {
		all[handle] = e
	}
	return all
}
