//go:build unix

package main_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/boxconnection/connector/conformance"
	"github.com/boxconnection/connector/conformance/internal/rawclient"
)

// launcher is an engine's own way of starting a connector.
type launcher struct {
	folder func() string
	quiet  bool
}

type launched struct {
	*grpc.ClientConn
	process *rawclient.Process
}

func (l *launched) Close() error { return l.process.Close() }

// loud is an instance whose output is known.
type loud struct{ *launched }

func (l *loud) Output() []byte { return l.process.Stderr() }

func (l *launcher) Connect(ctx context.Context) (conformance.Instance, error) {
	p, err := rawclient.Start(rawclient.Spec{Path: binary, Folder: l.folder()})
	if err != nil {
		return nil, err
	}
	conn, err := p.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if l.quiet {
		return &launched{conn, p}, nil
	}
	return &loud{&launched{conn, p}}, nil
}

// A target of an engine's own is judged by all checks but those of transport
// and process; what it doesn't show isn't passed.
func TestTargetOfAnEngine(t *testing.T) {
	t.Parallel()
	for _, quiet := range []bool{false, true} {
		target := &launcher{folder: t.TempDir, quiet: quiet}
		r, err := conformance.Run(t.Context(), target, conformance.Options{
			Profile: profile(), Service: serve, Checks: []string{"process.cookie", "describe.id", "sessions.unused", "secrets.output"},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, res := range r.Results {
			want := conformance.Pass
			if res.ID == "process.cookie" || quiet && res.ID == "secrets.output" {
				want = conformance.NotRun
			}
			if res.Verdict != want {
				t.Errorf("%s: %s %q", res.ID, res.Verdict, res.Messages)
			}
		}
		if r.Outcome != conformance.NotConformant {
			t.Errorf("it is %s", r.Outcome)
		}
	}
}

// In a test of an author's own.
func TestRunT(t *testing.T) {
	t.Parallel()
	conformance.RunT(t, conformance.Binary(binary), conformance.Options{Profile: profile(), Service: serve, Checks: []string{"describe", "identify"}})
}
