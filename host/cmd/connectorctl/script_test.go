package main_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptCommands are the commands of the scripts, beside testscript's own. An
// argument <FILE in front of the others of ctl and start is the standard
// input.
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"ctl":       affirmative(cmdCtl),
	"start":     affirmative(cmdStart),
	"line":      affirmative(cmdLine),
	"type":      affirmative(cmdType),
	"signal":    affirmative(cmdSignal),
	"end":       affirmative(cmdEnd),
	"ends":      affirmative(cmdEnds),
	"boxsim":    affirmative(cmdBoxsim),
	"using":     affirmative(cmdUsing),
	"apart":     affirmative(cmdApart),
	"sim":       affirmative(cmdSim),
	"fault":     affirmative(cmdFault),
	"seen":      affirmative(cmdSeen),
	"await":     affirmative(cmdAwait),
	"spaced":    affirmative(cmdSpaced),
	"create":    affirmative(cmdCreate),
	"sign-in":   affirmative(cmdSignIn),
	"connect":   affirmative(cmdConnect),
	"expired":   affirmative(cmdExpired),
	"settled":   affirmative(cmdSettled),
	"same":      affirmative(cmdSame),
	"visit":     affirmative(cmdVisit),
	"browse":    affirmative(cmdBrowse),
	"page":      affirmative(cmdPage),
	"leave":     affirmative(cmdLeave),
	"fetch":     cmdFetch,
	"port":      affirmative(cmdPort),
	"occupy":    affirmative(cmdOccupy),
	"json":      affirmative(cmdJSON),
	"suggested": affirmative(cmdSuggested),
	"drafts":    affirmative(cmdDrafts),
	"capture":   affirmative(cmdCapture),
	"bytes":     affirmative(cmdBytes),
	"replace":   affirmative(cmdReplace),
	"random":    affirmative(cmdRandom),
	"appears":   affirmative(cmdAppears),
	"flip":      affirmative(cmdFlip),
	"user":      affirmative(cmdUser),
	"proxy":     affirmative(cmdProxy),
	"proxied":   cmdProxied,
	"issue":     affirmative(cmdIssue),
}

// affirmative is a command that can't be negated, told by its error.
func affirmative(f func(ts *testscript.TestScript, w *world, args []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("this command can't be negated")
		}
		w := ts.Value(worldKey{}).(*world)
		w.dir = ts.Getenv("WORK")
		ts.Check(f(ts, w, args))
	}
}

var errUsage = errors.New("wrong arguments; see the command's comment")

// scriptCommand makes a command of a script's arguments, in the script's folder
// and environment.
func scriptCommand(ts *testscript.TestScript, program string, args []string) command {
	c := command{program: program, dir: ts.MkAbs(".")}
	for _, name := range []string{
		"PATH", "HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "TMPDIR", "BROWSER", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY",
	} {
		if value := ts.Getenv(name); value != "" {
			c.env = append(c.env, name+"="+value)
		}
	}
	if len(args) > 0 && strings.HasPrefix(args[0], "<") {
		c.stdin, args = ts.MkAbs(args[0][1:]), args[1:]
	}
	c.args = args
	return c
}

// ctl CODE [<FILE] ARGS... runs connectorctl and wants the exit code.
func cmdCtl(ts *testscript.TestScript, w *world, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	c := scriptCommand(ts, "connectorctl", args[1:])
	if c.stdin == "" {
		c.stdin = os.DevNull
	}
	p, err := w.start(c)
	if err != nil {
		return err
	}
	return ended(ts, p, want)
}

// ended waits for a process and makes what it printed the script's stdout and
// stderr.
func ended(ts *testscript.TestScript, p *process, want int) error {
	r, err := p.wait()
	_, _ = ts.Stdout().Write([]byte(r.stdout)) // in memory
	_, _ = ts.Stderr().Write([]byte(r.stderr))
	if err == nil && r.code != want {
		err = fmt.Errorf("exit code %d, want %d", r.code, want)
	}
	return err
}

// start NAME PROGRAM [<FILE] ARGS... starts a program in the background.
func cmdStart(ts *testscript.TestScript, w *world, args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	p, err := w.start(scriptCommand(ts, args[1], args[2:]))
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.processes[args[0]] = p
	return nil
}

func (w *world) process(name string) (*process, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.processes[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("no process %q was started", name)
}

// line NAME PATTERN [VAR...] waits for what a background process prints and
// puts the pattern's groups into variables.
func cmdLine(ts *testscript.TestScript, w *world, args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	p, err := w.process(args[0])
	if err != nil {
		return err
	}
	groups, err := p.line(args[1])
	if err != nil {
		return err
	}
	return assign(ts, groups, args[2:])
}

func assign(ts *testscript.TestScript, groups, names []string) error {
	if len(groups) < len(names) {
		return errUsage
	}
	for i, name := range names {
		ts.Setenv(name, groups[i])
	}
	return nil
}

// type NAME TEXT types a line into a background process.
func cmdType(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	p, err := w.process(args[0])
	if err != nil {
		return err
	}
	_, err = p.stdin.Write([]byte(args[1] + "\n"))
	return err
}

// signal NAME INT|TERM|KILL sends a background process a signal.
func cmdSignal(_ *testscript.TestScript, w *world, args []string) error {
	signals := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "KILL": os.Kill}
	if len(args) != 2 || signals[args[1]] == nil {
		return errUsage
	}
	p, err := w.process(args[0])
	if err != nil {
		return err
	}
	return p.cmd.Process.Signal(signals[args[1]])
}

// end NAME CODE waits for a background process and wants its exit code.
func cmdEnd(ts *testscript.TestScript, w *world, args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	want, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	p, err := w.process(args[0])
	if err != nil {
		return err
	}
	return ended(ts, p, want)
}

// ends NAME... : CODE... waits for background processes and wants their exit
// codes, in any order. stdout and stderr are what all of them printed.
func cmdEnds(ts *testscript.TestScript, w *world, args []string) error {
	colon := slices.Index(args, ":")
	if colon < 0 {
		return errUsage
	}
	var codes []string
	for _, name := range args[:colon] {
		p, err := w.process(name)
		if err != nil {
			return err
		}
		r, err := p.wait()
		if err != nil {
			return err
		}
		codes = append(codes, strconv.Itoa(r.code))
		_, _ = ts.Stdout().Write([]byte(r.stdout)) // in memory
		_, _ = ts.Stderr().Write([]byte(r.stderr))
	}
	want := args[colon+1:]
	slices.Sort(codes)
	slices.Sort(want)
	if !slices.Equal(codes, want) {
		return fmt.Errorf("exit codes %v, want %v", codes, want)
	}
	return nil
}

// create NAME ARGS... saves a connection to the emulator.
func cmdCreate(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	return w.create(args[0], args[1:]...)
}

// sign-in NAME [LOGIN [ARGS...]] signs a connection in.
func cmdSignIn(_ *testscript.TestScript, w *world, args []string) error {
	switch len(args) {
	case 0:
		return errUsage
	case 1:
		return w.signIn(args[0], "")
	}
	return w.signIn(args[0], args[1], args[2:]...)
}

// connect NAME ARGS... creates a connection and signs in.
func cmdConnect(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	return w.connect(args[0], args[1:]...)
}

// expired NAME waits until the connection's access has ended.
func cmdExpired(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	return w.untilExpired(args[0])
}

// settled NAME waits until the access may be renewed again: a quarter of its
// life has passed.
func cmdSettled(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	return w.untilSettled(args[0])
}
