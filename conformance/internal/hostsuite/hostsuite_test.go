package hostsuite_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/hostsuite"
)

// binaries is the folder of what the tests start.
var binaries string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "hostsuite")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(folder) }()
		binaries = folder
		const module = "github.com/boxconnection/connector/"
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		build := exec.CommandContext(ctx, "go", "build", "-tags", "grpcnotrace", "-o", folder+string(filepath.Separator),
			module+"conformance/cmd/connector-probe", module+"conformance/internal/badhost", module+"host/cmd/connectorctl") //nolint:gosec // our own
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
			return 1
		}
		code := m.Run()
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

// TestConnectorctlIsConformant judges the project's own host.
func TestConnectorctlIsConformant(t *testing.T) {
	t.Parallel()
	script, err := filepath.Abs("../../hosts/connectorctl")
	if err != nil {
		t.Fatal(err)
	}
	results := judge(t, script+" "+filepath.Join(binaries, "connectorctl")+" {action} {home} {plugin} {settings} {secret}", hostsuite.All())
	for _, r := range results {
		if r.Verdict != check.Pass {
			t.Errorf("%s: %s: %s", r.ID, r.Verdict, strings.Join(r.Messages, "; "))
		}
	}
	if c := hostsuite.Cover(results); len(c.Missing) > 0 {
		t.Errorf("clauses without a verdict: %v", c.Missing)
	}
}

// TestBadHostsAreCaught wants each fault seen by the check that is about it,
// and by no other of those.
func TestBadHostsAreCaught(t *testing.T) {
	t.Parallel()
	caught := map[string][]string{
		"none":        nil,
		"late-store":  {"host.persist-before-use", "host.persist-before-hand-out"},
		"no-lease":    {"host.one-flight"},
		"no-deadline": {"host.renewal-deadline"},
		"replays":     {"host.cut-off"},
		"chatty":      {"host.output"},
		"trusting":    {"host.replayed-state", "host.foreign-callback"},
	}
	var judged []*hostsuite.Check
	for _, c := range hostsuite.All() {
		for _, ids := range caught {
			if slices.Contains(ids, c.ID) {
				judged = append(judged, c)
			}
		}
	}
	for fault, ids := range caught {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			for _, r := range judge(t, filepath.Join(binaries, "badhost")+" "+fault+" {action} {home} {plugin} {settings} {secret}", judged) {
				want := check.Pass
				if slices.Contains(ids, r.ID) {
					want = check.Fail
				}
				if r.Verdict != want {
					t.Errorf("%s: %s, want %s: %s", r.ID, r.Verdict, want, strings.Join(r.Messages, "; "))
				}
			}
		})
	}
}

// TestClausesHaveChecks holds the list of checks to the contract.
func TestClausesHaveChecks(t *testing.T) {
	t.Parallel()
	ids, cited := map[string]bool{}, map[string]bool{}
	for _, c := range hostsuite.All() {
		if ids[c.ID] {
			t.Errorf("%s is there twice", c.ID)
		}
		ids[c.ID] = true
		if c.Level == check.Must {
			cited[c.Clauses[0]] = true
		}
	}
	for _, id := range hostsuite.Observable() {
		if !cited[id] {
			t.Errorf("no check holds hosts to %s", id)
		}
	}
}

func judge(t *testing.T, command string, checks []*hostsuite.Check) []check.Result {
	t.Helper()
	folder, err := os.MkdirTemp("", "ch") // short: a socket's path is bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	s := &hostsuite.Suite{Command: strings.Fields(command), Probe: filepath.Join(binaries, "connector-probe"), Folder: folder, Parallel: 4}
	return s.Run(t.Context(), checks)
}
