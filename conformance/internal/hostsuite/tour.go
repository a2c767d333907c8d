package hostsuite

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/probe"
	"github.com/boxconnection/connector/proto/handshake"
)

// tour is a host that did everything once, on a probe where all goes well.
type tour struct {
	journal probe.Journal
	outputs []string
	secret  string
	plain   []string // files of the home that hold a secret in plain text
	problem string
}

// toured takes the tour, once for all checks.
func (t *T) toured() *tour {
	t.tourOnce.Do(func() {
		inner := &T{Suite: t.Suite, ctx: t.ctx, level: check.Must, verdict: check.Pass, folder: filepath.Join(t.Folder, "tour")}
		done := make(chan struct{})
		go func() { // it may end itself
			defer close(done)
			defer inner.close()
			t.tour = takeTour(inner)
		}()
		<-done
		if t.tour == nil {
			t.tour = &tour{problem: strings.Join(inner.messages, "; ")}
		}
	})
	if t.tour.problem != "" {
		t.Blockf("the host doesn't get through create, sign-in, access and test: %s", t.tour.problem)
	}
	return t.tour
}

func takeTour(t *T) *tour {
	w := t.world(probe.Script{})
	w.must(create)
	r := w.start(signIn)
	callback := r.callback()
	plain := w.plainText()
	r.paste(callback)
	if !r.wait(quick) || r.err != nil {
		t.Blockf("sign-in fails (%v): %.300s", r.err, clean(r.both.String()))
	}
	w.must(test)
	for spent := range uint64(2) {
		w.script(probe.Script{Spent: spent + 1})
		w.must(access)
		w.must(test)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return &tour{journal: w.journal(), outputs: w.outputs, secret: w.secret, plain: append(plain, w.plainText()...)}
}

// plainText lists the files of the home that hold a secret as it is.
func (w *World) plainText() (found []string) {
	_ = filepath.WalkDir(w.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // what has gone meanwhile holds nothing
		}
		data, err := os.ReadFile(path) //nolint:gosec // below the home that the suite made
		if err != nil {
			return nil //nolint:nilerr // likewise
		}
		for _, mark := range []string{probe.PendingMark, probe.CredentialMark, probe.AccessMark, w.secret} {
			if strings.Contains(string(data), mark) && !isProbe(data) {
				found = append(found, filepath.Base(path)+" holds "+strings.TrimSuffix(strings.TrimPrefix(mark, probe.Mark), "-"))
			}
		}
		return nil
	})
	return found
}

// isProbe tells copies of the probe, which know the marks.
func isProbe(data []byte) bool {
	return strings.HasPrefix(string(data), "\x7fELF") || strings.HasPrefix(string(data), "MZ") || strings.HasPrefix(string(data), "\xcf\xfa\xed\xfe")
}

func tourChecks() []*Check {
	must := func(id, clause, title string, judge func(*T, *tour)) *Check {
		return &Check{ID: "host." + id, Level: check.Must, Clauses: []string{clause}, Title: title, Run: func(t *T) { judge(t, t.toured()) }}
	}
	death := must("death-pipe", "H-1", "The host gives its plugins a death pipe.", func(t *T, o *tour) {
		for _, s := range o.journal.Starts() {
			if !slices.Contains(s.Environment, handshake.DeathFD) {
				t.Fatalf("%s isn't set", handshake.DeathFD)
			}
		}
	})
	death.Level = check.Should
	return []*Check{
		must("environment", "H-1", "The host sets the cookie, the versions, the sockets' folder and its certificate.", func(t *T, o *tour) {
			for _, s := range o.journal.Starts() {
				for _, name := range []string{handshake.CookieKey, "PLUGIN_PROTOCOL_VERSIONS", handshake.SocketDir, "PLUGIN_CLIENT_CERT"} {
					if !slices.Contains(s.Environment, name) {
						t.Errorf("%s isn't set", name)
					}
				}
			}
		}),
		death,
		must("allow-list", "H-2", "A plugin's environment holds neither the host's secrets nor proxy variables.", func(t *T, o *tour) {
			for _, s := range o.journal.Starts() {
				for _, name := range s.Environment {
					if name == hostSecret || strings.HasSuffix(strings.ToUpper(name), "_PROXY") {
						t.Errorf("%s is handed on", name)
					}
				}
			}
		}),
		must("socket-folder", "H-3", "The socket's folder is private, and its path short.", func(t *T, o *tour) {
			for _, s := range o.journal.Starts() {
				if s.SocketMode&0o077 != 0 {
					t.Errorf("the folder has mode %o", s.SocketMode)
				}
				if s.SocketPath > longestFolder() {
					t.Errorf("its path has %d bytes, more than %d", s.SocketPath, longestFolder())
				}
			}
		}),
		must("deadlines", "H-8", "Every call has a deadline.", func(t *T, o *tour) {
			for _, c := range o.journal.Calls("") {
				if c.Left < 0 {
					t.Errorf("%s has none", c.Call)
				}
			}
		}),
		must("renewal-deadline", "H-12", "A call that may renew has a deadline for it, and one that may not has none of its own making.", renewalDeadline),
		must("unchanged", "H-16", "A credential is passed on unchanged.", func(t *T, o *tour) {
			issued := map[string]bool{}
			for _, e := range o.journal {
				switch {
				case e.Event == probe.Issued:
					issued[e.Sum] = true
				case e.Event == probe.Called && e.Call == probe.OpenSession && e.Sum != "" && !issued[e.Sum]:
					t.Errorf("a credential came that the probe didn't make")
				}
			}
		}),
		must("latest", "H-13", "The credential that was stored last is the one that is used.", func(t *T, o *tour) {
			var last uint64
			for _, e := range o.journal {
				switch {
				case e.Event == probe.Issued:
					last = e.Generation
				case e.Event == probe.Called && e.Call == probe.OpenSession && e.Generation != last:
					t.Errorf("generation %d of the credential came when %d was out", e.Generation, last)
				}
			}
		}),
		must("generation", "H-25", "The generation of access grows with every credential that is stored.", func(t *T, o *tour) {
			host := map[uint64]uint64{}
			for _, e := range o.journal.Calls(probe.Test) {
				if e.Generation != 0 {
					host[e.Generation] = e.HostGeneration
				}
			}
			if len(host) < 2 {
				t.Blockf("fewer than two generations of access came to TestConnection")
			}
			for g, h := range host {
				if before, ok := host[g-1]; ok && h <= before {
					t.Errorf("it was %d, and is %d after a renewal", before, h)
				}
			}
		}),
		must("settings", "H-26", "Settings are sent whole, with their secrets.", func(t *T, o *tour) {
			for _, c := range o.journal.Calls("") {
				if c.Call != "Describe" && c.Call != probe.Validate && (c.Secret != probe.Fingerprint(o.secret) || c.Settings != probe.Fingerprint("a label")) {
					t.Errorf("%s came with other settings", c.Call)
				}
			}
		}),
		must("output", "H-27", "No secret is in the host's output.", func(t *T, o *tour) {
			for _, text := range o.outputs {
				for _, mark := range []string{probe.AccessMark, probe.CredentialMark, probe.PendingMark, o.secret} {
					if strings.Contains(text, mark) {
						t.Errorf("the output holds a secret: %s", strings.TrimPrefix(mark, probe.Mark)[:6])
					}
				}
			}
		}),
		must("pending", "H-21", "Pending sign-ins, credentials and secrets aren't kept in plain text.", func(t *T, o *tour) {
			for _, file := range o.plain {
				t.Errorf("%s in plain text", file)
			}
		}),
		must("undeclared", "H-28", "Calls of capabilities that aren't declared aren't sent.", func(t *T, o *tour) {
			for _, c := range o.journal.Calls("") {
				if c.Call == "NarrowAccess" || c.Call == "RevokeAuthorization" {
					t.Errorf("%s came", c.Call)
				}
			}
		}),
		must("state", "H-19", "A state has 128 random bits or more, and belongs to one sign-in.", func(t *T, o *tour) {
			const shortest = 22 // characters of base64 for 128 bits
			for _, c := range o.journal.Calls(probe.Begin) {
				if c.StateLength < shortest {
					t.Errorf("it has %d characters", c.StateLength)
				}
			}
		}),
	}
}

func renewalDeadline(t *T, o *tour) {
	renewals := 0
	for _, c := range o.journal.Calls(probe.OpenSession) {
		if !c.Renew {
			continue
		}
		renewals++
		if c.RenewLeft <= 0 {
			t.Errorf("allow_renew came without a deadline, or with one that had passed")
		}
	}
	if renewals == 0 {
		t.Blockf("the host never renewed")
	}
	if n := len(o.journal.Renewals()); n != 2 {
		t.Errorf("access expired twice, and was renewed %d times", n)
	}
}
