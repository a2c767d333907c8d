package operation

import (
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

// maxDirect is how many unanswered questions surely fit into what a stream
// takes without being read: 64 KiB, at about 100 bytes each.
const maxDirect = 256

// asker asks the host, for all executions, on the one stream that the host
// opened. Questions that have no answer when the stream breaks are asked again
// on the next one: asking twice does no harm.
type asker struct {
	start time.Time
	wake  chan struct{}

	mu      sync.Mutex
	queue   []*operationv1.Question
	pending map[uint64]*pending
	last    uint64
	sources map[string]*source
	sending bool
	stream  operationv1.OperationService_AccessServer // the present one, nil for none
	stop    context.CancelFunc                        // ends it
}

// pending is a question without an answer.
type pending struct {
	question *operationv1.Question
	answer   chan *operationv1.Answer
}

func newAsker() *asker {
	return &asker{
		start: time.Now(), wake: make(chan struct{}, 1),
		pending: map[uint64]*pending{}, sources: map[string]*source{},
	}
}

// now is on the monotonic clock.
func (a *asker) now() time.Duration { return time.Since(a.start) }

// serve works on a stream until it ends. A newer stream takes its place.
func (a *asker) serve(ctx context.Context, stream operationv1.OperationService_AccessServer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.mu.Lock()
	if a.stop != nil {
		a.stop()
	}
	a.stream, a.stop = stream, cancel
	a.queue = a.queue[:0]
	for _, p := range a.pending {
		a.queue = append(a.queue, p.question)
	}
	a.mu.Unlock()
	a.drain()

	received := make(chan error, 1)
	go func() {
		for {
			answers, err := stream.Recv()
			if err != nil {
				received <- err
				return
			}
			a.take(answers.GetAnswers())
		}
	}()
	for {
		select {
		case <-a.wake:
			a.drain()
		case err := <-received:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drain sends what is in the queue, unless somebody else is doing so.
func (a *asker) drain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sending {
		return
	}
	a.sending = true
	for a.stream != nil && len(a.queue) > 0 {
		n := min(len(a.queue), handshake.MaxQuestions)
		stream, batch := a.stream, &operationv1.AccessResponse{Questions: slices.Clone(a.queue[:n])}
		a.queue = append(a.queue[:0], a.queue[n:]...)
		a.mu.Unlock()
		err := stream.Send(batch)
		a.mu.Lock()
		if err != nil && a.stream == stream {
			a.stream = nil // what was lost is asked again on the next one
			a.stop()
		}
	}
	a.sending = false
}

// take hands answers to those who asked.
func (a *asker) take(answers []*operationv1.Answer) {
	for _, answer := range answers {
		a.mu.Lock()
		p, s := a.pending[answer.GetNumber()], a.sources[answer.GetExecution()]
		delete(a.pending, answer.GetNumber())
		a.mu.Unlock()
		if p != nil {
			p.answer <- answer
		} else if s != nil && answer.GetNumber() == 0 {
			s.pausedFor(answer.GetPause())
		}
	}
}

// ask asks a question and waits for its answer.
func (a *asker) ask(ctx context.Context, q *operationv1.Question) (*operationv1.Answer, error) {
	p := &pending{question: q, answer: make(chan *operationv1.Answer, 1)}
	a.post(p)
	select {
	case answer := <-p.answer:
		return answer, nil
	case <-ctx.Done():
		a.mu.Lock()
		delete(a.pending, q.GetNumber())
		a.mu.Unlock()
		return nil, context.Cause(ctx)
	}
}

// post numbers a question and sends it, or leaves it to the stream's own
// goroutine if so much is unanswered that sending could block.
func (a *asker) post(p *pending) {
	a.mu.Lock()
	a.last++
	p.question.Number = a.last
	a.pending[a.last] = p
	a.queue = append(a.queue, p.question)
	few := len(a.pending) <= maxDirect
	a.mu.Unlock()
	if few {
		a.drain()
		return
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// source is the access of one execution. It implements connector.AccessSource
// and connector.Throttle.
type source struct {
	asker     *asker
	execution string
	ctx       context.Context // the execution's

	mu     sync.Mutex
	cached *grant
	// until is when requests may be sent again, on the asker's clock.
	until time.Duration
}

// grant is access that the host gave.
type grant struct {
	id     uint64
	access *connector.Access
	good   time.Duration // until when, on the asker's clock
}

var (
	_ connector.AccessSource = (*source)(nil)
	_ connector.Throttle     = (*source)(nil)
)

// open makes the source of an execution. It is closed by the function that is
// returned; until then it serves a cancelled execution too, which may have
// something to undo.
func (a *asker) open(ctx context.Context, execution string) (*source, func()) {
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	s := &source{asker: a, execution: execution, ctx: ctx}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sources[execution] = s
	return s, func() {
		end()
		a.mu.Lock()
		delete(a.sources, execution)
		a.last++
		a.queue = append(a.queue, &operationv1.Question{
			Number: a.last, Execution: execution, Ask: &operationv1.Question_Ended{Ended: &operationv1.Ended{}},
		})
		a.mu.Unlock()
		a.drain()
	}
}

// Access implements connector.AccessSource: from memory as long as the host
// allows it, else by asking.
func (s *source) Access(ctx context.Context, req connector.AccessRequest) (*connector.Access, error) {
	s.mu.Lock()
	have := s.cached
	s.mu.Unlock()
	if have != nil && req.MinValidity == 0 && req.Refused != have.access.Generation && s.asker.now() < have.good {
		return have.access, nil
	}
	return s.ask(ctx, req, have)
}

func (s *source) ask(ctx context.Context, req connector.AccessRequest, have *grant) (*connector.Access, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(executionEnded(s.ctx)) })()
	question := &operationv1.AccessQuestion{RefusedGeneration: req.Refused}
	if req.MinValidity > 0 {
		question.MinimumValidity = durationpb.New(req.MinValidity)
	}
	if have != nil {
		question.Have = have.id
	}
	asked := s.asker.now()
	answer, err := s.asker.ask(ctx, &operationv1.Question{
		Execution: s.execution, Ask: &operationv1.Question_Access{Access: question},
	})
	if err != nil {
		return nil, err
	}
	s.pausedFor(answer.GetPause())
	if refusal := protoconv.DiagnosticFromProto(answer.GetRefusal()); refusal != nil {
		return nil, refusal
	}
	return s.granted(answer.GetGrant(), have, asked)
}

// granted keeps what the host gave.
func (s *source) granted(p *operationv1.Grant, have *grant, asked time.Duration) (*connector.Access, error) {
	g := &grant{id: p.GetId(), good: asked + p.GetGoodFor().AsDuration()}
	switch {
	case p.GetAccess() != nil:
		access, err := protoconv.AccessFromProto(p.GetAccess())
		if err != nil || access.Problem() != "" {
			return nil, hostFault("it gave access that can't be used").Because(err)
		}
		g.access = access
	case have != nil && have.id == g.id:
		g.access = have.access
	default:
		return nil, hostFault("it answered without access")
	}
	s.mu.Lock()
	s.cached = g
	s.mu.Unlock()
	return g.access, nil
}

// AskedToWait implements connector.Throttle: the host and all of the
// connection's users are told.
func (s *source) AskedToWait(d time.Duration) {
	s.pausedFor(durationpb.New(d))
	if s.ctx.Err() != nil {
		return
	}
	s.asker.post(&pending{
		question: &operationv1.Question{
			Execution: s.execution, Ask: &operationv1.Question_AskedToWait{AskedToWait: durationpb.New(d)},
		},
		answer: make(chan *operationv1.Answer, 1),
	})
}

// Pause implements connector.Throttle.
func (s *source) Pause() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.until == 0 {
		return 0
	}
	return max(0, s.until-s.asker.now())
}

// pausedFor keeps the longest pause that was told.
func (s *source) pausedFor(d *durationpb.Duration) {
	if d == nil || d.AsDuration() <= 0 {
		return
	}
	until := s.asker.now() + d.AsDuration()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = max(s.until, until)
}

// executionEnded tells who still asks for access when the execution is over.
func executionEnded(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil && ctx.Err() == context.DeadlineExceeded {
		return err
	}
	return connector.Errorf(connector.Canceled, connector.OriginHost, "The execution has ended; its client gives no more access.")
}

func hostFault(what string) *connector.Diagnostic {
	return connector.Errorf(connector.Internal, connector.OriginHost, "The host broke its contract: %s.", what).
		Suggest("Report it to the author of the engine.")
}
