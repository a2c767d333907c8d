package host

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

// defaultRunTimeout bounds an execution whose caller names no time.
const defaultRunTimeout = time.Hour

// undoWithin is how long a cancelled execution may undo what it left at the
// service.
const undoWithin = 5 * time.Second

// Input is what an execution is given.
type Input struct {
	// Document is one JSON object; nil for an empty one.
	Document json.RawMessage
	// Content is read to its end, for operations that take content; nil for
	// none. A Read that blocks isn't waited for when the execution ends.
	Content io.Reader
	// Length is how much Content has, -1 for unknown. It isn't looked at
	// without Content.
	Length int64
	// Checkpoint is where to go on, as a Checkpoint event gave it; nil for
	// from the beginning. An empty one that isn't nil is a checkpoint too.
	Checkpoint []byte
	// ReturnApplicationErrors: what the application refuses becomes a document
	// with an Error, and the execution ends well.
	ReturnApplicationErrors bool
	// Timeout bounds the execution. Zero means an hour.
	Timeout time.Duration
	// Progress is called with how far the work is, of total 0 if that is
	// unknown, between events and while a document's content is read. Nil for
	// nobody.
	Progress func(completed, total int64)
}

// Event is what an execution brings: one of its members is set.
type Event struct {
	Document   *Document
	Checkpoint *Checkpoint
}

// Document is an output document.
type Document struct {
	// JSON is one JSON object; nil if Error is set.
	JSON json.RawMessage
	// Error is what the application refused.
	Error *connector.Diagnostic
	// Properties are shown beside the document.
	Properties map[string]string
	// Content is nil for none. It is read before the next event is asked for;
	// what isn't read by then is thrown away. It ends with io.EOF only if all
	// of it came, with the right length and digest.
	Content io.Reader
	// Length is what the content will have, -1 for unknown.
	Length int64
}

// Checkpoint says that all documents before it are whole.
type Checkpoint struct {
	// Data is where another execution of the operation can go on, here or on
	// another host.
	Data []byte
	// Done: nothing is left to do. It is the last event of an execution that
	// ended well.
	Done bool
}

// InvalidInput is the error of an input that the operation doesn't take. It
// unwraps to the first problem.
type InvalidInput struct {
	// Problems are all that is wrong with it.
	Problems connector.Diagnostics
}

// Error returns the first problem's text and how many more there are.
func (e *InvalidInput) Error() string { return e.Problems.Err().Error() }

// Unwrap returns the first problem.
func (e *InvalidInput) Unwrap() error { return e.Problems.Err() }

// Run executes one operation on one input document, and yields what it brings
// as it comes: documents, whose content is read in the loop, and checkpoints.
// An execution that isn't read is held up. Ending the loop early, or ctx,
// cancels it at the service too.
//
// An error ends the execution; the documents before it stand. Its disposition
// says what to do: connector.Retry (after RetryAfter), connector.SignInAgain,
// connector.FixSettings, connector.AskAdministrator, or none: the same input
// fails again. An input that breaks the operation's schema is an
// [*InvalidInput]; connector.PairingWrong and connector.ScopeMissing say that
// it can't run on this connection. Without an error the last event is a
// Checkpoint with Done.
//
// The operation gets access, never the credential: narrowed, if it declares to
// what and the connector can narrow. All executions and clients of the
// connection share one renewal and one throttle.
func (c *Connection) Run(ctx context.Context, o *Operations, operation string, in Input) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		r := &execution{c: c, o: o, in: in, yield: yield}
		err := r.run(ctx, operation)
		subject := o.description.ID + " " + operation
		if r.stopped && err == nil {
			err = context.Canceled
		}
		aerr := c.host.record(context.WithoutCancel(ctx), audit.Event{
			Actor: c.tenant.actor, Owner: c.key.Owner, Environment: c.key.Environment, Connection: c.key.Connection,
			Action: audit.ActionRun, Subject: subject,
		}, err)
		if err == nil {
			err = aerr
		}
		if err != nil && !r.stopped {
			yield(Event{}, err)
		}
	}
}

// execution is one run of an operation.
type execution struct {
	c       *Connection
	o       *Operations
	in      Input
	yield   func(Event, error) bool
	stopped bool
	stream  operationv1.OperationService_RunClient
	rejects connector.Diagnostics
	done    bool
}

func (r *execution) run(ctx context.Context, id string) error {
	op, ok := r.o.description.Operation(id)
	if !ok {
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "The operations %s have no %s.", r.o.description.ID, quoted(id)).
			Suggest("Use one of those that they describe.")
	}
	if err := r.check(); err != nil {
		return err
	}
	timeout := r.in.Timeout
	if timeout <= 0 {
		timeout = defaultRunTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, timedOut(op, timeout))
	defer cancel()
	start, g, err := r.start(ctx, op)
	if err != nil {
		return err
	}
	process, link, err := r.o.process(ctx)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	registered := link.Register(start.GetExecution(), g)
	defer registered.Release()
	err = r.work(ctx, end, process, start)
	if r.stopped || ctx.Err() != nil {
		end(context.Canceled)
		registered.Over(undoWithin)
	}
	return err
}

// check refuses what no operation takes.
func (r *execution) check() error {
	if r.in.Document == nil {
		r.in.Document = json.RawMessage("{}")
	}
	switch {
	case len(r.in.Document) > handshake.MaxDocumentBytes:
		return connector.Errorf(connector.LimitExceeded, connector.OriginHost, "The input has more than %d KiB.", handshake.MaxDocumentBytes>>10).
			Suggest("Give what is large as content.")
	case len(r.in.Checkpoint) > handshake.MaxCheckpointBytes:
		return connector.Errorf(connector.CheckpointUnreadable, connector.OriginHost, "The checkpoint has more than %d KiB.", handshake.MaxCheckpointBytes>>10).
			Suggest("Give one that an execution brought, unchanged.")
	}
	return nil
}

// start checks the pairing and says what the plugin is told.
func (r *execution) start(ctx context.Context, op *connector.Operation) (*operationv1.Start, *granter, error) {
	c := r.c
	conn, err := c.Connector()
	if err != nil {
		return nil, nil, err
	}
	if problem := mismatch(&r.o.description, &conn.description); problem != nil {
		return nil, nil, problem
	}
	record, err := c.load(ctx)
	if err != nil {
		return nil, nil, err
	}
	cfg, err := c.host.vault.config(ctx, record)
	if err != nil {
		return nil, nil, err
	}
	l, err := c.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	full, err := l.access(ctx, want{})
	if err != nil {
		return nil, nil, err
	}
	if p := paired(op, nil, full.access.Scopes, false); !p.Runs {
		return nil, nil, p.Diagnostic
	}
	g, err := c.granter(l, op, full, r.in.Document)
	if err != nil {
		return nil, nil, err
	}
	start := &operationv1.Start{
		Execution: token(16), Operation: op.ID, Input: r.in.Document, Checkpoint: r.in.Checkpoint,
		ReturnApplicationErrors: r.in.ReturnApplicationErrors,
		Network:                 c.host.callConfig(cfg).network, Endpoints: full.access.Endpoints,
	}
	if r.in.Content != nil {
		start.Content = &operationv1.Content{}
		if r.in.Length >= 0 {
			length := uint64(r.in.Length)
			start.Content.Length = &length
		}
	}
	return start, g, nil
}

// work runs the stream.
func (r *execution) work(ctx context.Context, end context.CancelCauseFunc, process grpc.ClientConnInterface, start *operationv1.Start) error {
	var err error
	if r.stream, err = operationv1.NewOperationServiceClient(process).Run(ctx); err != nil {
		return r.failure(ctx, err)
	}
	if err := r.stream.Send(&operationv1.RunRequest{Part: &operationv1.RunRequest_Start{Start: start}}); err != nil && !errors.Is(err, io.EOF) {
		return r.failure(ctx, err)
	}
	if r.in.Content == nil {
		_ = r.stream.CloseSend() // what is wrong with the stream shows where it is read
	} else {
		go feed(r.stream, r.in.Content, end)
	}
	for !r.stopped {
		part, err := r.next()
		if errors.Is(err, io.EOF) {
			return r.ended()
		}
		if err == nil {
			err = r.take(part)
		}
		if err != nil {
			return r.failure(ctx, err)
		}
	}
	return nil
}

// next receives a part. Progress is told on the way.
func (r *execution) next() (*operationv1.RunResponse, error) {
	for {
		part, err := r.stream.Recv()
		if err != nil {
			return nil, err
		}
		p := part.GetProgress()
		if p == nil {
			return part, nil
		}
		if r.in.Progress != nil {
			r.in.Progress(int64(p.GetCompleted()), int64(p.GetTotal()))
		}
	}
}

// take yields what a part is.
func (r *execution) take(part *operationv1.RunResponse) error {
	switch p := part.GetPart().(type) {
	case *operationv1.RunResponse_Document:
		return r.document(p.Document)
	case *operationv1.RunResponse_Checkpoint:
		if len(p.Checkpoint.GetData()) > handshake.MaxCheckpointBytes {
			return operationsBroke("a checkpoint is too large")
		}
		r.done = p.Checkpoint.GetDone()
		r.tell(Event{Checkpoint: &Checkpoint{Data: p.Checkpoint.GetData(), Done: r.done}})
		return nil
	case *operationv1.RunResponse_Rejection:
		r.rejects = protoconv.DiagnosticsFromProto(p.Rejection.GetProblems())
		return nil
	}
	return operationsBroke("content came without its document")
}

func (r *execution) tell(e Event) { r.stopped = !r.yield(e, nil) }

// document yields a document and reads what is left of its content.
func (r *execution) document(p *operationv1.Document) error {
	if len(p.GetJson()) > handshake.MaxDocumentBytes || len(p.GetProperties()) > handshake.MaxProperties {
		return operationsBroke("a document is too large")
	}
	d := &Document{JSON: p.GetJson(), Error: protoconv.DiagnosticFromProto(p.GetError()), Properties: protoconv.PropertiesFromProto(p.GetProperties())}
	if d.Error == nil && !json.Valid(d.JSON) {
		return operationsBroke("a document isn't JSON")
	}
	if p.GetContent() == nil {
		r.tell(Event{Document: d})
		return nil
	}
	content := newContent(r, p.GetContent())
	d.Content, d.Length = content, content.length
	r.tell(Event{Document: d})
	if r.stopped {
		return nil
	}
	_, err := io.Copy(io.Discard, content)
	return err
}

// ended judges the end of a stream without an error.
func (r *execution) ended() error {
	if r.done {
		return nil
	}
	return operationsBroke("an execution ended without saying that it is done")
}

// failure is why the execution failed: the plugin's reason, or why it was
// cancelled.
func (r *execution) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		if why, ok := errors.AsType[*connector.Diagnostic](context.Cause(ctx)); ok {
			return why
		}
	}
	err = protoconv.ErrorFromStatus(err)
	if is(err, connector.InputInvalid) && r.rejects.Err() != nil {
		return &InvalidInput{r.rejects}
	}
	return err
}

func timedOut(op *connector.Operation, timeout time.Duration) error {
	return connector.Errorf(connector.TimedOut, connector.OriginConnector, "The operation %q was ended: it had run for %s.", op.Title, timeout).
		With(connector.Retry).Suggest("Give it more time, or ask for less at once.")
}

func operationsBroke(what string) *connector.Diagnostic {
	return connector.Errorf(connector.PluginContractBroken, connector.OriginConnector, "The operations broke their contract: %s.", what).
		Suggest("Report it to the author of the operations, or go back to the version before.")
}
