package hostsuite

import (
	"strings"
	"time"
	"unicode"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/probe"
)

func startChecks() []*Check {
	must := func(id, clause, title string, run func(*T)) *Check {
		return &Check{ID: "host." + id, Level: check.Must, Clauses: []string{clause}, Title: title, Run: run}
	}
	return []*Check{
		must("slow-start", "H-4", "A plugin that takes 4 s for its handshake is waited for.", func(t *T) {
			const delay = 4 * time.Second
			w := t.world(probe.Script{Start: probe.Start{DelayMS: int(delay / time.Millisecond)}})
			if r := w.do(create); r.err != nil {
				t.Errorf("it isn't: %.300s", clean(r.both.String()))
			}
		}),
		must("handshake", "H-4", "A line that is no handshake is refused.", func(t *T) {
			for _, line := range []string{"hello", "1|1|unix|/nowhere|netrpc|", "2|1|unix|/nowhere|grpc|", strings.Repeat("x", 70<<10)} {
				w := t.world(probe.Script{Start: probe.Start{Line: line}})
				if r := w.do(create); r.err == nil {
					t.Errorf("%.30q is taken for one", line)
				}
				t.folder += "x" // another home for the next
			}
		}),
		must("version", "H-6", "A version that wasn't offered is refused, and both are named.", func(t *T) {
			w := t.world(probe.Script{Start: probe.Start{Version: 7}})
			r := w.do(create)
			if r.err == nil || len(w.journal().Calls("")) > 0 {
				t.Fatalf("version 7 is accepted")
			}
			if !names(r.both.String(), "7", "1") {
				t.Errorf("the message doesn't name both versions: %.300s", clean(r.both.String()))
			}
		}),
		must("certificate", "H-7", "Only the certificate of the handshake line is accepted.", func(t *T) {
			w := t.world(probe.Script{Start: probe.Start{OtherCertificate: true}})
			if r := w.do(create); r.err == nil || len(w.journal().Calls("")) > 0 {
				t.Errorf("a plugin with another certificate is called")
			}
		}),
	}
}

func callChecks() []*Check {
	must := func(id, clause, title string, run func(*T)) *Check {
		return &Check{ID: "host." + id, Level: check.Must, Clauses: []string{clause}, Title: title, Run: run}
	}
	opening := func(do probe.Deed) probe.Script {
		return probe.Script{Rules: []probe.Rule{{Call: probe.OpenSession, Do: do}}}
	}
	return []*Check{
		must("outputs", "H-5", "Outputs are read, however much comes.", func(t *T) {
			w := t.signedIn(opening(probe.Flood))
			if r := w.do(access); r.err != nil {
				t.Errorf("a plugin that prints much can't be used: %.300s", clean(r.both.String()))
			}
		}),
		must("restart", "H-9", "A plugin that crashed is started again.", func(t *T) {
			w := t.signedIn(opening(probe.Crash))
			w.do(access)
			w.script(probe.Script{})
			if r := w.do(access); r.err != nil {
				t.Errorf("after a crash access fails: %.300s", clean(r.both.String()))
			}
		}),
		must("hang", "H-9", "A plugin that doesn't answer is given up within the time of the call, and ended.", func(t *T) {
			w := t.signedIn(opening(probe.Hang))
			began := time.Now()
			if r := w.do(access); r.err == nil {
				t.Errorf("access is handed out though nothing answers")
			}
			if took, most := time.Since(began), t.stretch(time.Minute); took > most {
				t.Errorf("it took %v", took.Round(time.Second))
			}
			pids := map[int]bool{}
			for _, s := range w.journal().Starts() {
				pids[s.PID] = true
			}
			gone := func() bool {
				for pid := range pids {
					if alive(pid) {
						return false
					}
				}
				return true
			}
			if !t.await(10*time.Second, gone) {
				t.Errorf("the plugin is left running")
			}
		}),
		must("texts", "H-10", "A plugin's texts are cleaned before they are shown.", func(t *T) {
			w := t.signedIn(opening(probe.Dirty))
			text := w.do(access).both.String()
			for _, r := range text {
				if r != '\n' && r != '\t' && r != '\r' && (unicode.IsControl(r) || r == '\u202e') {
					t.Fatalf("the output holds the character %U", r)
				}
			}
		}),
		must("no-diagnostic", "H-11", "The message of an error without a diagnostic isn't shown.", func(t *T) {
			w := t.signedIn(opening(probe.Bare))
			r := w.do(access)
			if r.err == nil {
				t.Errorf("the error is taken for success")
			}
			if strings.Contains(r.both.String(), probe.MessageMark) {
				t.Errorf("it is shown")
			}
		}),
		must("replayed-state", "H-19", "A callback is taken once.", func(t *T) {
			w := t.world(probe.Script{})
			w.must(create)
			r := w.start(signIn)
			callback := r.callback()
			r.paste(callback)
			if !r.wait(quick) || r.err != nil {
				t.Blockf("sign-in fails: %.300s", clean(r.both.String()))
			}
			w.refuses(callback, "a callback that was taken before")
		}),
		must("foreign-callback", "H-20", "A callback of another sign-in isn't completed.", func(t *T) {
			w := t.world(probe.Script{})
			w.must(create)
			r := w.start(signIn)
			callback := r.callback()
			r.kill()
			w.refuses(callback+"x", "a callback whose state nobody made")
		}),
		must("checks", "H-29", "A check that is missing or not supported counts as not passed.", func(t *T) {
			w := t.signedIn(probe.Script{})
			w.must(test)
			for _, do := range []probe.Deed{probe.Missing, probe.Unsupported} {
				w.script(probe.Script{Rules: []probe.Rule{{Call: probe.Test, Do: do}}})
				if r := w.do(test); r.err == nil {
					t.Errorf("a test with a check that is %s passes", do)
				}
			}
		}),
	}
}

// refuses begins a sign-in and wants a callback refused there.
func (w *World) refuses(callback, what string) {
	before := len(w.journal().Calls(probe.Complete))
	r := w.start(signIn)
	r.callback()
	r.paste(callback)
	if !r.wait(actionLimit) || r.err == nil {
		w.t.Errorf("%s isn't refused", what)
	}
	if len(w.journal().Calls(probe.Complete)) > before {
		w.t.Errorf("%s is completed", what)
	}
}
