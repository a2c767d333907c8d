package main_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

const (
	// patience bounds each wait of a test that isn't about time itself. It is
	// long, since the machine may be busy; nothing waits for it to pass.
	patience = 60 * time.Second

	// parallel is how many tests run at once. They wait for processes most of
	// the time, so more of them fit than there are processors.
	parallel = "8"
)

// scratch is where everything of this package's tests lies. Its path is short,
// so that sockets fit below it. bin is where the binaries under test are.
var scratch, bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds the binaries, runs the tests, and fails if a process or a
// temporary file of theirs is left.
func run(m *testing.M) (code int) {
	flag.Parse()
	if err := setUp(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := os.RemoveAll(scratch); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	if code = m.Run(); code != 0 {
		return code
	}
	if err := errors.Join(leftOver(), goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func setUp() error {
	if err := flag.Set("test.parallel", parallel); err != nil {
		return err
	}
	var err error
	if scratch, err = os.MkdirTemp("", "ctl"); err != nil {
		return err
	}
	// What the test's own process puts away, such as the scripts' folders, goes
	// there as well.
	if err := os.Setenv("TMPDIR", scratch); err != nil {
		return err
	}
	bin = filepath.Join(scratch, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-o", bin+"/", "-ldflags", "-X main.version=v0.0.0-test",
		"./host/cmd/connectorctl", "./plugin/cmd/box-connection", "./plugin/cmd/box-operations", "./plugin/cmd/boxsim", "./plugin/operation/internal/probe")
	build.Dir = filepath.Join("..", "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// leftOver names the processes that still run one of the binaries, and what
// they left in their folders for temporary files.
func leftOver() error {
	var errs []error
	deadline := time.Now().Add(5 * time.Second)
	for procs := processesOf(scratch); len(procs) > 0; procs = processesOf(scratch) {
		if time.Now().After(deadline) {
			errs = append(errs, fmt.Errorf("processes are left: %s", strings.Join(procs, "; ")))
			break
		}
		time.Sleep(50 * time.Millisecond) // a look at the system's table is all there is to wait for
	}
	folders, err := filepath.Glob(filepath.Join(scratch, tempPrefix+"*", "*"))
	if err != nil {
		errs = append(errs, err)
	}
	if len(folders) > 0 {
		errs = append(errs, fmt.Errorf("temporary files are left: %s", strings.Join(folders, " ")))
	}
	return errors.Join(errs...)
}

// TestScripts runs the scripts: each drives the binaries as a person at a
// terminal and before a browser would.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		Setup:               setUpScript,
		Cmds:                scriptCommands,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// setUpScript gives a script an environment of its own: the binaries and
// nothing else on the path, so that no browser can be opened.
func setUpScript(env *testscript.Env) error {
	w, err := newWorld(env.WorkDir)
	if err != nil {
		return err
	}
	env.Values[worldKey{}] = w
	env.Defer(w.close)
	for _, kv := range w.env {
		name, value, _ := strings.Cut(kv, "=")
		env.Setenv(name, value)
	}
	env.Setenv("BIN", bin)
	return nil
}
