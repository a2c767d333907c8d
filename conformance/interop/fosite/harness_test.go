package authserver_test

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

	"go.uber.org/goleak"

	authserver "github.com/boxconnection/connector/conformance/interop/fosite"
)

const (
	// commandFor bounds one run of connectorctl.
	commandFor = time.Minute
	// maxBody bounds an answer that is read.
	maxBody = 64 << 10
	// name is the connection's.
	name = "strict"
)

// The exit codes of connectorctl that matter here.
const (
	exitDone   = 0
	exitSignIn = 11
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a connection to a server of its own, worked by the built binaries.
type rig struct {
	*testing.T
	server *authserver.Server
	binary string // connectorctl
	home   string
	client *http.Client
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

// access is what `connectorctl access --json` prints.
type access struct {
	Token      string    `json:"access_token"`
	IssuedAt   time.Time `json:"issued_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	Generation uint64    `json:"generation"`
}

// failure is what --json prints of an error.
type failure struct {
	Error struct {
		Code        string `json:"code"`
		Disposition string `json:"disposition"`
		Summary     string `json:"summary"`
		Suggestion  string `json:"suggestion"`
	} `json:"error"`
}

// newRig starts a server and saves a connection to it.
func newRig(t *testing.T, accessLife time.Duration) *rig {
	t.Helper()
	r := &rig{T: t, binary: built(t, "connectorctl"), home: t.TempDir(), client: &http.Client{Timeout: commandFor}}
	built(t, "box-connection")
	server, err := authserver.Start(accessLife)
	if err != nil {
		t.Fatal(err)
	}
	r.server = server
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		server.Close()
	})
	args := []string{"connection", "create", name, "--secret", "client_secret=@-"}
	for setting, value := range server.Settings() {
		args = append(args, "--set", setting+"="+value)
	}
	r.want(exitDone, r.ctl(server.ClientSecret+"\n", args...))
	return r
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
func (r *rig) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.binary, append([]string{"--json", "--home", r.home}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.home, "TMPDIR=" + os.TempDir()}
	cmd.WaitDelay = commandFor / 4
	return cmd
}

// ctl runs connectorctl. It may be called from any goroutine.
func (r *rig) ctl(stdin string, args ...string) result {
	ctx, cancel := context.WithTimeout(r.Context(), commandFor)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := r.command(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	res := result{code: exitCode(cmd.Run())}
	res.stdout, res.stderr = stdout.String(), stderr.String()
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

func (r *rig) want(code int, res result) {
	r.Helper()
	if res.code != code {
		r.Fatalf("exit code %d, want %d; stderr: %s", res.code, code, res.stderr)
	}
}

// access asks for access, which must come.
func (r *rig) access(args ...string) access {
	r.Helper()
	a, err := r.tryAccess(args...)
	if err != nil {
		r.Fatal(err)
	}
	return a
}

// tryAccess may be called from any goroutine.
func (r *rig) tryAccess(args ...string) (access, error) {
	res := r.ctl("", append([]string{"access", name}, args...)...)
	var a access
	if res.code != exitDone {
		return a, fmt.Errorf("access ended with %d: %s", res.code, res.stderr)
	}
	return a, json.Unmarshal([]byte(res.stdout), &a)
}

// failed reads what a command said of its failure.
func (r *rig) failed(res result) failure {
	r.Helper()
	var f failure
	if err := json.Unmarshal([]byte(res.stderr), &f); err != nil {
		r.Fatalf("stderr isn't one error in JSON: %v: %q", err, res.stderr)
	}
	return f
}

// api calls the API with an access token and returns the status.
func (r *rig) api(token string) int {
	r.Helper()
	return r.get(r.server.APIURL()+"/users/me", token)
}

// get opens an address as a browser would, following redirects.
func (r *rig) get(target, token string) int {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, target, http.NoBody)
	if err != nil {
		r.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)); err != nil {
		r.Fatal(err)
	}
	return resp.StatusCode
}

// signIn signs in: it registers the redirect URI that connectorctl prints, as
// a person does in the service's console, and goes the browser's way.
func (r *rig) signIn() result {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), commandFor)
	defer cancel()
	var stderr, rest bytes.Buffer
	cmd := r.command(ctx, "connection", "sign-in", name, "--no-browser", "--port", "0")
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		r.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.Fatal(err)
	}
	var event struct {
		Event       string `json:"event"`
		URL         string `json:"url"`
		RedirectURI string `json:"redirect_uri"`
	}
	lines := json.NewDecoder(stdout)
	if err := lines.Decode(&event); err == nil && event.Event == "url" {
		r.server.Register(event.RedirectURI)
		r.get(event.URL, "")
	}
	_, readErr := io.Copy(&rest, io.MultiReader(lines.Buffered(), stdout))
	res := result{code: exitCode(cmd.Wait()), stdout: rest.String(), stderr: stderr.String()}
	if event.Event != "url" || readErr != nil {
		r.Fatalf("no URL was printed (read: %v); exit code %d, stderr: %s", readErr, res.code, res.stderr)
	}
	return res
}

// pass waits until time t has come: what is waited for is the host's own
// minimum interval, which nothing announces.
func (r *rig) pass(t time.Time) {
	r.Helper()
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		r.Fatal(r.Context().Err())
	}
}
