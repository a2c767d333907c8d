package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// process is a binary that runs, or ran.
type process struct {
	cmd            *exec.Cmd
	stdin          io.WriteCloser // nil if it reads a file
	stdout, stderr feed
	gone           chan struct{}
	code           int
}

// result is how a process ended.
type result struct {
	code           int
	stdout, stderr string
}

// feed collects what a process prints and wakes those who wait for it.
type feed struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

// Write implements io.Writer.
func (f *feed) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.more != nil {
		close(f.more)
		f.more = nil
	}
	return f.text.Write(p)
}

// read returns the text so far, and a channel that is closed when there is
// more.
func (f *feed) read() (string, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.more == nil {
		f.more = make(chan struct{})
	}
	return f.text.String(), f.more
}

func startProcess(c command, user func(*exec.Cmd)) (*process, error) {
	p := &process{cmd: exec.Command(c.program, c.args...), gone: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = c.dir, c.env
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if user != nil {
		user(p.cmd)
	}
	// A grandchild that keeps the outputs open mustn't hold the end up.
	p.cmd.WaitDelay = 5 * time.Second
	if c.stdin != "" {
		f, err := os.Open(c.stdin)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		p.cmd.Stdin = f
	} else {
		var err error
		if p.stdin, err = p.cmd.StdinPipe(); err != nil {
			return nil, err
		}
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.gone)
		_ = p.cmd.Wait() // the exit code says it all
		p.code = p.cmd.ProcessState.ExitCode()
	}()
	return p, nil
}

// wait waits for the end.
func (p *process) wait() (result, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.gone:
	case <-timer.C:
		return p.result(), fmt.Errorf("%s still runs after %s; it printed:\n%s", p.cmd, patience, p.result())
	}
	return p.result(), nil
}

func (p *process) result() result {
	out, _ := p.stdout.read()
	errs, _ := p.stderr.read()
	r := result{code: -1, stdout: out, stderr: errs}
	select {
	case <-p.gone:
		r.code = p.code
	default:
	}
	return r
}

// line waits until what the process printed on one of its outputs matches, and
// returns the match's groups.
func (p *process) line(pattern string) ([]string, error) {
	re, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for ended := false; ; {
		out, moreOut := p.stdout.read()
		errs, moreErr := p.stderr.read()
		for _, text := range []string{out, errs} {
			if m := re.FindStringSubmatch(text); m != nil {
				return m[1:], nil
			}
		}
		if ended {
			return nil, fmt.Errorf("%s ended without printing %q:\n%s", p.cmd, pattern, p.result())
		}
		select {
		case <-moreOut:
		case <-moreErr:
		case <-p.gone:
			ended = true // look once more
		case <-timer.C:
			return nil, fmt.Errorf("%s didn't print %q within %s:\n%s", p.cmd, pattern, patience, p.result())
		}
	}
}

// signInURL waits for the URL that a sign-in prints, as text or as JSON.
func (p *process) signInURL() (string, error) {
	m, err := p.line(`(https?://[^ "]*/authorize\?[^ "\n]*)`)
	if err != nil {
		return "", err
	}
	return m[0], nil
}

// kill ends the process by force if it still runs. The emulator ends with its
// standard input, and clears away what was uploaded to it.
func (p *process) kill() {
	select {
	case <-p.gone:
		return
	default:
	}
	if p.stdin != nil {
		_ = p.stdin.Close()
	}
	if filepath.Base(p.cmd.Path) == "boxsim" {
		select {
		case <-p.gone:
			return
		case <-time.After(patience):
		}
	}
	_ = p.cmd.Process.Kill() // it may have ended meanwhile
	<-p.gone
}

// String is what was printed.
func (r result) String() string { return r.stdout + r.stderr }

// succeeded is nil for an exit code of 0.
func (r result) succeeded(err error) error {
	if err == nil && r.code != 0 {
		err = fmt.Errorf("exit code %d\n%s", r.code, r)
	}
	return err
}

// decode reads the only line of standard output.
func (r result) decode(v any) error {
	d := json.NewDecoder(bytes.NewReader([]byte(r.stdout)))
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("standard output has more than one JSON value")
	}
	return nil
}
