package operation

import (
	"encoding/json"
	"hash/crc32"
	"io"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
)

// Output takes the documents of an execution. Each is sent at once; sending
// waits as long as the host doesn't read.
type Output[T any] struct{ session *Session }

// Send sends a document without content.
func (o *Output[T]) Send(document *T) error { return o.session.document(document, nil) }

// Begin sends a document whose content follows: what is written to the result,
// up to its Close. Length is what it will have, -1 for unknown. Until then no
// other document and no checkpoint can be sent.
func (o *Output[T]) Begin(document *T, length int64) (*ContentWriter, error) {
	p := &operationv1.Content{}
	if length >= 0 {
		announced := uint64(length)
		p.Length = &announced
	}
	if err := o.session.document(document, p); err != nil {
		return nil, err
	}
	return &ContentWriter{session: o.session, length: length, sum: crc32.New(handshake.Castagnoli())}, nil
}

// SendContent sends a document with all that r has, and tells the progress. If
// r fails, the document counts as cut off, and its error is returned.
func (o *Output[T]) SendContent(document *T, r io.Reader, length int64) error {
	w, err := o.Begin(document, length)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	return w.Close()
}

// document sends a document.
func (s *Session) document(document any, content *operationv1.Content) error {
	data, err := json.Marshal(document)
	if err != nil {
		return fault("a document can't be written as JSON")
	}
	if len(data) > handshake.MaxDocumentBytes {
		return connector.Errorf(connector.LimitExceeded, connector.OriginConnector, "A document has more than %d KiB.", handshake.MaxDocumentBytes>>10).
			Suggest("Ask for fewer fields, or for less at once.")
	}
	p := &operationv1.Document{Json: data, Content: content}
	if t, ok := document.(Tracker); ok {
		p.Properties = t.Tracked()
	}
	if err := s.unfinished(); err != nil {
		return err
	}
	if err := s.send(&operationv1.RunResponse{Part: &operationv1.RunResponse_Document{Document: p}}); err != nil {
		return err
	}
	s.mu.Lock()
	s.writing = content != nil
	s.mu.Unlock()
	return nil
}
