package check

import (
	"context"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/boxconnection/connector/conformance/internal/rawclient"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// CallLimit bounds a call that a check makes.
const CallLimit = 8 * time.Second

// Target hands over connections to a connector, each to a fresh process if it
// can. It is used by several goroutines.
type Target interface {
	Connect(ctx context.Context) (Instance, error)
}

// Instance is one connection. Close ends what stands behind it. If it has a
// method Output() []byte, what that returns is searched for secrets.
type Instance interface {
	grpc.ClientConnInterface
	io.Closer
}

// Binary is a target that the suite starts itself.
type Binary struct {
	Path string
	Args []string
	Env  []string
}

// Connect starts a process; the suite itself calls T.Start.
func (b *Binary) Connect(context.Context) (Instance, error) { return nil, errStartedBySuite }

// Exchange is one call that was made.
type Exchange struct {
	Method   string
	Request  proto.Message
	Answers  []proto.Message
	Err      error
	Trailer  metadata.MD
	Duration time.Duration
}

// Status is that of the failed call.
func (x *Exchange) Status() *status.Status { return status.Convert(x.Err) }

// Conn is a connection whose calls are noted.
type Conn struct {
	connectorv1.ConnectorServiceClient
	// Process is nil for a target that isn't a binary.
	Process *rawclient.Process
	// Inner is the connection without the notes.
	Inner grpc.ClientConnInterface

	instance Instance
	mu       sync.Mutex
	made     []Exchange
}

func newConn(inner grpc.ClientConnInterface) *Conn {
	c := &Conn{Inner: inner}
	c.ConnectorServiceClient = connectorv1.NewConnectorServiceClient(&noting{c})
	return c
}

// Made lists the calls so far.
func (c *Conn) Made() []Exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Exchange(nil), c.made...)
}

// Last is the latest call.
func (c *Conn) Last() Exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.made) == 0 {
		return Exchange{}
	}
	return c.made[len(c.made)-1]
}

// Output is what stands behind the connection printed, if that is known.
func (c *Conn) Output() (printed []byte, known bool) {
	if c.Process != nil {
		return append(c.Process.Stdout(), c.Process.Stderr()...), true
	}
	if o, ok := c.instance.(interface{ Output() []byte }); ok {
		return o.Output(), true
	}
	return nil, false
}

func (c *Conn) note(x Exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made = append(c.made, x)
}

// noting is a connection that notes calls.
type noting struct{ *Conn }

// Invoke makes a call.
func (n *noting) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	x := Exchange{Method: method}
	if m, ok := args.(proto.Message); ok {
		x.Request = proto.Clone(m)
	}
	begin := time.Now()
	x.Err = n.Inner.Invoke(ctx, method, args, reply, append(opts, grpc.Trailer(&x.Trailer))...)
	x.Duration = time.Since(begin)
	if m, ok := reply.(proto.Message); ok && x.Err == nil {
		x.Answers = []proto.Message{proto.Clone(m)}
	}
	n.note(x)
	return x.Err
}

// NewStream begins a call whose answers are noted when it ends.
func (n *noting) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	inner, err := n.Inner.NewStream(ctx, desc, method, opts...)
	if err != nil {
		n.note(Exchange{Method: method, Err: err})
		return nil, err
	}
	return &notingStream{ClientStream: inner, conn: n.Conn, x: Exchange{Method: method}, begin: time.Now()}, nil
}

type notingStream struct {
	grpc.ClientStream
	conn  *Conn
	x     Exchange
	begin time.Time
	done  bool
}

// SendMsg notes the request.
func (s *notingStream) SendMsg(m any) error {
	if p, ok := m.(proto.Message); ok {
		s.x.Request = proto.Clone(p)
	}
	return s.ClientStream.SendMsg(m)
}

// RecvMsg notes the answer.
func (s *notingStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	switch p, ok := m.(proto.Message); {
	case err == nil && ok:
		s.x.Answers = append(s.x.Answers, proto.Clone(p))
	case err != nil && !s.done:
		s.done = true
		if err != io.EOF { //nolint:errorlint // the stream's own end
			s.x.Err = err
		}
		s.x.Trailer, s.x.Duration = s.Trailer(), time.Since(s.begin)
		s.conn.note(s.x)
	}
	return err
}

// StartOption changes how a process is started.
type StartOption func(*rawclient.Spec)

// Launch starts a process without waiting for anything. Only for checks that
// need a process.
func (t *T) Launch(opts ...StartOption) *rawclient.Process {
	b, ok := t.Target.(*Binary)
	if !ok {
		t.Blockf("the target isn't a binary that the suite starts")
	}
	spec := rawclient.Spec{Path: b.Path, Args: b.Args, Env: b.Env, Folder: t.Folder(), Limit: t.Scale(rawclient.StartLimit)}
	for _, o := range opts {
		o(&spec)
	}
	p, err := rawclient.Start(spec)
	if err != nil {
		t.Blockf("the binary can't be started: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.report(Error, err.Error())
		}
	})
	return p
}

// Start connects to a fresh instance, and ends the check as not run if that
// fails.
func (t *T) Start(opts ...StartOption) *Conn {
	if _, ok := t.Target.(*Binary); !ok {
		instance, err := t.Target.Connect(t.ctx)
		if err != nil {
			t.Blockf("no connection: %v", err)
		}
		t.Cleanup(func() { _ = instance.Close() })
		c := newConn(instance)
		c.instance = instance
		return c
	}
	p := t.Launch(opts...)
	inner, err := p.Connect(t.ctx)
	if err != nil {
		t.Blockf("the connector didn't start: %v", err)
	}
	c := newConn(inner)
	c.Process = p
	return c
}

// Call is a context for one call.
func (t *T) Call() context.Context { return t.CallWithin(CallLimit) }

// CallWithin is a context for one call with a limit of its own.
func (t *T) CallWithin(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.ctx, d)
	t.Cleanup(cancel)
	return ctx
}
