// Package authrig meets the Box connector, unmodified and worked by the built
// binaries, with an authorization server that others wrote. It is for the tests
// of the modules beside it.
package authrig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	// commandFor bounds one run of connectorctl.
	commandFor = time.Minute
	// maxBody bounds an answer that is read.
	maxBody = 64 << 10
)

// The exit codes of connectorctl that matter here.
const (
	ExitDone   = 0
	ExitSignIn = 11
)

// Server is a running authorization server with an API behind it. It is safe
// for concurrent use.
type Server interface {
	// Settings are the settings of a Box connection to the server, without the
	// client's secret, and Secret is that.
	Settings() map[string]string
	Secret() string
	// APIURL is the base of the API.
	APIURL() string
	// Register registers a redirect URI with the client, to the letter.
	Register(redirectURI string)
	// Alive is the number of refresh tokens that still work.
	Alive() int
	// Counts and Check are those of the server's [Record].
	Counts() Counts
	Check() error
}

// Rig is a folder of connectorctl with connections to one server.
type Rig struct {
	*testing.T
	server Server
	binary string // connectorctl
	home   string
	client *http.Client
}

// Result is how a command ended.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// Access is what `connectorctl access --json` prints.
type Access struct {
	Token      string    `json:"access_token"`
	IssuedAt   time.Time `json:"issued_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	Generation uint64    `json:"generation"`
}

// Failure is what --json prints of an error.
type Failure struct {
	Error struct {
		Code        string `json:"code"`
		Disposition string `json:"disposition"`
		Summary     string `json:"summary"`
		Suggestion  string `json:"suggestion"`
	} `json:"error"`
}

// New is a rig for a server, which it doesn't end.
func New(t *testing.T, server Server) *Rig {
	t.Helper()
	r := &Rig{T: t, server: server, binary: built(t, "connectorctl"), home: t.TempDir(), client: &http.Client{Timeout: commandFor}}
	built(t, "box-connection")
	t.Cleanup(r.client.CloseIdleConnections)
	return r
}

// Create saves a connection to the server.
func (r *Rig) Create(name string) {
	r.Helper()
	r.Want(ExitDone, r.create(name))
}

func (r *Rig) create(name string) Result {
	args := []string{"connection", "create", name, "--secret", "client_secret=@-"}
	for setting, value := range r.server.Settings() {
		args = append(args, "--set", setting+"="+value)
	}
	return r.Ctl(r.server.Secret()+"\n", args...)
}

// built is the path of a binary that `make build` makes.
func built(t *testing.T, binary string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "..", "bin", binary))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("bin/%s can't be used (%v): run `make build` at the root of the repository first", binary, err)
	}
	return path
}

// command is a run of connectorctl, with nothing of this process's environment
// but the path.
func (r *Rig) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.binary, append([]string{"--json", "--home", r.home}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.home, "TMPDIR=" + os.TempDir()}
	cmd.WaitDelay = commandFor / 4
	return cmd
}

// Ctl runs connectorctl. It may be called from any goroutine.
func (r *Rig) Ctl(stdin string, args ...string) Result {
	ctx, cancel := context.WithTimeout(r.Context(), commandFor)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := r.command(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	res := Result{Code: exitCode(cmd.Run())}
	res.Stdout, res.Stderr = stdout.String(), stderr.String()
	return res
}

// exitCode is -1 for a command that didn't come to its end.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

// Want wants a command to have ended with a code.
func (r *Rig) Want(code int, res Result) {
	r.Helper()
	if res.Code != code {
		r.Fatalf("exit code %d, want %d; stderr: %s", res.Code, code, res.Stderr)
	}
}

// Access asks for access, which must come.
func (r *Rig) Access(name string, args ...string) Access {
	r.Helper()
	a, err := r.tryAccess(name, args...)
	if err != nil {
		r.Fatal(err)
	}
	return a
}

// tryAccess may be called from any goroutine.
func (r *Rig) tryAccess(name string, args ...string) (Access, error) {
	res := r.Ctl("", append([]string{"access", name}, args...)...)
	var a Access
	if res.Code != ExitDone {
		return a, fmt.Errorf("access ended with %d: %s", res.Code, res.Stderr)
	}
	return a, json.Unmarshal([]byte(res.Stdout), &a)
}

// Told reads what a command said of its Failure.
func (r *Rig) Told(res Result) Failure {
	r.Helper()
	var f Failure
	if err := json.Unmarshal([]byte(res.Stderr), &f); err != nil {
		r.Fatalf("stderr isn't one error in JSON: %v: %q", err, res.Stderr)
	}
	return f
}

// API calls the API with an access token and returns the status.
func (r *Rig) API(token string) int {
	r.Helper()
	status, err := r.status(token)
	if err != nil {
		r.Fatal(err)
	}
	return status
}

// status may be called from any goroutine.
func (r *Rig) status(token string) (int, error) { return r.get(r.server.APIURL()+"/users/me", token) }

// get opens an address as a browser would, following redirects.
func (r *Rig) get(target, token string) (status int, err error) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, target, http.NoBody)
	if err != nil {
		return 0, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
	return resp.StatusCode, err
}

// SignIn signs in: it registers the redirect URI that connectorctl prints, as
// a person does in the service's console, and goes the browser's way.
func (r *Rig) SignIn(name string) Result {
	r.Helper()
	res, err := r.signIn(name)
	if err != nil {
		r.Fatal(err)
	}
	return res
}

func (r *Rig) signIn(name string) (Result, error) {
	ctx, cancel := context.WithTimeout(r.Context(), commandFor)
	defer cancel()
	var stderr, rest bytes.Buffer
	cmd := r.command(ctx, "connection", "sign-in", name, "--no-browser", "--port", "0")
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return Result{}, err
	}
	if err := cmd.Start(); err != nil {
		return Result{}, err
	}
	var event struct {
		Event       string `json:"event"`
		URL         string `json:"url"`
		RedirectURI string `json:"redirect_uri"`
	}
	lines := json.NewDecoder(stdout)
	err = lines.Decode(&event)
	if err == nil && event.Event == "url" {
		r.server.Register(event.RedirectURI)
		_, err = r.get(event.URL, "")
	}
	_, readErr := io.Copy(&rest, io.MultiReader(lines.Buffered(), stdout))
	res := Result{Code: exitCode(cmd.Wait()), Stdout: rest.String(), Stderr: stderr.String()}
	if err = errors.Join(err, readErr); err != nil {
		err = fmt.Errorf("%w; exit code %d: %s", err, res.Code, res.Stderr)
	}
	return res, err
}

// Rest waits for the host's own minimum interval between two renewals, which
// nothing announces. It may be called from any goroutine.
func (r *Rig) Rest() {
	timer := time.NewTimer(RestFor)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}
