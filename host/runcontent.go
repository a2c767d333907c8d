package host

import (
	"context"
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

// feed sends an input's content, and its length and digest. It ends the
// execution if the content can't be read.
func feed(stream operationv1.OperationService_RunClient, content io.Reader, end context.CancelCauseFunc) {
	sum, length := crc32.New(handshake.Castagnoli()), uint64(0)
	buffer := make([]byte, chunkSize)
	for {
		n, err := io.ReadFull(content, buffer)
		if n > 0 {
			_, _ = sum.Write(buffer[:n]) // a hash never fails
			length += uint64(n)
			if stream.Send(&operationv1.RunRequest{Part: &operationv1.RunRequest_Chunk{Chunk: buffer[:n]}}) != nil {
				return // the reason shows where the stream is read
			}
		}
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			_ = stream.Send(&operationv1.RunRequest{Part: &operationv1.RunRequest_ContentEnd{
				ContentEnd: &operationv1.ContentEnd{Length: length, Crc32C: sum.Sum32()},
			}})
			_ = stream.CloseSend()
			return
		case err != nil:
			end(connector.Errorf(connector.ContentDamaged, connector.OriginHost, "The input's content can't be read to its end.").
				Suggest("Check where it comes from.").Because(err))
			return
		}
	}
}

// content is the content of an output document, read from the execution's
// stream.
type content struct {
	run    *execution
	length int64
	rest   []byte
	sum    hash.Hash32
	read   uint64
	end    error
}

func newContent(r *execution, p *operationv1.Content) *content {
	c := &content{run: r, length: -1, sum: crc32.New(handshake.Castagnoli())}
	if p.Length != nil {
		c.length = int64(p.GetLength())
	}
	return c
}

// Read implements io.Reader.
func (c *content) Read(b []byte) (int, error) {
	if err := c.fill(); err != nil {
		return 0, err
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo: io.Copy writes whole chunks.
func (c *content) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for {
		err := c.fill()
		if errors.Is(err, io.EOF) {
			return written, nil
		}
		if err != nil {
			return written, err
		}
		n, err := w.Write(c.rest)
		written, c.rest = written+int64(n), c.rest[n:]
		if err != nil {
			return written, err
		}
	}
}

// fill receives a chunk if there is nothing left of the last one.
func (c *content) fill() error {
	for len(c.rest) == 0 {
		if c.end == nil {
			c.end = c.next()
		}
		if c.end != nil {
			return c.end
		}
	}
	return nil
}

func (c *content) next() error {
	part, err := c.run.next()
	if errors.Is(err, io.EOF) {
		return operationsBroke("an execution ended in the middle of a document's content")
	}
	if err != nil {
		return c.run.failure(c.run.stream.Context(), err)
	}
	switch p := part.GetPart().(type) {
	case *operationv1.RunResponse_Chunk:
		if len(p.Chunk) > handshake.MaxChunkBytes {
			return operationsBroke("a chunk of content is too large")
		}
		c.rest = p.Chunk
		_, _ = c.sum.Write(c.rest) // a hash never fails
		c.read += uint64(len(c.rest))
		return nil
	case *operationv1.RunResponse_ContentEnd:
		if c.read != p.ContentEnd.GetLength() || c.length >= 0 && c.read != uint64(c.length) ||
			c.sum.Sum32() != p.ContentEnd.GetCrc32C() {
			return connector.Errorf(connector.ContentDamaged, connector.OriginConnector,
				"A document's content isn't what the operation told: its length or its digest differ.").
				With(connector.Retry).Suggest("Try again. If it happens again, report it to the author of the operations.")
		}
		return io.EOF
	}
	return operationsBroke("something stands between the chunks of content")
}
