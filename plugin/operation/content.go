package operation

import (
	"errors"
	"hash"
	"hash/crc32"
	"io"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
)

// chunkSize is how much content travels in one message.
const chunkSize = 256 << 10

// Content is the content of the input document. It is read by one goroutine.
type Content struct {
	// Length is what the host says that it has, -1 for unknown.
	Length int64

	stream operationv1.OperationService_RunServer
	rest   []byte
	sum    hash.Hash32
	read   uint64
	end    error
}

func newContent(stream operationv1.OperationService_RunServer, p *operationv1.Content) *Content {
	c := &Content{Length: -1, stream: stream, sum: crc32.New(handshake.Castagnoli())}
	if p.Length != nil {
		c.Length = int64(p.GetLength())
	}
	return c
}

// Read implements io.Reader. It ends with io.EOF only if all of the content
// came, with the length and the digest that the host tells; else with a
// diagnostic, connector.ContentDamaged.
func (c *Content) Read(b []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.end == nil {
			c.end = c.next()
		}
		if c.end != nil {
			return 0, c.end
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// next receives a chunk.
func (c *Content) next() error {
	message, err := c.stream.Recv()
	if errors.Is(err, io.EOF) {
		return damaged("it ends before its end")
	}
	if err != nil {
		return err
	}
	switch part := message.GetPart().(type) {
	case *operationv1.RunRequest_Chunk:
		if len(part.Chunk) > handshake.MaxChunkBytes {
			return misuse("a chunk of content is too large")
		}
		c.rest = part.Chunk
		_, _ = c.sum.Write(c.rest) // a hash never fails
		c.read += uint64(len(c.rest))
		return nil
	case *operationv1.RunRequest_ContentEnd:
		switch {
		case part.ContentEnd.GetLength() != c.read || c.Length >= 0 && c.read != uint64(c.Length):
			return damaged("its length isn't what was told")
		case part.ContentEnd.GetCrc32C() != c.sum.Sum32():
			return damaged("its digest isn't what was told")
		}
		return io.EOF
	}
	return misuse("something stands between the chunks of content")
}

func damaged(how string) error {
	return connector.Errorf(connector.ContentDamaged, connector.OriginHost, "The content can't be used: %s.", how).
		With(connector.Retry).Suggest("Try again with the whole content.")
}

// ContentWriter takes the content of an output document. It is used by one
// goroutine, and must be closed.
type ContentWriter struct {
	session *Session
	length  int64
	sum     hash.Hash32
	written uint64
	buffer  []byte
	failed  error
}

// Write implements io.Writer. It waits as long as the host doesn't read.
func (w *ContentWriter) Write(b []byte) (int, error) {
	taken := 0
	for len(b) > 0 {
		if w.failed != nil {
			return taken, w.failed
		}
		n := min(len(b), chunkSize-len(w.buffer))
		w.buffer = append(w.buffer, b[:n]...)
		b, taken = b[n:], taken+n
		if len(w.buffer) == chunkSize {
			w.flush()
		}
	}
	return taken, w.failed
}

// ReadFrom implements io.ReaderFrom: io.Copy reads straight into the chunks.
func (w *ContentWriter) ReadFrom(r io.Reader) (int64, error) {
	if w.buffer == nil {
		w.buffer = make([]byte, 0, chunkSize)
	}
	var taken int64
	for w.failed == nil {
		n, err := r.Read(w.buffer[len(w.buffer):chunkSize])
		w.buffer, taken = w.buffer[:len(w.buffer)+n], taken+int64(n)
		if len(w.buffer) == chunkSize {
			w.flush()
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return taken, err
		}
	}
	return taken, w.failed
}

// flush sends the buffer as a chunk.
func (w *ContentWriter) flush() {
	if len(w.buffer) == 0 || w.failed != nil {
		return
	}
	_, _ = w.sum.Write(w.buffer) // a hash never fails
	w.written += uint64(len(w.buffer))
	w.failed = w.session.send(&operationv1.RunResponse{Part: &operationv1.RunResponse_Chunk{Chunk: w.buffer}})
	w.buffer = w.buffer[:0] // it was serialised
}

// Close ends the document's content. Without it, or if the length that was
// announced isn't reached, the document counts as cut off.
func (w *ContentWriter) Close() error {
	w.flush()
	if w.failed == nil && w.length >= 0 && w.written != uint64(w.length) {
		w.failed = connector.Errorf(connector.ContentDamaged, connector.OriginService,
			"The content has another length than was announced: %d bytes instead of %d.", w.written, w.length).
			With(connector.Retry).Suggest("Try again.")
	}
	if w.failed != nil {
		return w.failed
	}
	w.failed = w.session.send(&operationv1.RunResponse{Part: &operationv1.RunResponse_ContentEnd{
		ContentEnd: &operationv1.ContentEnd{Length: w.written, Crc32C: w.sum.Sum32()},
	}})
	if w.failed != nil {
		return w.failed
	}
	w.failed = fault("content was written after its end")
	w.session.mu.Lock()
	w.session.writing = false
	w.session.mu.Unlock()
	return nil
}
