//go:build unix

// Package upgrade_test upgrades the connector under live connections, and goes
// back: two builds that write different credential formats, on several nodes
// of one store.
package upgrade_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/filestore"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/host/store/pgstore/pgtest"
	"github.com/boxconnection/connector/plugin/box/boxsim"
	"github.com/boxconnection/connector/proto/connector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The two builds: the connector as it ships, which reads and writes format 1,
// and a later one, which reads 1 and 2 and can write either.
const (
	presentBuild = "../../../plugin/cmd/box-connection"
	laterBuild   = "./testdata/next"
)

// Two nodes on one store, of which one is upgraded while the other isn't, serve
// and renew the connection in turns; then both are upgraded and go back. Nobody
// has to sign in again, and no refresh token is sent after its successor was
// used.
func TestUpgradeAndRollback(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		first, second := w.node(), w.node()
		first.load(presentBuild)
		second.load(presentBuild)
		w.signIn(first)
		for _, step := range []struct {
			upgrade *node
			build   string
		}{
			{nil, ""},
			{second, laterBuild},   // mixed
			{first, laterBuild},    // upgraded
			{second, presentBuild}, // mixed again
			{first, presentBuild},  // back
		} {
			if step.upgrade != nil {
				step.upgrade.load(step.build)
			}
			for _, n := range []*node{first, second, first} {
				w.renewed(n)
			}
			if f := w.format(); f != 1 {
				t.Fatalf("the credential has format %d while a build that reads 1 alone may run", f)
			}
		}
		// A sign-in on an upgraded node is one that the other can use.
		second.load(laterBuild)
		w.signIn(second)
		w.renewed(first)
	})
}

// Once no older build runs, new formats are allowed. A node that goes back too
// early says precisely what is wrong and keeps the credential; the upgrade, or
// any node that has it, serves again. A rollback that is prepared loses nothing
// either.
func TestNewFormat(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		before, upgraded := w.node(), w.node(host.WithNewFormats())
		before.load(presentBuild)
		upgraded.load(laterBuild)
		w.signIn(before)
		w.renewed(upgraded)
		if f := w.format(); f != 2 {
			t.Fatalf("the credential has format %d, though new ones are allowed", f)
		}

		kept := w.record()
		requests := w.requests()
		w.ahead += 2 * time.Hour
		for range 2 {
			_, err := before.access(kept.Generation)
			d := connector.Diagnose(err, connector.OriginHost)
			if !errors.Is(err, connector.CredentialUnreadable) || d.Disposition == connector.SignInAgain || d.Suggestion == "" {
				t.Fatalf("the older build says %+v", d)
			}
		}
		after := w.record()
		if after.Generation != kept.Generation || after.Verdict != nil || string(after.Sealed[store.FieldCredential]) != string(kept.Sealed[store.FieldCredential]) {
			t.Fatalf("the older build left %+v", after)
		}
		if n := w.requests(); n != requests {
			t.Fatalf("the older build sent %d token requests", n-requests)
		}
		w.renewed(upgraded) // other nodes aren't in its way
		before.load(laterBuild)
		w.renewed(before)

		// The way back: new formats aren't allowed any more, the connection is
		// renewed, and the older build can have it.
		if f := w.format(); f != 1 {
			t.Fatalf("the credential has format %d, though new ones aren't allowed on the node", f)
		}
		before.load(presentBuild)
		w.renewed(before)
	})
}

// onBoth runs a test on a folder and on a database.
func onBoth(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		test(t, newWorld(t, func(ctx context.Context) (store.Store, error) { return filestore.Open(ctx, folder) }))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.Start(t).Database(t)
		test(t, newWorld(t, func(ctx context.Context) (store.Store, error) { return pgstore.Open(ctx, dsn) }))
	})
}

// world is one store with a connection to an emulator.
type world struct {
	t       *testing.T
	open    func(context.Context) (store.Store, error)
	keys    *seal.Keyring
	box     *boxsim.Instance
	control boxsim.Control
	builds  map[string]string // paths of binaries by package
	store   store.Store       // for the test's own eyes
	key     store.Key
	ahead   time.Duration // of the store's clock, to make the next renewal due
}

func newWorld(t *testing.T, open func(context.Context) (store.Store, error)) *world {
	t.Helper()
	box, err := boxsim.Listen(t.Context(), "localhost:0", boxsim.Options{}, boxsim.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	set, err := seal.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, open: open, box: box, control: box.Control(), builds: map[string]string{}}
	if w.keys, err = seal.Parse(set); err != nil {
		t.Fatal(err)
	}
	if w.store, err = open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	for _, pkg := range []string{presentBuild, laterBuild} {
		w.builds[pkg] = filepath.Join(t.TempDir(), "box-connection")
		if text, err := exec.Command("go", "build", "-o", w.builds[pkg], pkg).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	return w
}

// shifted is a store whose clock the world sets forward.
type shifted struct {
	store.Store
	world *world
}

func (s shifted) Now(ctx context.Context) (time.Time, error) {
	now, err := s.Store.Now(ctx)
	return now.Add(s.world.ahead), err
}

func (s shifted) Acquire(ctx context.Context, k store.Key, want store.LeaseRequest) (*store.Record, *store.Lease, error) {
	r, held, err := s.Store.Acquire(ctx, k, want)
	if r != nil && r.Lease != nil {
		r.Lease.Until = r.Lease.Until.Add(s.world.ahead)
	}
	return r, held, err
}

// node is a host with connector processes of its own.
type node struct {
	world    *world
	host     *host.Host
	launcher *launch.Launcher
	box      *host.Connector
	seen     uint64 // the generation of the last access that it gave
}

func (w *world) node(opts ...host.Option) *node {
	w.t.Helper()
	st, err := w.open(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	sink, err := audit.OpenFile(filepath.Join(w.t.TempDir(), "audit.jsonl"))
	if err != nil {
		w.t.Fatal(err)
	}
	run, err := os.MkdirTemp("", "up") // short enough for a socket
	if err != nil {
		w.t.Fatal(err)
	}
	n := &node{world: w}
	if n.host, err = host.Open(shifted{st, w}, w.keys, sink, opts...); err != nil {
		w.t.Fatal(err)
	}
	if n.launcher, err = launch.New(launch.Options{RuntimeDir: run}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(n.host.Close(ctx), n.launcher.Close(ctx), sink.Close(), st.Close(), os.RemoveAll(run)); err != nil {
			w.t.Error(err)
		}
	})
	return n
}

// load puts a build in the place of the one that the node has.
func (n *node) load(pkg string) {
	n.world.t.Helper()
	p, err := n.launcher.Load(n.world.t.Context(), n.world.builds[pkg], launch.AnyDigest())
	if err != nil {
		n.world.t.Fatal(err)
	}
	if n.box, err = n.host.Load(n.world.t.Context(), p); err != nil {
		n.world.t.Fatal(err)
	}
}

// signIn signs in on a node, and makes the connection if there is none.
func (w *world) signIn(n *node) {
	w.t.Helper()
	ctx, tenant := w.t.Context(), n.host.Tenant("local", "", "tester")
	c, err := tenant.Connection(ctx, "sales")
	if errors.Is(err, connector.ConnectionNotFound) {
		info := w.box.Info()
		settings, merr := json.Marshal(map[string]string{
			"authorize_url": info.AuthorizeURL, "token_url": info.TokenURL, "revoke_url": info.RevokeURL, "api_url": info.APIURL,
			"client_id": info.ClientID, "client_secret": info.ClientSecret,
		})
		if merr != nil {
			w.t.Fatal(merr)
		}
		if c, err = tenant.Draft(ctx, n.box, settings, host.DraftOptions{}); err == nil {
			err = c.Save(ctx, "sales")
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.key = store.Key{Owner: "local", Connection: c.ID(), Environment: host.DefaultEnvironment}
	s, err := c.BeginSignIn(ctx, boxsim.DefaultRedirectURI)
	if err != nil {
		w.t.Fatal(err)
	}
	callback, err := boxsim.Person{}.Allow(ctx, s.URL)
	if err == nil {
		_, err = n.host.CompleteSignIn(ctx, callback, s.Binding)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// access asks for access other than that of a generation, which may be newer
// than the one that the node has in memory.
func (n *node) access(refused uint64) (a *connector.Access, err error) {
	c, err := n.host.Tenant("local", "", "tester").Connection(n.world.t.Context(), "sales")
	if err != nil {
		return nil, err
	}
	for refused > n.seen {
		if a, err = c.Access(n.world.t.Context(), connector.AccessRequest{Refused: n.seen}); err != nil {
			return nil, err
		}
		if n.seen = a.Generation; n.seen > refused {
			return a, nil
		}
	}
	if a, err = c.Access(n.world.t.Context(), connector.AccessRequest{Refused: refused}); err == nil {
		n.seen = a.Generation
	}
	return a, err
}

// renewed has the access expire and wants the node to renew it, with a token
// that the service takes.
func (w *world) renewed(n *node) {
	w.t.Helper()
	before := w.record().Generation
	w.ahead += 2 * time.Hour
	a, err := n.access(before)
	if err != nil {
		w.t.Fatal(err)
	}
	if a.Generation != before+1 {
		w.t.Fatalf("generation %d after %d", a.Generation, before)
	}
	c, err := n.host.Tenant("local", "", "tester").Connection(w.t.Context(), "sales")
	if err != nil {
		w.t.Fatal(err)
	}
	for check, err := range c.Test(w.t.Context(), host.TestOptions{}) {
		if err != nil || check.Status == connector.CheckFailed {
			w.t.Fatalf("%+v, %v", check, err)
		}
	}
	s, err := w.control.State(w.t.Context())
	if err != nil || s.Counters.ReusedAfterSuccessorUsed != 0 {
		w.t.Fatalf("a spent token was sent: %+v, %v", s.Counters, err)
	}
}

func (w *world) record() *store.Record {
	w.t.Helper()
	r, err := w.store.Get(w.t.Context(), w.key)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) format() uint32 { return w.record().CredentialFormat }

// requests is how many renewals the service was asked for.
func (w *world) requests() int {
	w.t.Helper()
	list, err := w.control.Requests(w.t.Context(), boxsim.RequestQuery{GrantType: "refresh_token"})
	if err != nil {
		w.t.Fatal(err)
	}
	return len(list)
}
