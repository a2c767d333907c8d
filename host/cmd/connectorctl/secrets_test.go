//go:build unix

package main_test

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// canarySecret is a client secret with characters that encodings change.
const canarySecret = `cAnArY+cl/i%e&n=t "sécret" 4711`

// canaryPassword is a proxy's.
const canaryPassword = `cAnArY-pr0xy+pass/word%`

// watch collects what the processes of a world show while they run: their
// arguments, their environments and the files that they put down for a while.
type watch struct {
	w    *world
	stop chan struct{}
	done sync.WaitGroup
	read map[string]bool // the processes that were looked at

	mu   sync.Mutex
	seen map[string]string // the text, and where it was
}

func (w *world) watch() *watch {
	x := &watch{w: w, stop: make(chan struct{}), read: map[string]bool{}, seen: map[string]string{}}
	x.done.Go(func() {
		for {
			x.look()
			select {
			case <-x.stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	return x
}

func (x *watch) look() {
	// boxsim is the service: what it knows is its own.
	for _, line := range processesOf(scratch) {
		pid, exe, _ := strings.Cut(line, " ")
		if filepath.Base(exe) == "boxsim" || x.read[line] {
			continue
		}
		x.read[line] = true // neither changes while it runs
		for _, file := range []string{"cmdline", "environ"} {
			path := filepath.Join("/proc", pid, file)
			data, err := os.ReadFile(path)
			if err == nil && (strings.HasPrefix(exe, x.w.temp) || strings.Contains(string(data), x.w.dir)) {
				x.keep(file+" of "+filepath.Base(exe), string(data))
			}
		}
	}
	for path, data := range smallFiles(x.w.temp) {
		x.keep("temporary file "+path, string(data))
	}
}

func (x *watch) keep(where, text string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.seen[text] = where
}

// end stops the watch and returns what it saw.
func (x *watch) end() map[string]string {
	close(x.stop)
	x.done.Wait()
	return x.seen
}

// session runs commands with everything logged, and keeps what they print.
type session struct {
	t       *testing.T
	w       *world
	printed map[string]string
}

// run runs a command, whatever its exit code.
func (s *session) run(what string, args ...string) result {
	s.t.Helper()
	args = append([]string{"--verbose", "--home", s.w.home()}, args...)
	r, err := s.w.ctl(args...)
	if err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
	s.keep(what, args, r)
	return r
}

// keep leaves out what access prints on standard output: the token.
func (s *session) keep(what string, args []string, r result) {
	text := r.stderr
	if !slices.Contains(args, "access") {
		text += r.stdout
	}
	s.printed[fmt.Sprintf("%s: connectorctl %s", what, strings.Join(args, " "))] = text
}

// signIn signs in and returns the exit code. A code that is given is put in
// place of the service's answer.
func (s *session) signIn(what, name string, callback string) int {
	s.t.Helper()
	args := []string{"--verbose", "--home", s.w.home(), "connection", "sign-in", name, "--port", "0", "--no-browser"}
	p, err := s.w.start(command{program: "connectorctl", args: args})
	if err != nil {
		s.t.Fatal(err)
	}
	target, err := p.signInURL()
	if err != nil {
		s.t.Fatal(err)
	}
	if callback != "" {
		u, err := url.Parse(target)
		if err != nil {
			s.t.Fatal(err)
		}
		target = u.Query().Get("redirect_uri") + "?state=" + u.Query().Get("state") + "&" + callback
	}
	page, err := s.w.visit(s.t.Context(), target, visitor{})
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := p.wait()
	if err != nil {
		s.t.Fatal(err)
	}
	s.keep(what, args, r)
	s.printed[what+": the browser's page"] = page
	return r.code
}

// Nothing that is secret is found anywhere but where it belongs: not in what
// commands print, with everything logged, not in the audit, the store, the
// temporary files, the arguments and environments of the processes, on the
// whole way of a connection and whatever careless things services answer.
// Allowed is what access prints, and what the emulator and the test know.
func TestNoSecretLeaks(t *testing.T) {
	t.Parallel()
	w := worldOf(t)
	given := filepath.Join(w.dir, "given") // what the person has is theirs
	if err := os.Mkdir(given, 0o700); err != nil {
		t.Fatal(err)
	}
	secretFile := filepath.Join(given, "client.secret")
	proxyFile := filepath.Join(given, "proxy.url")
	write(t, secretFile, canarySecret)
	write(t, proxyFile, "http://user:"+url.QueryEscape(canaryPassword)+"@"+"127.0.0.1:9")
	if _, err := w.boxsim("given/box", "--client-secret-file", secretFile, "--access-lifetime=1s"); err != nil {
		t.Fatal(err)
	}
	var v vault
	v.keep("client secret", canarySecret)
	v.keep("proxy password", canaryPassword)
	v.keep("proxy password", url.QueryEscape(canaryPassword))
	watched := w.watch()
	s := &session{t: t, w: w, printed: map[string]string{}}
	x := w.startWire(&v)
	create := func(name string, args ...string) {
		t.Helper()
		r := s.run("create", append(append([]string{
			"connection", "create", name, "--settings", w.box.settingsFile, "--secret", "client_secret=@" + secretFile,
		}, x.settings(w.box)...), args...)...)
		if r.code != 0 {
			t.Fatalf("create %s: %s", name, r)
		}
	}

	// The way of a connection.
	create("sales")
	if code := s.signIn("sign in", "sales", ""); code != 0 {
		t.Fatalf("sign-in: exit code %d\n%v", code, s.printed)
	}
	for what, args := range map[string][]string{
		"show": {"connection", "show", "sales"}, "list": {"--json", "connection", "list"}, "describe": {"--json", "plugin", "describe", "box-connection"},
	} {
		s.run(what, args...)
	}
	s.run("test", "connection", "test", "sales")
	s.run("access", "access", "sales")

	// Careless answers, to each kind of request.
	for _, name := range slices.Sorted(maps.Keys(carelessAnswers())) {
		spoil := carelessAnswers()[name]
		// A connection for each: what a service asks to wait, all that comes after
		// would obey.
		sales := "sales, " + name
		create(sales)
		if code := s.signIn("sign in before "+name, sales, ""); code != 0 {
			t.Fatalf("sign-in: exit code %d", code)
		}
		if err := w.untilExpired(sales); err != nil {
			t.Fatal(err)
		}
		x.spoil(&wireFault{path: "/oauth2/token", times: 1, spoil: spoil})
		s.run("renewal, "+name, "access", sales)
		x.spoil(nil)
		s.run("test before, "+name, "connection", "test", sales)
		x.spoil(&wireFault{path: "/2.0", times: -1, spoil: spoil})
		s.run("test, "+name, "--json", "connection", "test", sales)
		x.spoil(&wireFault{path: "/oauth2/token", times: 1, spoil: spoil})
		s.signIn("exchange, "+name, sales, "")
		x.spoil(&wireFault{path: "/2.0/users/me", times: -1, spoil: spoil})
		s.signIn("identify, "+name, sales, "")
		x.spoil(nil)
		s.run("show after, "+name, "connection", "show", sales)
		if r := s.run("access after, "+name, "access", sales); r.code != 0 {
			if code := s.signIn("sign in after, "+name, sales, ""); code != 0 && (code != 13 || name != "page") {
				t.Fatalf("after %s the connection can't be signed in to: exit code %d", name, code)
			}
		}
		create("to delete")
		s.signIn("to delete", "to delete", "")
		x.spoil(&wireFault{path: "/oauth2/revoke", times: -1, spoil: spoil})
		s.run("revocation, "+name, "connection", "delete", "to delete", "--yes")
		x.spoil(nil)
	}

	// Callbacks that nobody asked for.
	v.keep("foreign code", "cAnArY-foreign-code-0815")
	s.signIn("foreign code", "sales", "code=cAnArY-foreign-code-0815")
	s.signIn("denied with a code", "sales", "error=access_denied&error_description=cAnArY-foreign-code-0815&code=cAnArY-foreign-code-0815")
	s.signIn("odd error", "sales", "error=cAnArY-foreign-code-0815")
	pasted := filepath.Join(given, "pasted")
	write(t, pasted, "http://localhost:8085/account/local/oauth2/callback?code=cAnArY-foreign-code-0815&state=none\n")
	s.pipe("pasted", pasted, "connection", "sign-in", "sales", "--paste")

	// Settings that are wrong, with the secret in them.
	broken := filepath.Join(given, "broken.json")
	write(t, broken, `{"client_secret":"`+url.QueryEscape(canarySecret)+`",`)
	v.keep("client secret", url.QueryEscape(canarySecret))
	s.run("broken settings", "connection", "create", "x", "--settings", broken)
	write(t, broken, `{"client_secrte":"`+url.QueryEscape(canarySecret)+`","api_url":"`+url.QueryEscape(canarySecret)+`","client_secret":["`+url.QueryEscape(canarySecret)+`"]}`)
	s.run("mistyped settings", "connection", "create", "x", "--settings", broken)
	s.run("mistyped settings as JSON", "--json", "plugin", "validate", "box-connection", "--settings", broken)

	// A proxy with a password that can't be reached, on the way to a host that
	// isn't this one.
	create("proxied", "--proxy", "@"+proxyFile, "--set", "token_url=https://box.test/token", "--set", "api_url=https://box.test/2.0", "--set", "authorize_url=https://box.test/authorize")
	s.run("proxied", "connection", "test", "proxied")
	s.run("proxied", "connection", "show", "proxied")
	write(t, proxyFile, "http://user:"+canaryPassword+"@[::bad")
	s.run("broken proxy", "connection", "edit", "sales", "--proxy", "@"+proxyFile, "--secret", "client_secret=@"+secretFile)

	s.run("audit", "audit")
	s.run("audit", "--json", "audit")
	s.run("sign out", "connection", "sign-out", "sales")

	// The scan.
	seen := watched.end()
	kinds := v.kinds()
	t.Logf("%d commands, %d texts seen while they ran, secrets: %v", len(s.printed), len(seen), kinds)
	for _, what := range []string{"client secret", "proxy password", "code", "PKCE verifier", "access token", "refresh token"} {
		if kinds[what] == 0 {
			t.Errorf("no %s passed: the test sees nothing", what)
		}
	}
	environments := 0
	for text, where := range seen {
		environments += strings.Count(where, "environ of box-connection")
		for _, what := range v.find([]byte(text)) {
			t.Errorf("%s in the %s", what, where)
		}
	}
	if _, err := os.Stat("/proc/self/environ"); err == nil && environments == 0 {
		t.Error("no environment of a plugin was seen: the watch sees nothing")
	}
	for what, text := range s.printed {
		for _, found := range v.find([]byte(text)) {
			t.Errorf("%s printed by %s", found, what)
		}
	}
	found, files := v.scanFiles(w.dir, func(path string) bool { return strings.HasPrefix(path, given+"/") })
	for _, f := range found {
		t.Error(f)
	}
	if files < 4 {
		t.Errorf("only %d files were scanned", files)
	}

	// The same scan with a leak in it.
	write(t, filepath.Join(w.home(), "store", "leak"), canarySecret)
	if found, _ := v.scanFiles(w.dir, func(string) bool { return false }); len(found) == 0 {
		t.Error("a planted leak isn't found")
	}
}

// pipe runs a command with a file as its standard input.
func (s *session) pipe(what, stdin string, args ...string) {
	s.t.Helper()
	args = append([]string{"--verbose", "--home", s.w.home()}, args...)
	p, err := s.w.start(command{program: "connectorctl", args: args, stdin: stdin})
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := p.wait()
	if err != nil {
		s.t.Fatal(err)
	}
	s.keep(what, args, r)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
