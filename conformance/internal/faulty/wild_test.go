//go:build unix

package main_test

import (
	"bytes"
	"encoding/xml"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/conformance"
)

// A connector that hangs, crashes or prints without end holds nothing up: the
// run ends, what can be judged is, and no process is left.
func TestWildConnectorsEndNoRun(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"suite.hang", "suite.crash", "suite.noise"} {
		t.Run(fault, func(t *testing.T) {
			begun := time.Now()
			checks := []string{"process.cookie", "process.handshake", "describe.id", "describe.stable", "calls.concurrent", "errors.size"}
			r, err := conformance.Run(t.Context(), conformance.Binary(binary, fault), conformance.Options{
				Profile: profile(), Service: serve, Checks: checks, Watchdogs: 0.3,
			})
			if r == nil {
				t.Fatal(err)
			}
			for _, res := range r.Results {
				want := conformance.NotRun
				switch {
				case fault == "suite.noise" || res.ID == "process.cookie":
					want = conformance.Pass
				case res.ID == "process.handshake":
					want = conformance.Fail
				}
				if res.Verdict != want && res.Verdict != conformance.Timeout {
					t.Errorf("%s: %s %q", res.ID, res.Verdict, res.Messages)
				}
			}
			if took := time.Since(begun); took > 2*time.Minute {
				t.Errorf("the run took %v", took)
			}
			// ps shows the arguments; the name of the fault is one.
			if out, err := exec.Command("ps", "-eo", "args").Output(); err != nil || bytes.Contains(out, []byte(binary+" "+fault)) {
				t.Errorf("a process is left (%v)", err)
			}
		})
	}
}

// Reports of a broken connector: the failure is one for whoever reads them.
func TestReportsTellFailures(t *testing.T) {
	t.Parallel()
	r := run(t, "describe.id", 0, "describe")
	var b bytes.Buffer
	if err := r.JUnit(&b); err != nil {
		t.Fatal(err)
	}
	var read struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Suites   []struct {
			Cases []struct {
				Name    string `xml:"name,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(b.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	failures := 0
	for _, s := range read.Suites {
		for _, c := range s.Cases {
			if c.Failure != nil {
				failures++
				if c.Name != "describe.id" || !strings.Contains(c.Failure.Message, "Faulty_1") {
					t.Errorf("%s: %q", c.Name, c.Failure.Message)
				}
			}
		}
	}
	if failures != 1 || read.Failures != 1 || read.Tests != len(r.Results) {
		t.Errorf("%d failures, %+v", failures, read)
	}
	b.Reset()
	if err := r.Markdown(&b); err != nil || !strings.Contains(b.String(), "not conformant") || !strings.Contains(b.String(), "--check describe.id") {
		t.Errorf("%v: %s", err, b.String())
	}
}

// A known failure stays a failure, but is marked; one that isn't true any more
// is told.
func TestKnownFailures(t *testing.T) {
	t.Parallel()
	judge := func(check, reason string) *conformance.Report {
		p := profile()
		p.KnownFailures = []conformance.KnownFailure{{Check: check, Reason: reason}}
		r, err := conformance.Run(t.Context(), conformance.Binary(binary, "describe.id"), conformance.Options{Profile: p, Service: serve, Checks: []string{"describe"}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	known := judge("describe.id", "Faulty_1")
	if len(known.Stale) > 0 || known.Outcome != conformance.NotConformant {
		t.Errorf("%s, stale %q", known.Outcome, known.Stale)
	}
	for _, res := range known.Results {
		if res.Known != (res.ID == "describe.id") {
			t.Errorf("%s: known %v", res.ID, res.Known)
		}
	}
	for _, k := range [][2]string{{"describe.id", "another reason"}, {"describe.names", "nothing"}} {
		if r := judge(k[0], k[1]); len(r.Stale) != 1 {
			t.Errorf("%q isn't stale: %q", k, r.Stale)
		}
	}
}

// Without a profile the outcome is never conformant, and what wasn't run isn't
// green.
func TestWithoutProfile(t *testing.T) {
	t.Parallel()
	r, err := conformance.Run(t.Context(), conformance.Binary(binary), conformance.Options{Checks: []string{"describe", "errors"}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Outcome != conformance.NotConformant || r.Count(conformance.NotRun) == 0 || r.Count(conformance.Pass) == 0 {
		t.Errorf("%s, %d not run", r.Outcome, r.Count(conformance.NotRun))
	}
}
