package boxsim

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// copyBuffer is the piece in which content is copied.
	copyBuffer = 256 << 10
	// idleContent is how long a client may pause while content travels.
	idleContent = 30 * time.Second
)

// errCut says that the connection was broken, or that the client is gone, in
// the middle of the content.
var errCut = errors.New("the content was cut off")

// intake is the body of an upload. It counts what arrives, gives the client
// more time as long as something does, and lets a fault act in the middle.
type intake struct {
	s     *Server
	c     *call
	w     http.ResponseWriter
	body  io.Reader
	fault *fault // nil: none acts here
	spoil *answer
	err   error // errCut once the content can't be whole any more
}

// Read reads on.
func (in *intake) Read(p []byte) (int, error) {
	if in.err != nil {
		return 0, in.err
	}
	if in.fault != nil {
		left := in.fault.Then.AfterBytes - in.c.entry.Received
		if left == 0 {
			if in.err = in.strike(); in.err != nil {
				return 0, in.err
			}
		} else {
			p = p[:min(int64(len(p)), left)]
		}
	}
	extend(http.NewResponseController(in.w).SetReadDeadline, idleContent)
	n, err := in.body.Read(p)
	in.c.entry.Received += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		in.c.entry.ClientGone = true
		in.err = errCut
		return n, errCut
	}
	return n, err
}

// strike lets the fault act between two bytes.
func (in *intake) strike() error {
	f := in.fault
	in.fault = nil
	extend(http.NewResponseController(in.w).SetReadDeadline, 2*maxDelay)
	spoil, goOn := in.s.strike(in.c, f)
	if !goOn || spoil != nil {
		in.spoil = spoil
		return errCut
	}
	return nil
}

// drain reads the rest of a body whose answer is decided, since a client that
// is still sending may miss an answer that comes too early. One that waits to
// be told to go on hasn't sent anything yet.
func (in *intake) drain() {
	if in.c.r.Header.Get("Expect") != "" && in.c.entry.Received == 0 {
		return
	}
	in.fault, in.err = nil, nil
	_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, in, make([]byte, copyBuffer)) // the answer is decided
}

// extend sets a deadline where the connection has one.
func extend(set func(time.Time) error, d time.Duration) {
	_ = set(time.Now().Add(d)) // a recorder has none
}

// source remembers why a reading failed, to tell it from a failed writing.
type source struct {
	from io.Reader
	err  error
}

// Read reads on.
func (src *source) Read(p []byte) (int, error) {
	n, err := src.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		src.err = err
	}
	return n, err
}

// take reads content into the store. The answer, if there is one, is the
// refusal; the error is the reader's.
func (s *Server) take(from io.Reader, quota int64) (*blob, *answer, error) {
	d, err := s.store.draft(quota)
	if err != nil {
		return nil, s.unstored(err), nil
	}
	src := &source{from: from}
	switch _, err := io.CopyBuffer(d, src, make([]byte, copyBuffer)); {
	case src.err != nil:
		d.drop()
		return nil, nil, src.err
	case errors.Is(err, errFull):
		d.drop()
		return nil, refusal("content_storage_limit"), nil
	case err != nil:
		d.drop()
		return nil, s.unstored(err), nil
	}
	b, err := d.keep()
	if err != nil {
		return nil, s.unstored(err), nil
	}
	return b, nil, nil
}

// unstored is the answer if the emulator's own disk fails.
func (s *Server) unstored(err error) *answer {
	s.log.Warn("the content of uploads", "error", err)
	return refusal("api_internal_error")
}

// outgoing sends an answer's body: all of it, or as a fault has it slowly, up
// to its middle, or with a stop on the way.
type outgoing struct {
	s    *Server
	w    http.ResponseWriter
	c    *call
	from io.Reader
	size int64
}

// send copies so many bytes, in steps with a pause before each. It returns
// false if the client is gone.
func (o outgoing) send(n int64, steps int64, pause time.Duration) bool {
	step := max(1, (n+steps-1)/steps)
	control := http.NewResponseController(o.w)
	buffer := make([]byte, min(copyBuffer, max(step, 1)))
	for n > 0 {
		if !rest(o.c.r.Context(), pause) {
			return false
		}
		for left := min(step, n); left > 0; {
			k, err := o.from.Read(buffer[:min(int64(len(buffer)), left)])
			if k > 0 {
				extend(control.SetWriteDeadline, writeTimeout)
				if _, err := o.w.Write(buffer[:k]); err != nil {
					return false
				}
				left, n = left-int64(k), n-int64(k)
				o.c.entry.Sent += int64(k)
			}
			if err != nil && left > 0 {
				return false
			}
		}
		if steps > 1 && control.Flush() != nil {
			return false
		}
	}
	return true
}

// all sends the body and meets it with what a fault has left to do.
func (o outgoing) all(f *fault, then Action) {
	steps, pause := int64(1), time.Duration(0)
	if then.SlowBody > 0 && o.size > 0 {
		steps, pause = slowSteps, time.Duration(then.SlowBody)/slowSteps
	}
	first := o.size
	switch {
	case then.AfterBytes > 0:
		first = min(then.AfterBytes, o.size)
	case then.Truncate:
		first = o.size / 2
	}
	if !o.send(first, steps, pause) {
		o.c.entry.ClientGone = o.s.gone(o.c)
		return
	}
	if then.AfterBytes == 0 && !then.Truncate {
		return
	}
	_ = http.NewResponseController(o.w).Flush() // what was sent has to arrive first
	if f != nil && then.AfterBytes > 0 && !then.Truncate {
		if _, goOn := o.s.strike(o.c, f); !goOn {
			if o.c.entry.Dropped {
				o.s.drop(o.w)
			}
			return
		}
		o.send(o.size-first, steps, pause)
		return
	}
	o.c.entry.Dropped = true
	o.s.drop(o.w)
}

func (s *Server) gone(c *call) bool { return errors.Is(c.r.Context().Err(), context.Canceled) }
