package checks

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/rawclient"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// startChecks judge how a process starts.
func startChecks() []*check.Check {
	return []*check.Check{
		{
			ID: "process.cookie", Level: check.Must, Clauses: []string{"P-1"}, Needs: check.Process,
			Title: "Without the cookie it says on standard error what it is, and exits with a code other than 0.",
			Run:   withoutCookie,
		},
		{
			ID: "process.version-highest", Level: check.Must, Clauses: []string{"P-2"}, Needs: check.Process,
			Title: "It serves the highest version that it has in common with the host.",
			Run: func(t *check.T) {
				for _, offered := range []string{"1", "97,1", "1,97"} {
					c := t.Start(func(s *rawclient.Spec) { s.Versions = offered })
					if got := c.Process.Line.Version; got != 1 {
						t.Errorf("offered %s, it serves %d", offered, got)
					}
				}
			},
		},
		{
			ID: "process.version-none", Level: check.Must, Clauses: []string{"P-3"}, Needs: check.Process,
			Title: "Without a version in common it serves its lowest, and says so.",
			Run: func(t *check.T) {
				p := t.Launch(func(s *rawclient.Spec) { s.Versions = "97" })
				if err := p.Handshake(t.Context()); err != nil {
					t.Fatalf("offered 97: %v", err)
				}
				if p.Line.Version != 1 {
					t.Errorf("offered 97, it says that it serves %d", p.Line.Version)
				}
			},
		},
		{
			ID: "process.handshake", Level: check.Must, Clauses: []string{"P-4"}, Needs: check.Process,
			Title: "It prints one handshake line of six fields when it accepts calls.",
			Run:   handshakeLine,
		},
		{
			ID: "process.quiet", Level: check.Must, Clauses: []string{"P-5"}, Needs: check.Process,
			Title: "Nothing stands on standard output before the handshake line.",
			Run: func(t *check.T) {
				if c := t.Start(); len(c.Process.Noise) > 0 {
					t.Errorf("%d bytes stand before the line: %q", len(c.Process.Noise), short(string(c.Process.Noise)))
				}
			},
		},
		{
			ID: "process.socket-place", Level: check.Must, Clauses: []string{"P-7"}, Needs: check.Process,
			Title: "The socket lies in the folder that the host names, or in the temporary folder, and begins with plugin.",
			Run:   socketPlace,
		},
		{
			ID: "process.socket-mode", Level: check.Must, Clauses: []string{"P-8"}, Needs: check.Process,
			Title: "The socket can't be used by other users, even where the folder lets them in.",
			Run:   socketMode,
		},
		{
			ID: "process.health", Level: check.Must, Clauses: []string{"P-11"}, Needs: check.Process,
			Title: "The health service answers SERVING for the service plugin.",
			Run: func(t *check.T) {
				c := t.Start()
				for range 2 {
					if problem := health(t.Call(), c.Inner); problem != "" {
						t.Fatalf("%s", problem)
					}
					_, _ = c.Describe(t.Call(), &connectorv1.DescribeRequest{})
				}
			},
		},
	}
}

func withoutCookie(t *check.T) {
	p := t.Launch(func(s *rawclient.Spec) { s.NoCookie = true })
	code, ended := p.WaitExit(t.Scale(5 * time.Second))
	switch {
	case !ended:
		t.Fatalf("it runs on")
	case code == 0:
		t.Errorf("it exits with code 0")
	}
	if !t.Eventually(time.Second, func() bool { return len(strings.TrimSpace(string(p.Stderr()))) > 0 }) {
		t.Errorf("it says nothing on standard error")
	}
}

func handshakeLine(t *check.T) {
	p := t.Launch()
	if err := p.Handshake(t.Context()); err != nil {
		t.Fatalf("%v; standard error: %q", err, short(string(p.Stderr())))
	}
	for _, fault := range p.Line.Faults {
		t.Errorf("the line: %s", fault)
	}
	if p.Line.Certificate == nil {
		t.Errorf("the line holds no certificate")
	}
	raw, err := p.Raw(t.Call())
	if err != nil {
		t.Fatalf("it doesn't accept connections when it prints the line: %v", err)
	}
	_ = raw.Close()
	conn, err := p.Dial(p.Identity().Config(p.Line.DER))
	if err != nil {
		t.Brokenf("%v", err)
	}
	if _, err := connectorv1.NewConnectorServiceClient(conn).Describe(t.Call(), &connectorv1.DescribeRequest{}, grpc.WaitForReady(false)); err != nil {
		t.Errorf("it doesn't answer a call when it prints the line: %s", check.Brief(err))
	}
}

func socketPlace(t *check.T) {
	if c := t.Start(); c.Process.Line.Network == "unix" {
		place(t, c.Process, c.Process.SocketDir())
	}
	folder := t.Folder()
	c := t.Start(func(s *rawclient.Spec) { s.NoSocketDir, s.Folder = true, folder })
	if c.Process.Line.Network == "unix" {
		place(t, c.Process, folder)
	}
}

func place(t *check.T, p *rawclient.Process, want string) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(p.Line.Address))
	resolved, wantErr := filepath.EvalSymlinks(want)
	if err != nil || wantErr != nil || dir != resolved {
		t.Errorf("the socket lies in %s, not in %s", filepath.Dir(p.Line.Address), want)
	}
	if name := filepath.Base(p.Line.Address); !strings.HasPrefix(name, "plugin") {
		t.Errorf("the socket's name is %q", name)
	}
}

func socketMode(t *check.T) {
	open := filepath.Join(t.Folder(), "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Brokenf("%v", err)
	}
	// The check's own folder keeps others out meanwhile.
	if err := os.Chmod(open, 0o755); err != nil { //nolint:gosec // the open folder is the point
		t.Brokenf("%v", err)
	}
	c := t.Start(func(s *rawclient.Spec) { s.SocketDir = open })
	if c.Process.Line.Network != "unix" {
		return // a port, with certificates in place of modes
	}
	info, err := os.Lstat(c.Process.Line.Address)
	if err != nil {
		t.Fatalf("the socket can't be looked at: %v", err)
	}
	if info.Mode()&fs.ModeSocket == 0 || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the socket's mode is %v", info.Mode())
	}
}

// health says what is wrong with the health service, or "".
func health(ctx context.Context, conn grpc.ClientConnInterface) string {
	answer, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{Service: "plugin"})
	switch {
	case err != nil:
		return "the health check fails: " + check.Brief(err)
	case answer.GetStatus() != healthv1.HealthCheckResponse_SERVING:
		return "the health service answers " + answer.GetStatus().String()
	}
	return ""
}
