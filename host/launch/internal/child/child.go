// Package child runs one plugin process: in a process group of its own, with
// its outputs drained for as long as it lives, tied to the life of the host,
// and killed with everything that it started in its group.
package child

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/boxconnection/connector/proto/handshake"
)

const (
	// maxFirstLine bounds the handshake line. With an RSA certificate of 4096
	// bits it has about 2 KiB.
	maxFirstLine = 16 << 10

	// drainTime is how long the outputs may stay open after the process has
	// ended. A grandchild that left the group may hold them for ever.
	drainTime = 200 * time.Millisecond

	// busyRetries and busyWait: an executable that was just written can't be
	// run while a process that another goroutine is starting still holds the
	// descriptor it was written through. That passes within milliseconds.
	busyRetries = 20
	busyWait    = 2 * time.Millisecond
)

// ErrKilled says that the process was to be killed before it was started.
var ErrKilled = errors.New("killed before the start")

// Spec says what to run and where its output goes.
type Spec struct {
	Path string
	Env  []string
	Dir  string
	// Stdout gets what follows the first line, Stderr everything. They must
	// not block for long: the process waits for them.
	Stdout, Stderr io.WriteCloser
}

// Child is one process. Its methods are safe for concurrent use.
type Child struct {
	spec Spec
	cmd  *exec.Cmd

	first    firstLine
	done     chan struct{}
	death    *os.File // the write end of the death pipe, open while the process lives
	outputs  []*os.File
	draining sync.WaitGroup

	mu      sync.Mutex
	killed  bool
	started bool
	reaped  bool
}

// New returns a child that isn't started yet.
func New(spec Spec) *Child {
	return &Child{spec: spec, done: make(chan struct{}), first: firstLine{ready: make(chan struct{})}}
}

// Start starts the process on the spawner's thread.
func (c *Child) Start(spawner *Spawner) error {
	err := c.start(spawner)
	if err != nil {
		c.first.finish()
		close(c.done)
	}
	return err
}

func (c *Child) start(spawner *Spawner) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.killed {
		return ErrKilled
	}
	var theirs []*os.File
	defer func() { closeAll(theirs) }()
	pipe := func() (r, w *os.File, err error) {
		r, w, err = os.Pipe()
		if err == nil {
			c.outputs, theirs = append(c.outputs, r), append(theirs, w)
		}
		return r, w, err
	}
	stdout, childOut, err := pipe()
	if err != nil {
		return err
	}
	stderr, childErr, err := pipe()
	if err != nil {
		closeAll(c.outputs)
		return err
	}
	env := c.spec.Env
	var extra []*os.File
	if deathPipe {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(c.outputs)
			return err
		}
		theirs, extra, c.death = append(theirs, r), []*os.File{r}, w
		// os/exec numbers the extra files from 3.
		env = append(env, handshake.DeathFD+"="+strconv.Itoa(3))
	}
	for try := 0; ; try++ {
		c.cmd = &exec.Cmd{
			Path: c.spec.Path, Args: []string{c.spec.Path}, Env: env, Dir: c.spec.Dir,
			Stdout: childOut, Stderr: childErr, ExtraFiles: extra, SysProcAttr: processAttributes(),
		}
		err = spawner.run(c.cmd.Start)
		if err == nil || try == busyRetries || !textBusy(err) {
			break
		}
		time.Sleep(busyWait)
	}
	if err != nil {
		closeAll(c.outputs)
		if c.death != nil {
			closeAll([]*os.File{c.death})
		}
		return err
	}
	c.started = true
	c.draining.Go(func() { c.drain(stdout, &c.first, c.spec.Stdout) })
	c.draining.Go(func() { c.drain(stderr, nil, c.spec.Stderr) })
	go c.reap()
	return nil
}

// Kill kills the process and its group, at once. It doesn't wait and is safe
// to call at any time; before Start it forbids the start.
func (c *Child) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed = true
	if c.started && !c.reaped {
		killGroup(c.cmd.Process)
	}
}

// Done is closed when the process has ended, its group was killed and its
// outputs are read, or when it couldn't be started.
func (c *Child) Done() <-chan struct{} { return c.done }

// State returns how the process ended, or nil if it didn't or never started.
func (c *Child) State() *os.ProcessState {
	select {
	case <-c.done:
		if c.started {
			return c.cmd.ProcessState
		}
	default:
	}
	return nil
}

// PID returns the process's ID. It is only meaningful after a Start that
// succeeded.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// FirstLine waits for the first line on standard output. ok is false if the
// line is unfinished: the output ended, the line is too long or ctx is done.
// Then it returns what there is.
func (c *Child) FirstLine(ctx context.Context) (line string, ok bool) {
	select {
	case <-c.first.ready:
	case <-ctx.Done():
	}
	return c.first.get()
}

// reap waits for the end of the process, kills what is left of its group and
// closes everything.
func (c *Child) reap() {
	c.await()
	stop := time.AfterFunc(drainTime, func() { closeAll(c.outputs) })
	c.draining.Wait()
	stop.Stop()
	closeAll(c.outputs)
	if c.death != nil {
		closeAll([]*os.File{c.death})
	}
	close(c.done)
}

// drain reads an output to its end.
func (c *Child) drain(r io.Reader, first *firstLine, rest io.WriteCloser) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Read(buffer)
		chunk := buffer[:n]
		if first != nil {
			chunk = first.take(chunk)
		}
		if len(chunk) > 0 {
			_, _ = rest.Write(chunk) // a writer that fails only loses log lines
		}
		if err != nil {
			break
		}
	}
	if first != nil {
		first.finish()
	}
	_ = rest.Close()
}

// firstLine collects the first line of standard output.
type firstLine struct {
	ready chan struct{}

	mu       sync.Mutex
	text     []byte
	complete bool
	over     bool
}

// take keeps what belongs to the first line and returns the rest.
func (f *firstLine) take(p []byte) (rest []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return p
	}
	line, rest, found := bytes.Cut(p, []byte{'\n'})
	room := maxFirstLine - len(f.text)
	f.text = append(f.text, line[:min(len(line), room)]...)
	if found || len(line) > room {
		f.complete = found && len(line) <= room
		f.over = true
		close(f.ready)
	}
	return rest
}

func (f *firstLine) finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.over {
		f.over = true
		close(f.ready)
	}
}

func (f *firstLine) get() (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return string(bytes.TrimRight(f.text, "\r")), f.complete
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // closed twice is fine: the outputs have two owners
	}
}
