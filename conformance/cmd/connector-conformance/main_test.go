package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// bin holds the binaries, built once.
var bin string

const profile = "../../profiles/box.json"

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "suite")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		bin = dir
		build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), ".", "../../../plugin/cmd/box-connection", "../../../plugin/cmd/boxsim") //nolint:gosec // our own
		if out, err := build.CombinedOutput(); err != nil {
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

// suite runs the real binary and returns what it printed and its exit code.
func suite(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "connector-conformance"), args...) //nolint:gosec // built above
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// The Box connector is conformant, with all of the clauses that can be seen
// looked at, and the reports are bound to its binary.
func TestBoxConnectionIsConformant(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	box := filepath.Join(bin, "box-connection")
	stdout, stderr, code := suite(t, "run", box, "--profile", profile, "--report", "json,junit,markdown", "--out", out)
	if code != exitConformant {
		t.Fatalf("exit %d: %s%s", code, stdout, stderr)
	}
	var report struct {
		Outcome  string
		Subject  struct{ SHA256 string }
		Coverage struct{ Observable, Covered int }
		Results  []struct{ ID, Verdict, Repeat string }
	}
	data, err := os.ReadFile(filepath.Join(out, "conformance.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatal(err)
	}
	if report.Outcome != "conformant" || len(report.Subject.SHA256) != 64 || report.Coverage.Covered != report.Coverage.Observable {
		t.Errorf("%s, %+v, %+v", report.Outcome, report.Subject, report.Coverage)
	}
	data, err = os.ReadFile(filepath.Join(out, "conformance.xml"))
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Tests int `xml:"tests,attr"`
	}
	if err := xml.Unmarshal(data, &read); err != nil || read.Tests != len(report.Results) {
		t.Errorf("%v: %d tests of %d", err, read.Tests, len(report.Results))
	}
	// The command that repeats a check is one that works.
	words := strings.Fields(report.Results[0].Repeat)
	if _, stderr, code := suite(t, words[1:]...); code != exitConformant {
		t.Errorf("%q: exit %d: %s", words, code, stderr)
	}
}

// Wrong usage, a profile that can't be meant and a run of nothing exit with 2.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	box := filepath.Join(bin, "box-connection")
	for _, c := range []struct {
		want int
		args []string
	}{
		{exitUsage, nil},
		{exitUsage, []string{"run"}},
		{exitUsage, []string{"run", box, "--attach", "x"}},
		{exitUsage, []string{"run", box, "--nonsense"}},
		{exitUsage, []string{"run", box, "--check", "no.such"}},
		{exitUsage, []string{"run", box, "--report", "pdf"}},
		{exitUsage, []string{"run", filepath.Join(dir, "missing")}},
		{exitUsage, []string{"run", box, "--profile", filepath.Join(dir, "missing.json")}},
		{exitUsage, []string{"run", box, "--profile", file("broken.json", `{"settings":`)}},
		{exitUsage, []string{"run", box, "--profile", file("unknown.json", `{"settings":{},"sekrets":{}}`)}},
		{exitUsage, []string{"run", box, "--profile", file("twice.json", `{"settings":{"a":"b"},"secrets":{"a":"b"}}`)}},
		{exitUsage, []string{"run", box, "--check", "errors"}}, // needs a profile: nothing ran
		{exitUsage, []string{"explain", "no.such"}},
		{exitNot, []string{"run", box, "--check", "describe"}}, // not all of it ran
		{exitFault, []string{"run", box, "--check", "errors.size", "--profile", file("peerless.json", `{"settings":{},"peer":{"command":["/nowhere/peer"]}}`)}},
		{exitConformant, []string{"run", box, "--check", "process.cookie,describe.id"}},
		{exitConformant, []string{"list"}},
		{exitConformant, []string{"explain", "sessions.unused"}},
		{exitConformant, []string{"version"}},
	} {
		if stdout, stderr, code := suite(t, c.args...); code != c.want {
			t.Errorf("%q: exit %d, want %d: %s%s", c.args, code, c.want, stdout, stderr)
		}
	}
	if stdout, _, _ := suite(t, "explain", "sessions.unused"); !strings.Contains(stdout, "OpenSession MUST NOT use a new access token") {
		t.Errorf("the clause isn't told: %s", stdout)
	}
}

// A plugin that runs under a debugger can be judged, but never as conformant.
func TestAttach(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		return
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "box-connection"), "--debug") //nolint:gosec // built above
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text []byte
	for !bytes.Contains(text, []byte("--attach ")) || !bytes.HasSuffix(text, []byte("\n")) {
		b := make([]byte, 512)
		n, err := out.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, b[:n]...)
	}
	_, address, _ := strings.Cut(strings.TrimSpace(string(text)), "--attach ")
	info, err := os.Stat(filepath.Dir(address))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's folder: %v, %v", info, err)
	}
	stdout, stderr, code := suite(t, "run", "--attach", address, "--profile", profile, "--check", "process,describe,sessions")
	if code != exitNot || !strings.Contains(stdout, "not conformant") || strings.Contains(stdout, "fail ") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(address)); err == nil {
		t.Error("the folder is left")
	}
}
