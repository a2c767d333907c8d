// Package rawclient starts a connector and speaks to it without any library
// for plugins: it reads the handshake line, makes the client's certificate,
// holds the death pipe and dials, so that it can judge each of these steps.
package rawclient

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/boxconnection/connector/conformance/internal/group"
	"github.com/boxconnection/connector/proto/handshake"
)

const (
	// maxSocketPath is what the address of a socket holds on Linux.
	maxSocketPath = 107
	// maxLine bounds the handshake line, maxNoise what may stand before it.
	maxLine  = 64 << 10
	maxNoise = 1 << 20
	// maxKept bounds what is kept of each output.
	maxKept = 4 << 20
	// StartLimit is how long a connector has until its first answer.
	StartLimit = 10 * time.Second
	// killed is how long a killed process may take to be gone.
	killed = 5 * time.Second
)

// Spec says how a connector is started.
type Spec struct {
	Path string
	Args []string
	// Env is added to the environment, which is otherwise what the contract
	// names, PATH and a folder of its own as HOME and TMPDIR.
	Env []string
	// Folder is an existing private folder for this process.
	Folder string
	// SocketDir is where the socket goes; Folder/s if empty.
	SocketDir string
	// Versions are offered in PLUGIN_PROTOCOL_VERSIONS; "1" if empty.
	Versions string
	// NoCookie, NoCertificate, NoSocketDir and NoDeathPipe leave these out.
	NoCookie, NoCertificate, NoSocketDir, NoDeathPipe bool
	// Limit replaces StartLimit if it isn't zero.
	Limit time.Duration
}

// Process is a connector's process.
type Process struct {
	spec     Spec
	cmd      *exec.Cmd
	identity *Identity
	death    *os.File // the host's end of the death pipe
	reads    []*os.File

	stdout, stderr *Output
	lines          chan found
	exited         chan struct{}

	// Line is the handshake line, Noise what stood before it on standard
	// output. Both are set by Handshake.
	Line  *Line
	Noise []byte

	mu    sync.Mutex
	conns []*grpc.ClientConn
}

// found is the result of looking for the handshake line.
type found struct {
	line  *Line
	noise []byte
}

// Start starts the process. The caller closes it.
func Start(spec Spec) (_ *Process, err error) {
	p := &Process{spec: spec, stdout: &Output{}, stderr: &Output{}, lines: make(chan found, 1), exited: make(chan struct{})}
	if p.identity, err = NewIdentity(); err != nil {
		return nil, err
	}
	if spec.SocketDir == "" {
		p.spec.SocketDir = filepath.Join(spec.Folder, "s")
		if err := os.MkdirAll(p.spec.SocketDir, 0o700); err != nil {
			return nil, err
		}
	}
	path, err := filepath.Abs(spec.Path)
	if err != nil {
		return nil, err
	}
	p.cmd = exec.CommandContext(context.Background(), path, spec.Args...) //nolint:gosec // the binary under test
	p.cmd.Dir = spec.Folder
	p.cmd.Env = p.environment()
	group.Lead(p.cmd)
	if err := p.launch(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Process) environment() []string {
	s := &p.spec
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.Folder, "TMPDIR=" + s.Folder, "LANG=C.UTF-8"}
	if root := os.Getenv("SYSTEMROOT"); root != "" {
		env = append(env, "SYSTEMROOT="+root, "TEMP="+s.Folder, "TMP="+s.Folder, "USERPROFILE="+s.Folder)
	}
	versions := s.Versions
	if versions == "" {
		versions = "1"
	}
	env = append(env, "PLUGIN_PROTOCOL_VERSIONS="+versions)
	if !s.NoCookie {
		env = append(env, handshake.CookieKey+"="+handshake.CookieValue)
	}
	if !s.NoSocketDir {
		env = append(env, handshake.SocketDir+"="+s.SocketDir)
	}
	if !s.NoCertificate {
		env = append(env, "PLUGIN_CLIENT_CERT="+string(p.identity.PEM))
	}
	return append(env, s.Env...)
}

// launch starts the process with pipes of the suite's own, so that a
// grandchild that keeps them open holds nobody up.
func (p *Process) launch() error {
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	pipe := func() (*os.File, *os.File, error) {
		r, w, err := os.Pipe()
		return r, w, err
	}
	out, outW, err := pipe()
	if err != nil {
		return err
	}
	theirs, p.reads = append(theirs, outW), append(p.reads, out)
	errs, errsW, err := pipe()
	if err != nil {
		p.closePipes()
		return err
	}
	theirs, p.reads = append(theirs, errsW), append(p.reads, errs)
	p.cmd.Stdout, p.cmd.Stderr = outW, errsW
	if !p.spec.NoDeathPipe && group.InheritsFiles {
		r, w, err := pipe()
		if err != nil {
			p.closePipes()
			return err
		}
		theirs, p.death = append(theirs, r), w
		p.cmd.ExtraFiles = []*os.File{r}
		p.cmd.Env = append(p.cmd.Env, handshake.DeathFD+"=3")
	}
	if err := p.cmd.Start(); err != nil {
		p.closePipes()
		return err
	}
	go func() { _ = p.stderr.drain(errs) }()
	go p.readStdout(out)
	go func() {
		_ = p.cmd.Wait()
		// What it left of its group ends at once: later its number may be
		// another's.
		group.Kill(p.cmd.Process)
		close(p.exited)
	}()
	return nil
}

func (p *Process) closePipes() {
	for _, f := range append(p.reads, p.death) {
		if f != nil {
			_ = f.Close()
		}
	}
}

// readStdout looks for the handshake line and keeps the rest.
func (p *Process) readStdout(r io.Reader) {
	lines := bufio.NewReaderSize(r, maxLine)
	var noise []byte
	for len(noise) < maxNoise {
		text, err := lines.ReadSlice('\n')
		if line, bad := parseLine(strings.TrimSuffix(string(text), "\n")); bad == nil && err == nil {
			p.lines <- found{line, noise}
			_ = p.stdout.drain(lines)
			return
		}
		noise = append(noise, text...)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			break
		}
	}
	p.lines <- found{nil, noise}
	_, _ = p.stdout.Write(noise)
	_ = p.stdout.drain(lines)
}

// Handshake waits for the handshake line.
func (p *Process) Handshake(ctx context.Context) error {
	limit := p.spec.Limit
	if limit == 0 {
		limit = StartLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case f := <-p.lines:
		p.Line, p.Noise = f.line, f.noise
		if p.Line == nil {
			return fmt.Errorf("%w; standard output begins with %q", errNoLine, clip(f.noise))
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w within %s", errNoLine, limit)
	}
}

// Connect is Handshake and then a connection with the host's certificate.
func (p *Process) Connect(ctx context.Context) (*grpc.ClientConn, error) {
	if err := p.Handshake(ctx); err != nil {
		return nil, err
	}
	if p.spec.NoCertificate {
		return p.Dial(nil)
	}
	return p.Dial(p.identity.Config(p.Line.DER))
}

// PID returns the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// SocketDir is the folder that the process was told to put its socket into.
func (p *Process) SocketDir() string { return p.spec.SocketDir }

// Identity is the host's certificate.
func (p *Process) Identity() *Identity { return p.identity }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Running reports whether the process hasn't ended.
func (p *Process) Running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// WaitExit waits for the process's end and returns its exit code, -1 after a
// signal.
func (p *Process) WaitExit(limit time.Duration) (code int, ended bool) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode(), true
	case <-t.C:
		return 0, false
	}
}

// HostDies closes the death pipe.
func (p *Process) HostDies() error {
	if p.death == nil {
		return errors.New("the process was started without a death pipe")
	}
	return p.death.Close()
}

// Signal sends a signal to the process alone.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Stdout and Stderr are what the process printed, without the handshake line.
func (p *Process) Stdout() []byte { return append(bytes.Clone(p.Noise), p.stdout.Bytes()...) }

// Stderr is what the process printed to standard error.
func (p *Process) Stderr() []byte { return p.stderr.Bytes() }

// Close ends the process and all that it started in its group.
func (p *Process) Close() error {
	p.mu.Lock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
	p.mu.Unlock()
	if p.Running() {
		group.Kill(p.cmd.Process)
	}
	_, ended := p.WaitExit(killed)
	p.closePipes()
	if !ended {
		return fmt.Errorf("process %d doesn't end when it is killed", p.PID())
	}
	return nil
}

func clip(b []byte) string {
	const shown = 120
	if len(b) > shown {
		return string(b[:shown]) + "…"
	}
	return string(b)
}
