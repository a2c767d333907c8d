package hostsuite

import (
	"strings"
	"time"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/probe"
)

// kills is how often a host is killed at an instant that it doesn't tell.
const kills = 3

func renewalChecks() []*Check {
	must := func(id, clause, title string, run func(*T)) *Check {
		return &Check{ID: "host." + id, Level: check.Must, Clauses: []string{clause}, Title: title, Run: run}
	}
	return []*Check{
		must("one-flight", "H-12", "Of two hosts on one store, one renews, and both get the same access.", oneFlight),
		must("persist-before-use", "H-13", "A renewed credential is stored before the access that came with it is used.", persistBeforeUse),
		must("persist-before-hand-out", "H-13", "A renewed credential is stored before the access that came with it is handed out.", persistBeforeHandOut),
		must("killed", "H-13", "A host that is killed after a renewal's answer comes back with a credential that works.", killed),
		must("no-access", "H-14", "A credential that comes without access is stored.", func(t *T) {
			w := t.signedIn(probe.Script{Spent: 1, Rules: []probe.Rule{{Call: probe.OpenSession, Renew: true, Do: probe.NoAccess}}})
			w.do(access)
			if len(w.journal().Renewals()) == 0 {
				t.Blockf("the host didn't renew")
			}
			w.script(probe.Script{Spent: 1})
			mark := len(w.journal())
			w.do(access)
			w.presents(mark, 2)
		}),
		must("cut-off", "H-15", "A renewal that was cut off isn't made again where the connector says that it can't be.", func(t *T) {
			w := t.signedIn(probe.Script{Spent: 1, NeverReplay: true, Rules: []probe.Rule{{Call: probe.OpenSession, Renew: true, Do: probe.CrashAfter}}})
			w.do(access)
			w.do(access)
			renewals := 0
			for _, c := range w.journal().Calls(probe.OpenSession) {
				if c.Renew {
					renewals++
				}
			}
			switch {
			case renewals == 0:
				t.Blockf("the host didn't renew")
			case renewals > 1:
				t.Errorf("it was made %d times", renewals)
			}
		}),
		must("retry-after", "H-18", "A failed call isn't repeated before the wait that it named.", func(t *T) {
			w := t.signedIn(probe.Script{Spent: 1, Rules: []probe.Rule{{Call: probe.OpenSession, Renew: true, Do: probe.Later}}})
			w.do(access)
			var last time.Time
			for _, c := range w.journal().Calls(probe.OpenSession) {
				if !c.Renew {
					continue
				}
				if gap := c.Time.Sub(last); !last.IsZero() && gap < probe.LaterSeconds*time.Second {
					t.Errorf("it was repeated after %v", gap.Round(time.Millisecond))
				}
				last = c.Time
			}
			if last.IsZero() {
				t.Blockf("the host didn't renew")
			}
		}),
	}
}

func oneFlight(t *T) {
	w := t.signedIn(probe.Script{Spent: 1, Rules: []probe.Rule{{Call: probe.OpenSession, Renew: true, DelayMS: 500}}})
	first, second := w.start(access), w.start(access)
	for _, r := range []*run{first, second} {
		_ = r.stdin.Close()
	}
	for _, r := range []*run{first, second} {
		if !r.wait(actionLimit) {
			t.Fatalf("access doesn't end within %s", actionLimit)
		}
		if r.err != nil {
			t.Errorf("access fails for one of them: %.300s", clean(r.both.String()))
		}
	}
	renewals := 0
	for _, c := range w.journal().Calls(probe.OpenSession) {
		if c.Renew {
			renewals++
		}
	}
	if renewals != 1 {
		t.Errorf("%d calls came that may renew, want 1", renewals)
	}
	if a, b := first.token(), second.token(); a != b || probe.GenerationOf(a) != 2 {
		t.Errorf("they got access of generations %d and %d, want 2 for both", probe.GenerationOf(a), probe.GenerationOf(b))
	}
}

// persistBeforeUse kills the host while the first call with the renewed access
// is under way.
func persistBeforeUse(t *T) {
	w := t.signedIn(probe.Script{Spent: 1, Rules: []probe.Rule{{Call: probe.Test, Do: probe.Hang}, {Call: probe.Identify, Do: probe.Hang}}})
	r := w.start(test)
	used := func() bool {
		for _, c := range w.journal().Calls("") {
			if (c.Call == probe.Test || c.Call == probe.Identify) && c.Generation == 2 {
				return true
			}
		}
		return false
	}
	came := t.await(quick, used)
	r.kill()
	if !came {
		t.Blockf("a connection test with expired access makes no call with renewed access: %.300s", clean(r.both.String()))
	}
	w.script(probe.Script{Spent: 1})
	mark := len(w.journal())
	w.do(access)
	w.presents(mark, 2)
}

// persistBeforeHandOut kills the host as soon as it printed the access.
func persistBeforeHandOut(t *T) {
	w := t.signedIn(probe.Script{Spent: 1})
	r := w.start(access)
	_ = r.stdin.Close()
	came := t.await(quick, func() bool { return r.token() != "" })
	r.kill()
	if !came || probe.GenerationOf(r.token()) != 2 {
		t.Blockf("access wasn't renewed and printed: %.300s", clean(r.both.String()))
	}
	mark := len(w.journal())
	w.do(access)
	w.presents(mark, 2)
}

// killed kills the host when the probe answers, which is before, while or
// after it stores. The credential is the new one, or the one before it, which
// the service still takes: nobody used the new one.
func killed(t *T) {
	w := t.signedIn(probe.Script{Spent: 1})
	for i := range uint64(kills) {
		renewed := len(w.journal().Renewals())
		r := w.start(access)
		_ = r.stdin.Close()
		came := t.await(quick, func() bool { return len(w.journal().Renewals()) > renewed })
		r.kill()
		if !came {
			t.Blockf("the host didn't renew: %.300s", clean(r.both.String()))
		}
		if again := w.do(access); again.err != nil {
			t.Fatalf("killed after the answer, the host fails when it comes back (kill %d): %.300s", i+1, clean(again.both.String()))
		}
		j := w.journal().Renewals()
		w.script(probe.Script{Spent: j[len(j)-1].Generation})
	}
}

// presents wants a generation of the credential, or a later one, in the first
// session that was opened after a mark.
func (w *World) presents(mark int, generation uint64) {
	sessions := w.journal()[mark:].Calls(probe.OpenSession)
	switch {
	case len(sessions) == 0:
		w.t.Errorf("the host came back with no credential")
	case sessions[0].Generation < generation:
		w.t.Errorf("the host came back with generation %d of the credential, not %d", sessions[0].Generation, generation)
	}
}

// startsWith reports whether a host's text names all of some words.
func names(text string, words ...string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}
