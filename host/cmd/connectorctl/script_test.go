package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
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
	"sim":       affirmative(cmdSim),
	"fault":     affirmative(cmdFault),
	"seen":      affirmative(cmdSeen),
	"await":     affirmative(cmdAwait),
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

// sign-in NAME [LOGIN] signs a connection in.
func cmdSignIn(_ *testscript.TestScript, w *world, args []string) error {
	switch len(args) {
	case 1:
		return w.signIn(args[0], "")
	case 2:
		return w.signIn(args[0], args[1])
	}
	return errUsage
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

// same FILE PATTERN wants that all matches have one first group.
func cmdSame(ts *testscript.TestScript, _ *world, args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	re, err := regexp.Compile(args[1])
	if err != nil {
		return err
	}
	all := re.FindAllStringSubmatch(ts.ReadFile(args[0]), -1)
	for _, m := range all {
		if m[1] != all[0][1] {
			return errors.New("the matches differ")
		}
	}
	if len(all) < 2 {
		return errors.New("there are fewer than two matches")
	}
	return nil
}

// user makes a script that root runs go on as a user without rights.
func cmdUser(_ *testscript.TestScript, w *world, _ []string) error { return w.dropRights() }

// visit [deny] URL [LOGIN] goes the browser's way; stdout is the last page's
// status and text.
func cmdVisit(ts *testscript.TestScript, w *world, args []string) error {
	var v visitor
	if len(args) > 0 && args[0] == "deny" {
		v.deny, args = true, args[1:]
	}
	if len(args) == 2 {
		v.login, args = args[1], args[:1]
	}
	if len(args) != 1 {
		return errUsage
	}
	page, err := w.visit(context.Background(), args[0], v)
	_, _ = ts.Stdout().Write([]byte(page)) // in memory
	return err
}

// browse NAME URL is visit in the background.
func cmdBrowse(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	w.browse(args[0], args[1])
	return nil
}

// leave NAME closes the window of a background visit.
func cmdLeave(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) != 1 || w.leave[args[0]] == nil {
		return errUsage
	}
	w.leave[args[0]]()
	<-w.pages[args[0]]
	return nil
}

// page NAME waits for the last page of a background visit and makes it stdout;
// empty if there was none.
func cmdPage(ts *testscript.TestScript, w *world, args []string) error {
	if len(args) != 1 || w.pages[args[0]] == nil {
		return errUsage
	}
	_, _ = ts.Stdout().Write([]byte(<-w.pages[args[0]])) // in memory
	return nil
}

// fetch METHOD URL [HEADER...] sends a request; stdout is the answer's status,
// location and text. Negated, nobody may answer.
func cmdFetch(ts *testscript.TestScript, neg bool, args []string) {
	w := ts.Value(worldKey{}).(*world)
	if len(args) < 2 {
		ts.Check(errUsage)
	}
	page, err := w.fetch(args[0], args[1], args[2:])
	_, _ = ts.Stdout().Write([]byte(page)) // in memory
	if neg {
		if err == nil {
			ts.Fatalf("somebody answered")
		}
		return
	}
	ts.Check(err)
}

// port VAR finds a port that is free on both of localhost's addresses.
func cmdPort(ts *testscript.TestScript, _ *world, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return err
	}
	ts.Setenv(args[0], port)
	return l.Close()
}

// occupy ADDRESS listens there until the script ends; with "free" after it, it
// only looks whether it can.
func cmdOccupy(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	if len(args) == 2 && args[1] == "free" {
		return l.Close()
	}
	w.onClose(func() { _ = l.Close() })
	return nil
}

// capture FILE PATTERN VAR... puts a pattern's groups into variables. The file
// may be stdout or stderr.
func cmdCapture(ts *testscript.TestScript, _ *world, args []string) error {
	if len(args) < 3 {
		return errUsage
	}
	re, err := regexp.Compile("(?m)" + args[1])
	if err != nil {
		return err
	}
	m := re.FindStringSubmatch(ts.ReadFile(args[0]))
	if m == nil {
		return fmt.Errorf("%s doesn't match %q", args[0], args[1])
	}
	return assign(ts, m[1:], args[2:])
}

// json FILE... wants nothing but JSON, one value a line, and at least one.
func cmdJSON(ts *testscript.TestScript, _ *world, args []string) error {
	for _, file := range args {
		if err := jsonLines(ts.ReadFile(file)); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// suggested FILE wants that each failed check, one JSON value a line, says what
// to do, and that there is one.
func cmdSuggested(ts *testscript.TestScript, _ *world, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	failed := 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var check struct {
			Status     string `json:"status"`
			Diagnostic struct {
				Suggestion string `json:"suggestion"`
			} `json:"diagnostic"`
		}
		if err := json.Unmarshal([]byte(line), &check); err != nil {
			return err
		}
		if check.Status != "failed" {
			continue
		}
		if failed++; check.Diagnostic.Suggestion == "" {
			return fmt.Errorf("no suggestion: %s", line)
		}
	}
	if failed == 0 {
		return errors.New("no check failed")
	}
	return nil
}

// drafts N wants that so many drafts are stored.
func cmdDrafts(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	records, err := filepath.Glob(filepath.Join(w.home(), "store", "records", "*"))
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return errors.New("there are no records")
	}
	n := 0
	for _, path := range records {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.Contains(string(data), `"draft"`) {
			n++
		}
	}
	if args[0] != strconv.Itoa(n) {
		return fmt.Errorf("%d drafts are stored", n)
	}
	return nil
}

// bytes FILE TEXT writes a file; the text is a Go string's inside, so that
// bytes can be written as \xff and characters as \u00a0.
func cmdBytes(ts *testscript.TestScript, _ *world, args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	text, err := strconv.Unquote(`"` + strings.ReplaceAll(args[1], `"`, `\"`) + `"`)
	if err != nil {
		return err
	}
	return os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600)
}

// replace FILE OLD NEW changes a text in a file.
func cmdReplace(ts *testscript.TestScript, _ *world, args []string) error {
	if len(args) != 3 {
		return errUsage
	}
	text := strings.ReplaceAll(ts.ReadFile(args[0]), args[1], args[2])
	return os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600)
}

// flip FILE changes the byte in the middle of a file.
func cmdFlip(ts *testscript.TestScript, _ *world, args []string) error {
	for _, name := range args {
		name = ts.MkAbs(name)
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		data[len(data)/2] ^= 1
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(name, data, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

// boxsim NAME ARGS... starts an emulator that allows every sign-in at once. It
// writes NAME.json and NAME.secret and sets the variables of its addresses.
func cmdBoxsim(ts *testscript.TestScript, w *world, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	for i, a := range args {
		if strings.HasSuffix(a, ".pem") || strings.HasSuffix(a, ".secret") {
			args[i] = ts.MkAbs(a)
		}
	}
	e, err := w.boxsim(args[0], args[1:]...)
	if err != nil {
		return err
	}
	host, err := url.Parse(e.APIURL)
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"AUTHORIZE_URL": e.AuthorizeURL, "TOKEN_URL": e.TokenURL, "REVOKE_URL": e.RevokeURL, "API_URL": e.APIURL,
		"CLIENT_ID": e.ClientID, "BOX_HOST": host.Host, "BOX_PORT": host.Port(),
	} {
		ts.Setenv(name, value)
	}
	return nil
}

// sim METHOD PATH [BODY] calls the emulator's control API; stdout is the
// answer.
func cmdSim(ts *testscript.TestScript, w *world, args []string) error {
	if len(args) < 2 || len(args) > 3 {
		return errUsage
	}
	answer, err := w.box.control(args[0], args[1], strings.Join(args[2:], ""))
	_, _ = ts.Stdout().Write(answer) // in memory
	return err
}

// fault FAULT [VAR] adds a fault to the emulator and puts its ID into a
// variable.
func cmdFault(ts *testscript.TestScript, w *world, args []string) error {
	if len(args) == 0 || len(args) > 2 {
		return errUsage
	}
	id, err := w.box.fault(args[0])
	if err != nil {
		return err
	}
	return assign(ts, []string{id}, args[1:])
}

// seen N QUERY wants that exactly so many requests reached the emulator.
func cmdSeen(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	list, err := w.box.requests(args[1])
	if err == nil && len(list) != want {
		err = fmt.Errorf("%d requests match %s, want %d: %+v", len(list), args[1], want, list)
	}
	return err
}

// await QUERY waits until a request reaches the emulator.
func cmdAwait(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	return w.box.await(args[0], 1)
}

// issue NAME makes a private CA in NAME.pem and a certificate of it for
// localhost and box.test in NAME-server.pem and NAME-key.pem, and lets the browser trust it.
func cmdIssue(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	return w.issue(filepath.Join(w.dir, args[0]))
}

// proxy [USER PASSWORD] starts a recording proxy, sets PROXY_HOST, and writes
// its URL, with the password, to proxy.url.
func cmdProxy(ts *testscript.TestScript, w *world, args []string) error {
	u := &url.URL{Scheme: "http"}
	if len(args) == 2 {
		u.User = url.UserPassword(args[0], args[1])
	}
	p, err := w.startProxy(u.User)
	if err != nil {
		return err
	}
	u.Host = p.host()
	ts.Setenv("PROXY_HOST", u.Host)
	return os.WriteFile(filepath.Join(w.dir, "proxy.url"), []byte(u.String()+"\n"), 0o600)
}

// proxied PATTERN wants a request line in the proxy's record, or none if
// negated; without a pattern the record is emptied.
func cmdProxied(ts *testscript.TestScript, neg bool, args []string) {
	w := ts.Value(worldKey{}).(*world)
	record := w.proxy.lines(len(args) == 0)
	if len(args) == 0 {
		return
	}
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	if re.MatchString(record) == neg {
		ts.Fatalf("the proxy's record:\n%s", record)
	}
}
