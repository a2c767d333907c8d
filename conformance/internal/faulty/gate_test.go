//go:build unix

package main_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/boxconnection/connector/conformance"
	"github.com/boxconnection/connector/conformance/internal/service"
)

// scope is how much of the matrix is run: each broken connector's own check,
// its area, or all checks, twice and in different orders.
var scope = flag.String("mutation", "own", "own, area or full")

// binary is the connector, built once.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "faulty")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "faulty")
		if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil { //nolint:gosec // builds this package
			fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
			return 1
		}
		code := m.Run()
		if err := goleak.Find(); code == 0 && err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

// serve starts a service, one for each check.
func serve(context.Context) (map[string]string, func(), error) {
	s := service.New()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	return s.Vars("http://" + l.Addr().String()), func() {
		_ = server.Close()
		<-done
	}, nil
}

func profile() *conformance.Profile {
	return &conformance.Profile{
		Name:     "faulty",
		Settings: map[string]any{"kind": "standard", "service_url": "${base_url}", "client_id": "${client_id}"},
		Secrets:  map[string]string{"client_secret": "${client_secret}"}, RedirectURI: "http://localhost:8085/callback",
		Person: "ada", WithoutEnterprise: "alone", RequiredScopes: []string{"read"},
		Narrow:       &conformance.Narrowing{Scopes: []string{"read"}},
		Unnarrowable: &conformance.Narrowing{Scopes: []string{"everything"}},
		Credentials:  []conformance.Sample{{Format: 2, Data: []byte("{}")}},
	}
}

// run judges the connector with a fault.
func run(t *testing.T, fault string, seed uint64, checks ...string) *conformance.Report {
	t.Helper()
	var args []string
	if fault != "" {
		args = append(args, fault)
	}
	r, err := conformance.Run(t.Context(), conformance.Binary(binary, args...), conformance.Options{
		Profile: profile(), Service: serve, Checks: checks, Shuffle: seed, Parallel: 6, Watchdogs: 0.8,
	})
	if r == nil {
		t.Fatal(err)
	}
	return r
}

// Without a fault the connector is conformant: the faults are the faults.
func TestSoundConnectorIsConformant(t *testing.T) {
	t.Parallel()
	r := run(t, "", 1)
	for _, res := range r.Results {
		if res.Verdict != conformance.Pass && (res.ID != "versions.undeclared" || res.Verdict != conformance.NotApplicable) {
			t.Errorf("%s: %s %q", res.ID, res.Verdict, res.Messages)
		}
	}
	if r.Outcome != conformance.Conformant || r.Coverage.Percent() != 100 || r.Subject.SHA256 == "" {
		t.Errorf("%s, %+v, %+v", r.Outcome, r.Coverage, r.Subject)
	}
}

// For each check there is a connector that breaks what it demands, which it
// finds, and which no other MUST takes for broken.
func TestEachCheckFindsItsFaultAlone(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	killed, survived, collateral := 0, 0, 0
	turns := make(chan struct{}, 3)
	t.Run("faults", func(t *testing.T) {
		for i, c := range conformance.Checks() {
			t.Run(c.ID, func(t *testing.T) {
				t.Parallel()
				turns <- struct{}{}
				defer func() { <-turns }()
				var chosen []string
				switch *scope {
				case "own":
					chosen = []string{c.ID}
				case "area":
					chosen = []string{c.Area}
				}
				first := run(t, c.ID, uint64(i)+1, chosen...)
				dead, other := judge(t, c, first)
				if *scope == "full" {
					second := run(t, c.ID, uint64(i)+1000, chosen...)
					judge(t, c, second)
					compare(t, first, second)
				}
				mu.Lock()
				defer mu.Unlock()
				if dead {
					killed++
				} else {
					survived++
				}
				collateral += other
			})
		}
	})
	t.Logf("mutation (%s): %d killed, %d survived, %d collateral failures", *scope, killed, survived, collateral)
}

// judge holds a report to what its fault must come to.
func judge(t *testing.T, c conformance.Info, r *conformance.Report) (dead bool, collateral int) {
	t.Helper()
	for _, res := range r.Results {
		switch {
		case res.ID == c.ID:
			want := conformance.Fail
			if c.Level == "SHOULD" {
				want = conformance.Warn
			}
			if dead = res.Verdict == want; !dead {
				t.Errorf("its own check says %s: %q", res.Verdict, res.Messages)
			}
		case res.Level == "MUST" && (res.Verdict == conformance.Fail || res.Verdict == conformance.Error || res.Verdict == conformance.Timeout):
			collateral++
			t.Errorf("%s says %s: %q", res.ID, res.Verdict, res.Messages)
		}
	}
	if c.Level == "MUST" && r.Outcome != conformance.NotConformant {
		t.Errorf("the connector is %s", r.Outcome)
	}
	return dead, collateral
}

func compare(t *testing.T, a, b *conformance.Report) {
	t.Helper()
	for i := range a.Results {
		if x, y := a.Results[i], b.Results[i]; x.ID != y.ID || x.Verdict != y.Verdict {
			t.Errorf("%s says %s, then %s: %q, %q", x.ID, x.Verdict, y.Verdict, x.Messages, y.Messages)
		}
	}
}
