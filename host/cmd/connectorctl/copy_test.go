//go:build unix

package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/boxconnection/connector/host/store/pgstore/pgtest"
)

// installation is a store and the node that works with it.
type installation struct {
	*world
	t     *testing.T
	flags []string // those that name the store and the site
}

// must runs connectorctl on the store and wants the exit code.
func (s installation) must(code int, args ...string) result {
	s.t.Helper()
	return s.world.must(s.t, code, append(append([]string{}, s.flags...), args...)...)
}

// refused runs connectorctl on the store and wants it refused since the store
// isn't adopted.
func (s installation) refused(args ...string) {
	s.t.Helper()
	if r := s.must(15, args...); !strings.Contains(r.stderr, "STORE_NOT_ADOPTED") || !strings.Contains(r.stderr, "store adopt") {
		s.t.Errorf("%v: %s", args, r.stderr)
	}
}

// production is a site whose connections are signed in to: "sales", "doomed",
// and one that is deleted while the service can't revoke.
func production(t *testing.T, accessLife string, flags ...string) installation {
	t.Helper()
	s := installation{worldOf(t), t, flags}
	if _, err := s.boxsim("box", "--access-lifetime="+accessLife); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sales", "doomed", "gone"} {
		if err := s.create(name, flags...); err != nil {
			t.Fatal(err)
		}
		if err := s.signIn(name, "", flags...); err != nil {
			t.Fatal(err)
		}
	}
	fault, err := s.box.fault(`{"match":{"path":"/oauth2/revoke"},"then":{"status":503},"times":1000}`)
	if err != nil {
		t.Fatal(err)
	}
	s.must(0, "connection", "delete", "gone", "--yes")
	if _, err := s.box.control("DELETE", "/faults/"+fault, ""); err != nil {
		t.Fatal(err)
	}
	return s
}

// copyOf is a node of its own with production's key, on a copied store.
func copyOf(production installation, flags ...string) installation {
	s := installation{worldOf(production.t), production.t, flags}
	s.box = production.box
	if err := os.MkdirAll(s.home(), 0o700); err != nil {
		s.t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(production.home(), "keys.json"))
	if err == nil {
		err = os.WriteFile(filepath.Join(s.home(), "keys.json"), key, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return s
}

// traffic counts the token requests after the sign-ins, and the revocations.
func (s installation) traffic() string {
	s.t.Helper()
	return fmt.Sprintf("%d renewals, %d revocations", s.seen("grant_type=refresh_token"), s.seen("path=/oauth2/revoke"))
}

// seen counts the requests that match a query.
func (s installation) seen(query string) int {
	s.t.Helper()
	list, err := s.box.requests(query)
	if err != nil {
		s.t.Fatal(err)
	}
	return len(list)
}

// quiet fails if what a test does reaches the service as a renewal or a
// revocation.
func (s installation) quiet(what string, do func()) {
	s.t.Helper()
	before := s.traffic()
	do()
	if after := s.traffic(); after != before {
		s.t.Errorf("%s: %s before, %s after", what, before, after)
	}
}

func (s installation) token() string {
	s.t.Helper()
	var a struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(s.must(0, "--json", "access", "sales").stdout), &a); err != nil {
		s.t.Fatal(err)
	}
	return a.Token
}

func (s installation) expired() {
	s.t.Helper()
	var l life
	if err := json.Unmarshal([]byte(s.must(0, "--json", "connection", "show", "sales").stdout), &l); err != nil {
		s.t.Fatal(err)
	}
	if err := until(l.AccessExpiresAt); err != nil {
		s.t.Fatal(err)
	}
}

// worker runs a worker on the store until its keep-alive has run.
func (s installation) worker() {
	s.t.Helper()
	p := startCtl(s.t, s.world, append(append([]string{}, s.flags...), "--verbose", "worker", "--runtime", "copy", "--keepalive-every", "1s"))
	for _, line := range []string{"STORE_NOT_ADOPTED", "^Serving the runtime copy", `kept alive.*STORE_NOT_ADOPTED`} {
		printed(s.t, p, line)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if r, err := p.wait(); err != nil || r.code != 0 {
		s.t.Errorf("the worker ended with %d, %v\n%s", r.code, err, r)
	}
}

// copyTrial tries what copies of a store do beside production: nothing that
// reaches it, until they are adopted.
func copyTrial(t *testing.T, live installation, copies map[string]installation) {
	for name, c := range copies {
		live.quiet(name+": while the access lasts", func() {
			c.must(0, "connection", "list")
			c.must(0, "connection", "show", "sales")
			c.must(0, "store", "verify")
			c.refused("connection", "sign-in", "sales", "--port", "0", "--no-browser")
			c.refused("connection", "sign-out", "sales")
			c.refused("keepalive")
		})
	}
	live.expired()
	for name, c := range copies {
		live.quiet(name+": until it is adopted", func() {
			c.refused("access", "sales")
			c.must(15, "connection", "test", "sales")
			if r := c.must(0, "connection", "delete", "doomed", "--yes"); !strings.Contains(r.stdout, "left at the service") {
				t.Errorf("%s: the deletion doesn't say what it left: %s", name, r.stdout)
			}
			c.must(1, "connection", "show", "doomed")
			c.refused("keepalive")
			if len(c.flags) > 0 { // a database
				c.worker()
			}
		})
	}
	// Production never noticed.
	for _, name := range []string{"sales", "doomed"} {
		live.must(0, "access", name)
		live.must(0, "connection", "test", name)
	}
	for name, c := range copies {
		live.quiet(name+": by the adoption itself", func() {
			c.must(0, "store", "adopt", "--without-sign-ins")
			if r := c.must(0, "store", "adopt"); !strings.Contains(r.stdout, "Nothing to adopt") {
				t.Errorf("%s: the second adoption: %s", name, r.stdout)
			}
			// What was deleted before, and what production had still to revoke,
			// isn't revoked after it either.
			if r := c.must(0, "keepalive"); !strings.Contains(r.stdout, "renewed 0, revoked 0,") {
				t.Errorf("%s: keep-alive after the adoption: %s", name, r.stdout)
			}
			c.must(11, "access", "sales")
			if r := c.must(0, "audit"); !strings.Contains(r.stdout, "store.adopt") {
				t.Errorf("%s: the adoption isn't in the audit: %s", name, r.stdout)
			}
		})
		// From here on it is a store like any other.
		if err := c.signIn("sales", "", c.flags...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.must(0, "access", "sales")
		c.must(0, "connection", "delete", "sales", "--yes")
	}
	live.expired()
	for _, name := range []string{"sales", "doomed"} {
		live.must(0, "access", name)
		live.must(0, "connection", "test", name)
	}
	live.must(0, "connection", "delete", "doomed", "--yes")
}

// A database that was restored from production's dump, on the same server and
// on another, and a server that was restored from its base backup and is
// started under another site's name: production lives.
func TestCopiedDatabases(t *testing.T) {
	t.Parallel()
	server, other := pgtest.Start(t), pgtest.Start(t)
	dsn := server.Database(t)
	live := production(t, "8s", "--store", dsn, "--site", "production")
	_, database, _ := strings.Cut(dsn, "dbname=")
	copies := map[string]installation{
		"a dump on the same server": copyOf(live, "--store", server.Restore(t, dsn), "--site", "production"),
		"a dump on another server":  copyOf(live, "--store", other.Restore(t, dsn), "--site", "production"),
		"a base backup":             copyOf(live, "--store", server.BaseBackup(t).DSN(database), "--site", "staging"),
	}
	copyTrial(t, live, copies)
}

// Folders that were copied from production's, in another place, and with its
// whole home.
func TestCopiedFolders(t *testing.T) {
	t.Parallel()
	live := production(t, "8s")
	apart := copyOf(live)
	whole := copyOf(live)
	if err := os.RemoveAll(whole.home()); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		filepath.Join(live.home(), "store"): filepath.Join(apart.home(), "store"),
		live.home():                         whole.home(),
	} {
		if out, err := exec.CommandContext(t.Context(), "cp", "-a", from, to).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v\n%s", err, out)
		}
	}
	copyTrial(t, live, map[string]installation{"the store": apart, "the home": whole})
}

// After the original is gone, the restored store takes over: access that still
// lasts is good even before, and after the adoption it is renewed, and what the
// original had still to revoke is revoked if that is asked for.
func TestRestoredAfterALoss(t *testing.T) {
	t.Parallel()
	live := production(t, "25s") // long enough to be used before it ends
	restored := copyOf(live)
	// The home is gone with its disk; the backup of the store is all there is.
	if err := os.Rename(filepath.Join(live.home(), "store"), filepath.Join(restored.home(), "away")); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", filepath.Join(restored.home(), "away"), filepath.Join(restored.home(), "store")).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	live.quiet("before the adoption", func() {
		if restored.token() == "" {
			t.Error("no access token")
		}
		restored.must(0, "connection", "test", "sales")
	})
	restored.must(0, "store", "adopt", "--keep-revocations")
	if r := restored.must(0, "keepalive"); !strings.Contains(r.stdout, "revoked 1,") {
		t.Errorf("keep-alive after the adoption: %s", r.stdout)
	}
	restored.expired()
	restored.must(0, "access", "sales")
	if n := live.seen("grant_type=refresh_token"); n != 1 {
		t.Errorf("%d renewals, want one", n)
	}
}
