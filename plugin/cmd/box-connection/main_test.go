package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// asBinary makes the test binary be the connector's binary.
const asBinary = "BOX_CONNECTION_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asBinary) != "" {
		main()
	}
	os.Exit(m.Run())
}

func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asBinary+"=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestVersion(t *testing.T) {
	t.Parallel()
	out, errs, code := run(t, "--version")
	if code != 0 || !strings.HasPrefix(out, "box ") || errs != "" {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
}

// A person who runs it is told what it is, and standard output, which belongs
// to hosts, stays clean.
func TestRunByHand(t *testing.T) {
	t.Parallel()
	out, errs, code := run(t)
	if code == 0 || out != "" || !strings.Contains(errs, "Box") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
}
