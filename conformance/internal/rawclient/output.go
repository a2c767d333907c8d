package rawclient

import (
	"bytes"
	"io"
	"sync"
)

// Output keeps the beginning of what a process prints. It is safe for
// concurrent use.
type Output struct {
	mu   sync.Mutex
	kept bytes.Buffer
}

// Write keeps what there is room for.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if room := maxKept - o.kept.Len(); room > 0 {
		o.kept.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}

// Bytes returns a copy of what was kept.
func (o *Output) Bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.kept.Bytes())
}

// drain reads to the end.
func (o *Output) drain(r io.Reader) error {
	_, err := io.Copy(o, r)
	return err
}
