//go:build unix

package crash_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// worker is a worker process as the driver sees it.
type worker struct {
	t      *testing.T
	cmd    *exec.Cmd
	input  io.WriteCloser
	lines  *bufio.Scanner
	told   strings.Builder
	plugin int // the connector's process
	node   string
	// launched is when it was started.
	launched time.Time
}

// launch starts a worker.
func (r *trial) launch(o order) *worker {
	r.t.Helper()
	o.Node = r.name()
	text, err := json.Marshal(o)
	if err != nil {
		r.t.Fatal(err)
	}
	w := &worker{t: r.t, cmd: exec.Command(os.Args[0]), node: o.Node, launched: time.Now()}
	w.cmd.Env = append(os.Environ(), workerVariable+"="+string(text))
	w.cmd.Stderr = os.Stderr
	if w.input, err = w.cmd.StdinPipe(); err != nil {
		r.t.Fatal(err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	w.lines = bufio.NewScanner(out)
	if err := w.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = w.cmd.Process.Kill() })
	return w
}

// reaches reads what the worker tells up to an instant, and reports whether it
// got there.
func (w *worker) reaches(instant string) bool {
	for w.lines.Scan() {
		line := w.lines.Text()
		w.told.WriteString(line + "\n")
		if pid, ok := strings.CutPrefix(line, "plugin "); ok {
			w.plugin, _ = strconv.Atoi(pid) // the worker wrote it
		}
		if line == "at "+instant {
			return true
		}
	}
	return false
}

// goOn lets a worker that waits go on.
func (w *worker) goOn() { _, _ = io.WriteString(w.input, "go\n") }

// end waits for the worker's end, and lets it go on wherever it waits.
func (w *worker) end() (code int, told string) {
	_ = w.input.Close()
	w.reaches("its end")
	_ = w.cmd.Wait() // the code says it
	return w.cmd.ProcessState.ExitCode(), w.told.String()
}
