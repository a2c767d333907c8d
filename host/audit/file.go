package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"

	"github.com/boxconnection/connector/proto/connector"
)

// maxLine bounds a line of the file when it is read.
const maxLine = 64 << 10

// File is a Sink that appends JSON lines to a file of mode 0600. Several
// processes may append to one file: each event is one write of one line.
type File struct {
	path string

	mu   sync.Mutex
	file *os.File
}

// OpenFile opens the file for appending, and makes it and its folder if they
// don't exist.
func OpenFile(path string) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, unwritable(path, err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, unwritable(path, err)
	}
	return &File{path: path, file: f}, nil
}

// Record appends the event.
func (f *File) Record(_ context.Context, e Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return unwritable(f.path, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.file.Write(append(line, '\n')); err != nil {
		return unwritable(f.path, err)
	}
	return nil
}

// Close closes the file. Later events fail.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}

// Read yields the events of a file in the order of their writing. A line that
// isn't an event, such as one that a crash cut off, is yielded as an error
// that names it, and the reading goes on. A file that doesn't exist is empty.
func Read(path string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer func() { _ = f.Close() }()
		read(f, path, yield)
	}
}

func read(r io.Reader, path string, yield func(Event, error) bool) {
	lines := bufio.NewReaderSize(r, maxLine)
	for n := 1; ; n++ {
		line, long, err := lines.ReadLine()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			yield(Event{}, fmt.Errorf("%s, line %d: %w", path, n, err))
			return
		}
		for rest := long; rest; {
			if _, rest, err = lines.ReadLine(); err != nil {
				return
			}
		}
		var e Event
		if long || json.Unmarshal(line, &e) != nil {
			if !yield(Event{}, fmt.Errorf("%s, line %d: not an audit event", path, n)) {
				return
			}
			continue
		}
		if !yield(e, nil) {
			return
		}
	}
}

func unwritable(path string, err error) error {
	return connector.Errorf(connector.AuditUnwritable, connector.OriginHost, "The audit record in %s can't be written.", path).
		WithDetail("%s", reason(err)).
		Suggest("Free space or give this user write access, then repeat the command.").Because(err)
}

// reason returns the innermost text of a file error, without the path again.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}
