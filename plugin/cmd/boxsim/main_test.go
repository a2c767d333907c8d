package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin/box/boxsim"
	"go.uber.org/goleak"
)

// asCommand makes the test binary the command itself.
const asCommand = "BOXSIM_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Exit(run())
	}
	goleak.VerifyTestMain(m)
}

// process is the command at work.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	info   boxsim.Info
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	p := &process{cmd: exec.CommandContext(ctx, os.Args[0], append([]string{"--json"}, args...)...)}
	p.cmd.Env = append(os.Environ(), asCommand+"=1")
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := p.stdout.ReadBytes('\n')
	if err != nil {
		t.Fatalf("no line: %v", errors.Join(err, p.cmd.Wait()))
	}
	if err := json.Unmarshal(line, &p.info); err != nil {
		t.Fatal(err)
	}
	return p
}

// end checks that nothing follows the line and that the process ended well.
func (p *process) end(t *testing.T) {
	t.Helper()
	rest, err := io.ReadAll(p.stdout)
	if err != nil || len(rest) > 0 {
		t.Errorf("after the line: %q, %v", rest, err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestServesUntilSignalled(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "--client-id", "my-client", "--client-secret-file", secret, "--redirect-uri", "https://app.example/cb",
		"--auto-consent", "--token-rate", "3", "--rotation", "strict_single_use", "--access-lifetime", "10s",
		"--index-delay", "3s", "--listen-content", "127.0.0.1:0", "--content-folder", t.TempDir())
	if p.info.ClientID != "my-client" || p.info.ClientSecret != "s3cret" || len(p.info.RedirectURIs) != 2 || len(p.info.Users) == 0 ||
		!strings.HasPrefix(p.info.UploadURL, "http://127.0.0.1:") || !strings.HasPrefix(p.info.BaseURL, "http://localhost:") {
		t.Errorf("%+v", p.info)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	ctl := boxsim.Control{BaseURL: p.info.ControlURL, Token: p.info.ControlToken, Client: &http.Client{Transport: transport}}
	k, err := ctl.Knobs(t.Context())
	if err != nil || !k.AutoConsent || k.TokenRate != 3 || k.Rotation != boxsim.StrictSingleUse || time.Duration(k.AccessLifetime) != 10*time.Second ||
		time.Duration(k.IndexDelay) != 3*time.Second {
		t.Errorf("%+v, %v", k, err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.end(t)
}

func TestEndsWithStandardInput(t *testing.T) {
	t.Parallel()
	p := start(t, "--exit-with-stdin")
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	p.end(t)
}

// try runs a command line that ends by itself.
func try(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	code = execute(ctx, args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestWrongUse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want int
	}{
		{[]string{"--nonsense"}, 2},
		{[]string{"nonsense"}, 2},
		{[]string{"--listen", "0.0.0.0:0"}, 2},
		{[]string{"--listen-content", "0.0.0.0:0"}, 2},
		{[]string{"--listen-content", "localhost"}, 1},
		{[]string{"--index-delay", "-1s"}, 2},
		{[]string{"--tls-cert", "x"}, 2},
		{[]string{"--listen", "localhost"}, 1},
		{[]string{"--rotation", "sideways"}, 2},
		{[]string{"--redirect-uri", "http://app.example/"}, 2},
		{[]string{"--client-secret-file", filepath.Join(t.TempDir(), "none")}, 1},
		{[]string{"--tls-cert", "none", "--tls-key", "none"}, 1},
	} {
		code, out, errs := try(t, tc.args...)
		if code != tc.want || out != "" || !strings.HasPrefix(errs, "boxsim: ") {
			t.Errorf("%v: code %d, %q, %q", tc.args, code, out, errs)
		}
	}
}

func TestPrints(t *testing.T) {
	t.Parallel()
	_, evidence, _ := try(t, "evidence")
	if got := strings.Count(evidence, "\n"); got != len(boxsim.Evidence()) {
		t.Errorf("evidence has %d lines", got)
	}
	_, catalogue, _ := try(t, "catalogue")
	if got := strings.Count(catalogue, "\n"); got != len(boxsim.Catalogue()) {
		t.Errorf("the catalogue has %d lines", got)
	}
	_, flag, _ := try(t, "--version")
	_, command, _ := try(t, "version")
	if flag != command || !strings.HasPrefix(flag, "boxsim ") {
		t.Errorf("version: %q and %q", flag, command)
	}
}

func TestTellsAPerson(t *testing.T) {
	t.Parallel()
	_, out, _ := try(t, "--exit-with-stdin")
	for _, want := range []string{"Authorize URL", "Client secret", "Redirect URI", "ada@acme.example", "Control token"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}
