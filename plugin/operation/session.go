package operation

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"sync"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
	"github.com/boxconnection/connector/proto/handshake"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
)

// Session is what one execution works with. It ends with the execution: after
// that its client gets no access. It is safe for concurrent use, apart from
// the documents' content.
type Session struct {
	ctx       context.Context
	stream    operationv1.OperationService_RunServer
	client    *http.Client
	endpoints map[string]string
	resume    []byte
	resumed   bool
	content   *Content

	mu      sync.Mutex
	broken  error // of sending
	writing bool  // a document's content is being sent
}

func newSession(ctx context.Context, start *operationv1.Start, stream operationv1.OperationService_RunServer, access connector.AccessSource, base http.RoundTripper) *Session {
	s := &Session{
		ctx: ctx, stream: stream, client: connectorhttp.NewClient(access, base), endpoints: start.GetEndpoints(),
		resume: start.GetCheckpoint(), resumed: start.Checkpoint != nil,
	}
	if start.GetContent() != nil {
		s.content = newContent(stream, start.GetContent())
	}
	return s
}

// HTTPClient returns the client that authorises requests to the connection's
// endpoints. It sends a request whose token the service refuses once more with
// a newer one, waits when the service asks any user of the connection to, and
// takes the connection's way, its proxy and its certificates. Redirects to
// other places go on without the token. It has no time-out of its own: use the
// context of Run, or one below it, for each request.
func (s *Session) HTTPClient() *http.Client { return s.client }

// Endpoint returns the base URL of that name, such as "api". A name that the
// connection doesn't have gives an empty URL, which the client refuses.
func (s *Session) Endpoint(name string) *url.URL {
	u, err := url.Parse(s.endpoints[name])
	if err != nil {
		return &url.URL{}
	}
	return u
}

// Content returns what came with the input document, or nil for nothing. It is
// read once.
func (s *Session) Content() *Content { return s.content }

// Resume returns the checkpoint that the execution goes on from; ok is false
// if it begins at the beginning. A checkpoint may be empty.
func (s *Session) Resume() (checkpoint []byte, ok bool) { return bytes.Clone(s.resume), s.resumed }

// Checkpoint says that everything that was sent so far is done, and where an
// execution may go on if this one is cut off: after a page, or a part. Data is
// opaque to everybody else, and has at most 64 KiB. That all is done is told
// by returning nil from Run, not by a checkpoint.
func (s *Session) Checkpoint(data []byte) error {
	if len(data) > handshake.MaxCheckpointBytes {
		return fault("a checkpoint has more than 64 KiB")
	}
	if err := s.unfinished(); err != nil {
		return err
	}
	return s.send(&operationv1.RunResponse{Part: &operationv1.RunResponse_Checkpoint{
		Checkpoint: &operationv1.Checkpoint{Data: bytes.Clone(data)},
	}})
}

// Progress tells how far the work is, for people; total 0 means unknown.
func (s *Session) Progress(completed, total int64) {
	// An execution that can't tell its progress can't tell its outcome either,
	// and that is where it shows.
	_ = s.send(&operationv1.RunResponse{Part: &operationv1.RunResponse_Progress{
		Progress: &operationv1.Progress{Completed: uint64(max(0, completed)), Total: uint64(max(0, total))},
	}})
}

// send sends a part. It waits as long as the host doesn't read.
func (s *Session) send(p *operationv1.RunResponse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	if err := s.stream.Send(p); err != nil {
		s.broken = err
		if s.ctx.Err() != nil {
			s.broken = context.Cause(s.ctx)
		}
	}
	return s.broken
}

// unfinished fails if a document's content has begun and not ended.
func (s *Session) unfinished() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing {
		return fault("a document's content was begun and not closed")
	}
	return nil
}
