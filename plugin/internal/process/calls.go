package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	"github.com/boxconnection/connector/proto/protoconv"
)

// streamWorkers is how many goroutines are kept for calls. Validating deepens
// the stack so much that growing a new goroutine's takes a third of the call.
// go-plugin's own streams occupy two; calls beyond the number get goroutines
// of their own.
const streamWorkers = 8

// Guard says how calls are guarded.
type Guard struct {
	// Prefix begins the full names of the methods that are guarded; others,
	// go-plugin's own, pass.
	Prefix string
	// Timeout returns the deadline of a call whose caller set none.
	Timeout func(method string) time.Duration
	// Lasting is the full name of a method whose calls last as long as the
	// process and don't keep it from ending; empty for none.
	Lasting string
	// Log gets what callers don't see: the stack of a panic.
	Log *slog.Logger
}

// Options returns the limits and interceptors of a server whose calls are
// guarded: a panic becomes Internal and is logged by type and place without
// its value, which may hold a secret; every error becomes a status with a
// diagnostic; every call has a deadline.
func (g Guard) Options() []grpc.ServerOption {
	return newCalls(g, func() {}).options()
}

// calls counts the calls under way, so that the process can end between them.
type calls struct {
	Guard
	before func() // before the first call

	mu       sync.Mutex
	active   int
	draining bool
	idle     chan struct{} // closed when draining and nothing is active
	grpc     *grpc.Server
}

func newCalls(g Guard, before func()) *calls {
	return &calls{Guard: g, before: before, idle: make(chan struct{})}
}

func (c *calls) server(opts []grpc.ServerOption) *grpc.Server {
	s := grpc.NewServer(opts...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.grpc = s
	if c.draining {
		s.Stop() // asked to terminate before there was a server
	}
	return s
}

func (c *calls) options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(handshake.MaxMessageBytes),
		grpc.MaxSendMsgSize(handshake.MaxMessageBytes),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.ChainUnaryInterceptor(c.unary),
		grpc.ChainStreamInterceptor(c.stream),
	}
}

func (c *calls) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	if !strings.HasPrefix(info.FullMethod, c.Prefix) {
		return handler(ctx, req)
	}
	err = c.guard(ctx, info.FullMethod, func(ctx context.Context) (err error) {
		resp, err = handler(ctx, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

func (c *calls) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if !strings.HasPrefix(info.FullMethod, c.Prefix) {
		return handler(srv, stream)
	}
	return c.guard(stream.Context(), info.FullMethod, func(ctx context.Context) error {
		return handler(srv, &streamWithContext{stream, ctx})
	})
}

func (c *calls) guard(ctx context.Context, method string, call func(context.Context) error) (err error) {
	if !c.begin(method) {
		return toStatus(connector.Errorf(connector.PluginExited, connector.OriginConnector,
			"The connector's process is ending.").With(connector.Retry))
	}
	defer c.end(method)
	c.before()
	if _, ok := ctx.Deadline(); !ok && c.Timeout != nil {
		if limit := c.Timeout(method); limit > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, limit)
			defer cancel()
		}
	}
	defer func() {
		if v := recover(); v != nil {
			c.Log.Error("a call panicked", "method", method, "type", fmt.Sprintf("%T", v), "stack", Stack(3))
			err = toStatus(errPanic)
		}
	}()
	return toStatus(call(ctx))
}

// errPanic stands for a panic; it is shown as Internal.
var errPanic = errors.New("panic")

func toStatus(err error) error {
	if err == nil {
		return nil
	}
	return protoconv.StatusFromError(err, connector.OriginConnector).Err()
}

func (c *calls) begin(method string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if method == c.Lasting && method != "" {
		return true
	}
	if c.draining {
		return false
	}
	c.active++
	return true
}

func (c *calls) end(method string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if method == c.Lasting && method != "" {
		return
	}
	c.active--
	if c.draining && c.active == 0 {
		close(c.idle)
	}
}

// drain refuses new calls, waits for those under way, and stops the server.
func (c *calls) drain(limit time.Duration) {
	c.mu.Lock()
	if !c.draining {
		c.draining = true
		if c.active == 0 {
			close(c.idle)
		}
	}
	server := c.grpc
	c.mu.Unlock()
	wait(c.idle, limit)
	if server == nil {
		return
	}
	// The last answers are still on their way out. A graceful stop lets them
	// through, but waits for go-plugin's streams as well, which don't end.
	flushed := make(chan struct{})
	go func() {
		server.GracefulStop()
		close(flushed)
	}()
	wait(flushed, flushTime)
	server.Stop()
}

func wait(done <-chan struct{}, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// onTerminate ends the process between calls when it is asked to.
func onTerminate(log *slog.Logger, c *calls) (stop func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			log.Info("ending: asked to terminate")
			c.drain(drainTime)
		case <-done:
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

// Stack returns the places of the goroutine's stack from the skip-th caller
// on, without the arguments.
func Stack(skip int) []string {
	pcs := make([]uintptr, 32)
	iter := runtime.CallersFrames(pcs[:runtime.Callers(skip, pcs)])
	var places []string
	for {
		f, more := iter.Next()
		if f.Function != "" {
			places = append(places, fmt.Sprintf("%s:%d", f.Function, f.Line))
		}
		if !more {
			return places
		}
	}
}

// streamWithContext is a stream whose calls see another context.
type streamWithContext struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns the context with the deadline.
func (s *streamWithContext) Context() context.Context { return s.ctx }
