package launch

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
)

const (
	// endWait is how long a call that lost its connection waits to learn that
	// the process has ended. The connection breaks moments before.
	endWait = time.Second
	// verdictWait is how long a call that timed out waits for the health check
	// that runs beside it.
	verdictWait = 250 * time.Millisecond
)

// call is one call to one incarnation.
type call struct {
	inc      *Incarnation
	lasting  bool        // see Lasting
	answered atomic.Bool // the plugin has sent the call's end
	doctor   *time.Timer
	cancel   context.CancelFunc

	once  sync.Once
	mu    sync.Mutex
	check *checkup
}

type callKey struct{}

type lastingKey struct{}

// Lasting returns a context for a stream that lasts as long as the process: no
// close waits for it, and it ends with the process.
func Lasting(ctx context.Context) context.Context { return context.WithValue(ctx, lastingKey{}, true) }

// Invoke makes a unary call. Without a deadline in ctx it gets
// Options.CallTimeout. It is never repeated. An error that the plugin's
// handler returned is passed through; every other is a diagnostic:
// PluginExited, PluginUnresponsive, PluginContractBroken, LimitExceeded,
// TimedOut or Canceled.
func (i *Incarnation) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if _, ok := ctx.Deadline(); !ok {
		limited, cancel := context.WithTimeout(ctx, i.plugin.launcher.options.CallTimeout)
		defer cancel()
		ctx = limited
	}
	ctx, c, err := i.begin(ctx)
	if err != nil {
		return err
	}
	defer c.end()
	return c.explain(ctx, i.conn.Invoke(ctx, method, args, reply, opts...))
}

// NewStream opens a stream. It has no time limit but its context's: a health
// check runs from time to time while it is open. Its errors are those of
// Invoke. As with every gRPC stream, its context must be canceled or its
// messages received up to the error.
func (i *Incarnation) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, c, err := i.begin(ctx)
	if err != nil {
		return nil, err
	}
	inner, err := i.conn.NewStream(ctx, desc, method, opts...)
	if err != nil {
		err = c.explain(ctx, err)
		c.end()
		return nil, err
	}
	s := &stream{ClientStream: inner, call: c, ctx: ctx, single: !desc.ServerStreams}
	context.AfterFunc(ctx, c.end)
	return s, nil
}

// begin lets a call in.
func (i *Incarnation) begin(ctx context.Context) (context.Context, *call, error) {
	if err := i.Err(); err != nil {
		return nil, nil, err
	}
	c := &call{inc: i, lasting: ctx.Value(lastingKey{}) != nil}
	if !c.lasting && !i.calls.enter() {
		return nil, nil, closedError(i.plugin.name)
	}
	ctx, c.cancel = context.WithCancel(context.WithValue(ctx, callKey{}, c))
	if deadline, ok := ctx.Deadline(); ok {
		// If the time runs out, it will be known by then whether the process
		// answers at all.
		left := time.Until(deadline)
		wait := max(left-i.plugin.launcher.options.PingTimeout, left/2)
		c.doctor = time.AfterFunc(wait, c.examine)
	}
	return ctx, c, nil
}

func (c *call) examine() {
	check := c.inc.checkUp()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.check = check
}

// end lets the call out. It may come several times.
func (c *call) end() {
	c.once.Do(func() {
		if c.doctor != nil {
			c.doctor.Stop()
		}
		c.cancel()
		if !c.lasting {
			c.inc.calls.leave()
		}
	})
}

// explain turns what isn't the plugin's own answer into a diagnostic.
func (c *call) explain(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	name := c.inc.plugin.name
	st := status.Convert(err)
	// What the gRPC library says about a message it received begins like this,
	// on either side.
	library := strings.HasPrefix(st.Message(), "grpc: ")
	switch {
	case st.Code() == codes.ResourceExhausted && (library || !c.answered.Load()):
		return connector.Errorf(connector.LimitExceeded, connector.OriginConnector,
			"A message to or from plugin %q is larger than the contract allows.", name).
			WithDetail("the limit is %d bytes", handshake.MaxMessageBytes).
			Suggest("Ask for less at once. If that isn't possible, report it to the plugin's author.").Because(err)
	case c.answered.Load() && (!library || st.Code() != codes.Internal):
		return err
	}
	if why := c.inc.ended(0); why != nil {
		return why.Because(err)
	}
	if _, limited := ctx.Deadline(); limited && st.Code() == codes.DeadlineExceeded {
		// The transport's clock and the context's don't ring at one instant.
		select {
		case <-ctx.Done():
		case <-time.After(verdictWait):
		}
	}
	if ctx.Err() != nil {
		return c.timedOut(ctx)
	}
	if st.Code() == codes.Unavailable || st.Code() == codes.Canceled {
		if why := c.inc.ended(endWait); why != nil {
			return why.Because(err)
		}
		return c.inc.condemn(connector.Errorf(connector.PluginContractBroken, connector.OriginConnector,
			"Plugin %q broke the connection; its process was ended.", name).
			With(connector.Retry).Suggest("Try again: a new process is started. If it happens again, report it to the plugin's author.").
			Because(err))
	}
	return connector.Errorf(connector.PluginContractBroken, connector.OriginConnector,
		"Plugin %q answered what can't be read.", name).
		Suggest("Report it to the plugin's author, with the log around this time.").Because(err)
}

// timedOut tells a slow answer from a process that doesn't answer at all.
func (c *call) timedOut(ctx context.Context) error {
	name := c.inc.plugin.name
	c.mu.Lock()
	check := c.check
	c.mu.Unlock()
	if check != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		select {
		case <-check.done:
			if check.err != nil {
				return check.err
			}
		case <-time.After(verdictWait):
			return connector.Errorf(connector.PluginUnresponsive, connector.OriginConnector,
				"Plugin %q answers neither the call nor a health check.", name).
				With(connector.Retry).Suggest("Try again: a process that stays silent is replaced.").Because(ctx.Err())
		}
	}
	return canceled("The call to plugin \""+name+"\"", ctx)
}

// ended waits until the process has ended, and says why it did.
func (i *Incarnation) ended(wait time.Duration) *connector.Diagnostic {
	if wait > 0 {
		select {
		case <-i.over:
		case <-time.After(wait):
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.why
}

// stream is an open stream of a call.
type stream struct {
	grpc.ClientStream
	call   *call
	ctx    context.Context
	single bool // one message ends it
}

// Header returns the headers of the answer.
func (s *stream) Header() (metadata.MD, error) {
	md, err := s.ClientStream.Header()
	return md, s.call.explain(s.ctx, err)
}

// SendMsg sends a message.
func (s *stream) SendMsg(m any) error { return s.call.explain(s.ctx, s.ClientStream.SendMsg(m)) }

// RecvMsg receives a message; an error ends the call.
func (s *stream) RecvMsg(m any) error {
	err := s.call.explain(s.ctx, s.ClientStream.RecvMsg(m))
	if err != nil || s.single {
		s.call.end()
	}
	return err
}

// answers notes that a plugin has sent a call's end, which tells its own
// errors from those of the transport.
type answers struct{}

var _ stats.Handler = answers{}

// TagRPC leaves the context as it is: begin has put the call into it.
func (answers) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC notes the end of a call.
func (answers) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.InTrailer); ok {
		if c, ok := ctx.Value(callKey{}).(*call); ok {
			c.answered.Store(true)
		}
	}
}

// TagConn leaves the context as it is.
func (answers) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn notes nothing.
func (answers) HandleConn(context.Context, stats.ConnStats) {}

// refuseBroker keeps go-plugin from opening its broker's stream. Nothing uses
// it, and each message that a plugin sent there would start a goroutine in the
// host.
func refuseBroker(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if strings.HasPrefix(method, "/plugin.GRPCBroker/") {
		return nil, status.Error(codes.Unimplemented, "this host has no broker")
	}
	return streamer(ctx, desc, cc, method, opts...)
}
