package peer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/boxconnection/connector/conformance/internal/group"
)

const (
	// startLimit is how long a peer has to print its line.
	startLimit = 15 * time.Second
	// stopLimit is how long it has to end after its input was closed.
	stopLimit = 2 * time.Second
	// maxLine bounds the line.
	maxLine = 1 << 20
)

// Instance is a running peer.
type Instance struct {
	*Client
	// Vars are the values that the profile may name: the members of the
	// peer's line that are strings.
	Vars map[string]string
	stop func()
}

// New returns an instance that runs already. Vars must hold control_url and
// control_token.
func New(vars map[string]string, stop func()) (*Instance, error) {
	if vars["control_url"] == "" || vars["control_token"] == "" {
		if stop != nil {
			stop()
		}
		return nil, errors.New("peer: control_url and control_token must be given")
	}
	transport := &http.Transport{DisableKeepAlives: false, MaxIdleConns: 2}
	return &Instance{
		Client: &Client{URL: vars["control_url"], Token: vars["control_token"], HTTP: &http.Client{Transport: transport}},
		Vars:   vars,
		stop: func() {
			transport.CloseIdleConnections()
			if stop != nil {
				stop()
			}
		},
	}, nil
}

// Stop ends the peer.
func (i *Instance) Stop() { i.stop() }

// Start starts a peer by its command and reads its line: one JSON object on
// standard output. A name without a slash is looked for in folder, then in
// PATH.
func Start(ctx context.Context, command []string, folder, home string) (vars map[string]string, stop func(), err error) {
	path := command[0]
	if filepath.Base(path) == path {
		if beside := filepath.Join(folder, path); executable(beside) {
			path = beside
		}
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, command[1:]...) //nolint:gosec // the profile names it
	cmd.Env = append(os.Environ(), "HOME="+home)
	group.Lead(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("peer: %w", err)
	}
	type result struct {
		line []byte
		err  error
	}
	lines, read := make(chan result, 1), make(chan struct{})
	go func() {
		defer close(read)
		r := bufio.NewReaderSize(stdout, maxLine)
		line, err := r.ReadSlice('\n')
		lines <- result{append([]byte(nil), line...), err}
		_, _ = io.Copy(io.Discard, r)
	}()
	stop = func() {
		_ = stdin.Close()
		timer := time.AfterFunc(stopLimit, func() { group.Kill(cmd.Process) })
		<-read
		_ = cmd.Wait()
		timer.Stop()
		group.Kill(cmd.Process)
	}
	timer := time.NewTimer(startLimit)
	defer timer.Stop()
	select {
	case r := <-lines:
		vars, err := variables(r.line)
		if err != nil || r.err != nil {
			group.Kill(cmd.Process)
			stop()
			return nil, nil, fmt.Errorf("peer: its first line isn't one JSON object: %w", errors.Join(r.err, err))
		}
		return vars, stop, nil
	case <-timer.C:
		err = fmt.Errorf("peer: no line within %s", startLimit)
	case <-ctx.Done():
		err = ctx.Err()
	}
	group.Kill(cmd.Process)
	stop()
	return nil, nil, err
}

func variables(line []byte) (map[string]string, error) {
	var object map[string]any
	if err := json.Unmarshal(line, &object); err != nil {
		return nil, err
	}
	vars := map[string]string{}
	for name, value := range object {
		if text, ok := value.(string); ok {
			vars[name] = text
		}
	}
	return vars, nil
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
