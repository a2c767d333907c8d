//go:build unix

package crash_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/boxconnection/connector/host/store/pgstore/pgtest"
)

var (
	kills = flag.Int("trial.kills", 100, "kills of the trial on the file store; half as many on PostgreSQL and of a strict service, and a quarter for both")
	seed  = flag.Uint64("trial.seed", uint64(time.Now().UnixNano()), "seed of the trial; the default is of the time")
)

var (
	server *pgtest.Server // of all stores on PostgreSQL
	plugin string         // the connector's binary
)

func TestMain(m *testing.M) {
	if text := os.Getenv(workerVariable); text != "" {
		os.Exit(work(text))
	}
	// Lanes mostly wait, for leases and for processes.
	err := flag.Set("test.parallel", "32")
	flag.Parse()
	code := 0
	if err == nil {
		code, err = run(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	folder, err := os.MkdirTemp("", "crash")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	plugin = filepath.Join(folder, "box-connection")
	if text, err := exec.Command("go", "build", "-o", plugin, "../../../plugin/cmd/box-connection").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, text)
	}
	if server, err = pgtest.Run(context.Background()); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	return m.Run(), nil
}
