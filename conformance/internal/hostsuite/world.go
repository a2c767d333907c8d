package hostsuite

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/boxconnection/connector/conformance/internal/probe"
)

// The actions of a host.
const (
	create = "create"
	signIn = "sign-in"
	access = "access"
	test   = "test"
)

const (
	// actionLimit is what an action may take: the longest wait of the
	// contract's table, and some.
	actionLimit = 2*time.Minute + 15*time.Second
	// quick is what an action takes on a machine that is busy.
	quick = 40 * time.Second
	// maxOutput bounds what is kept of a host's output.
	maxOutput = 4 << 20
	// hostSecret is a variable that the host has and no plugin may see.
	hostSecret = "CONFORMANCE_HOST_SECRET"
)

// World is a host's home, with a probe of its own.
type World struct {
	t                           *T
	home, folder, plugin, files string
	secret                      string

	mu      sync.Mutex
	outputs []string // of all actions but the access tokens that were asked for
}

// run is one action under way.
type run struct {
	w      *World
	action string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	out    *output // standard output
	both   *output
	done   chan struct{}
	err    error
}

// world makes a home, a probe and its settings.
func (t *T) world(script probe.Script) *World {
	w := &World{t: t, secret: probe.Mark + "setting-" + rand.Text()}
	for _, f := range []struct {
		path *string
		name string
	}{{&w.home, "h"}, {&w.folder, "p"}, {&w.files, "f"}} {
		*f.path = filepath.Join(t.folder, f.name)
		t.Do(os.MkdirAll(*f.path, 0o700))
	}
	w.plugin = filepath.Join(w.files, "connector-probe")
	t.Do(probe.Install(t.Probe, w.plugin, w.folder))
	settings, err := json.Marshal(map[string]string{probe.LabelSetting: "a label"})
	t.Do(err)
	t.Do(os.WriteFile(filepath.Join(w.files, "settings.json"), settings, 0o600))
	t.Do(os.WriteFile(filepath.Join(w.files, "secret"), []byte(w.secret), 0o600))
	w.script(script)
	return w
}

// signedIn is a world whose host has a connection that somebody signed in to.
func (t *T) signedIn(script probe.Script) *World {
	w := t.world(probe.Script{NeverReplay: script.NeverReplay})
	w.must(create)
	r := w.start(signIn)
	callback := r.callback()
	r.paste(callback)
	if !r.wait(quick) || r.err != nil {
		t.Blockf("sign-in fails: %v", r.err)
	}
	w.script(script)
	return w
}

func (w *World) script(s probe.Script) { w.t.Do(s.Write(w.folder)) }

func (w *World) journal() probe.Journal {
	j, err := probe.Read(w.folder)
	w.t.Do(err)
	return j
}

// start starts an action.
func (w *World) start(action string) *run {
	t := w.t
	values := strings.NewReplacer("{plugin}", w.plugin, "{home}", w.home, "{action}", action,
		"{settings}", filepath.Join(w.files, "settings.json"), "{secret}", filepath.Join(w.files, "secret"))
	args := make([]string, len(t.Command))
	for i, word := range t.Command {
		args[i] = values.Replace(word)
	}
	r := &run{w: w, action: action, out: &output{}, both: &output{}, done: make(chan struct{})}
	r.cmd = exec.Command(args[0], args[1:]...) //nolint:gosec,noctx // the person names it; done ends it
	r.cmd.Env = append(os.Environ(), hostSecret+"="+probe.Mark+"environment", "HTTPS_PROXY=http://127.0.0.1:9", "HOME="+w.home)
	r.cmd.Stdout, r.cmd.Stderr = io.MultiWriter(r.out, r.both), r.both
	r.cmd.WaitDelay = time.Second // a plugin that outlives its host may hold the pipes
	setGroup(r.cmd)
	var err error
	r.stdin, err = r.cmd.StdinPipe()
	t.Do(err)
	t.Do(r.cmd.Start())
	t.cleanup(r.kill)
	go func() {
		defer close(r.done)
		err := r.cmd.Wait()
		if errors.Is(err, exec.ErrWaitDelay) {
			err = nil
		}
		r.err = err
		text := r.both.String()
		if action == access {
			text = strings.ReplaceAll(text, strings.TrimSpace(r.out.String()), "")
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.outputs = append(w.outputs, text)
	}()
	return r
}

// wait waits for the end of an action, and kills it if it doesn't come. It
// reports whether it came.
func (r *run) wait(limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(r.w.t.ctx, r.w.t.stretch(limit))
	defer cancel()
	select {
	case <-r.done:
		return true
	case <-ctx.Done():
		r.kill()
		return false
	}
}

// kill kills the host, as a machine's end would.
func (r *run) kill() {
	killGroup(r.cmd.Process)
	<-r.done
}

// do runs an action to its end.
func (w *World) do(action string) *run {
	r := w.start(action)
	_ = r.stdin.Close()
	if !r.wait(actionLimit) {
		w.t.Fatalf("%s doesn't end within %s", action, actionLimit)
	}
	return r
}

// must runs an action that others rely on.
func (w *World) must(action string) *run {
	r := w.do(action)
	if r.err != nil {
		w.t.Blockf("%s fails (%v): %.300s", action, r.err, clean(r.both.String()))
	}
	return r
}

var address = regexp.MustCompile(regexp.QuoteMeta(probe.AuthorizeURL) + `\?[^\s"'<>]+`)

// callback waits for the URL that a sign-in shows, and returns where the
// browser would be sent to.
func (r *run) callback() string {
	var shown string
	r.w.t.await(quick, func() bool {
		shown = address.FindString(strings.ReplaceAll(r.both.String(), `\u0026`, "&"))
		return shown != ""
	})
	u, err := url.Parse(shown)
	if err != nil || shown == "" {
		r.kill()
		r.w.t.Blockf("sign-in shows no address for the browser: %.300s", clean(r.both.String()))
	}
	to, err := url.Parse(u.Query().Get("redirect_uri"))
	if err != nil {
		r.w.t.Blockf("the redirect URI is no URL")
	}
	to.RawQuery = url.Values{"code": {probe.Mark + "code-" + rand.Text()}, "state": {u.Query().Get("state")}}.Encode()
	return to.String()
}

// paste hands a callback to a sign-in.
func (r *run) paste(callback string) {
	_, _ = io.WriteString(r.stdin, callback+"\n") // a host that went away shows in its exit
	_ = r.stdin.Close()
}

// token is the access that the action printed.
func (r *run) token() string { return tokenPattern.FindString(r.out.String()) }

var tokenPattern = regexp.MustCompile(regexp.QuoteMeta(probe.AccessMark) + `\d+-[A-Z0-9]{26}`)

// output collects what is printed, to a bound.
type output struct {
	mu   sync.Mutex
	data bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.data.Len() < maxOutput {
		o.data.Write(p)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.data.String()
}

// clean makes a host's text fit to be shown, without secrets.
func clean(text string) string {
	text = regexp.MustCompile(regexp.QuoteMeta(probe.Mark)+`\S+`).ReplaceAllString(text, "(a secret)")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}
