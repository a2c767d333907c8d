package logs

import (
	"bytes"
	"io"
	"sync"
)

// The streams of a plugin process. The synced ones are what a plugin prints
// after the handshake, which go-plugin carries over gRPC.
const (
	Stdout       = "stdout"
	Stderr       = "stderr"
	SyncedStdout = "synced stdout"
	SyncedStderr = "synced stderr"
)

// Writer returns a writer that cuts what is written into lines and queues
// them. It never blocks and never fails. Close queues an unfinished last line.
func (l *Log) Writer(stream string) io.WriteCloser {
	return &writer{log: l, stream: stream}
}

type writer struct {
	log    *Log
	stream string

	mu   sync.Mutex
	line []byte // the unfinished line, at most maxLine bytes of it
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	for {
		at := bytes.IndexByte(p, '\n')
		if at < 0 {
			w.keep(p)
			return n, nil
		}
		w.keep(p[:at])
		w.flush()
		p = p[at+1:]
	}
}

func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.line) > 0 {
		w.flush()
	}
	return nil
}

func (w *writer) keep(p []byte) {
	w.line = append(w.line, p[:min(len(p), maxLine-len(w.line))]...)
}

func (w *writer) flush() {
	w.log.add(w.stream, string(bytes.TrimRight(w.line, "\r")))
	w.line = w.line[:0]
}
