// Command openapi holds the answers of the Box emulator against an OpenAPI
// file: Box's own, which isn't part of this project, or the small one in
// testdata.
//
// Each success answer has to have the shape that the file gives it. Where an
// error answer of the emulator's catalogue differs from the file, that is
// listed with its evidence grade: Box is known to differ from its own file.
//
// It ends with 0 if everything fits, with 1 if something doesn't or if nothing
// could be checked, and with 2 if it was called wrongly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// runFor bounds the whole run.
const runFor = 2 * time.Minute

// errMismatch says that at least one answer doesn't fit.
var errMismatch = errors.New("the emulator's answers don't fit the file")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the command. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("openapi", flag.ContinueOnError)
	flags.SetOutput(stderr)
	spec := flags.String("spec", "", "the OpenAPI `file`")
	binary := flags.String("boxsim", "", "the emulator's binary, as `path`")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *spec == "" || *binary == "" || flags.NArg() > 0 {
		_, _ = fmt.Fprintln(stderr, "usage: openapi -spec FILE -boxsim PATH")
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, runFor)
	defer cancel()
	if err := compare(ctx, *spec, *binary, stdout); err != nil {
		_, _ = fmt.Fprintln(stderr, "openapi:", err)
		return 1
	}
	return 0
}

// compare starts the emulator, holds it against the file, and writes what it
// found.
func compare(ctx context.Context, spec, binary string, stdout io.Writer) (err error) {
	doc, err := load(ctx, spec)
	if err != nil {
		return err
	}
	sim, err := startBoxsim(ctx, binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sim.stop()) }()
	rep, err := examine(ctx, sim, doc, calls())
	if err != nil {
		return err
	}
	rep.write(stdout)
	return rep.verdict()
}
