//go:build unix

package scale_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/host/store/pgstore/pgtest"
	"github.com/boxconnection/connector/plugin/box/boxsim"
)

// world is one database, the nodes on it, and the service.
type world struct {
	t       *testing.T
	dsn     string
	store   store.Store
	keys    *seal.Keyring
	box     *boxsim.Instance
	control boxsim.Control
	folder  string // of programs
	nodes   []*node
}

// node is a folder of connectorctl.
type node struct {
	world   *world
	program string
	home    string
	temp    string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	knobs := boxsim.DefaultKnobs()
	knobs.TokenRate = tokenRate
	box, err := boxsim.Listen(t.Context(), "localhost:0", boxsim.Options{Knobs: &knobs}, boxsim.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	w := &world{t: t, box: box, control: box.Control(), dsn: pgtest.Start(t).Database(t)}
	if w.store, err = pgstore.Open(t.Context(), w.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	built, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	w.folder = built
	set, err := seal.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		n := &node{world: w, program: filepath.Join(built, present, "connectorctl"), home: t.TempDir()}
		if i == nodes-1 {
			n.program = filepath.Join(built, skewed, "connectorctl")
		}
		if n.temp, err = os.MkdirTemp("", "sc"); err != nil { // short enough for a socket
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(n.temp) })
		if err := os.WriteFile(filepath.Join(n.home, "keys.json"), set, 0o600); err != nil {
			t.Fatal(err)
		}
		w.nodes = append(w.nodes, n)
	}
	if w.keys, err = seal.Parse(set); err != nil {
		t.Fatal(err)
	}
	return w
}

// clock is the time that programs of the last node's build have.
func (w *world) clock() time.Time {
	w.t.Helper()
	out, err := exec.Command(filepath.Join(filepath.Dir(w.nodes[nodes-1].program), "clock")).Output()
	if err != nil {
		w.t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339, string(out))
	if err != nil {
		w.t.Fatal(err)
	}
	return at
}

// ctl runs connectorctl, which must succeed, and reads what it prints.
func (n *node) ctl(into any, args ...string) {
	n.world.t.Helper()
	out, err := n.run(args...)
	if err == nil && into != nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		n.world.t.Fatal(err)
	}
}

func (n *node) run(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(n.world.t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, n.program, append([]string{"--json", "--home", n.home, "--store", n.world.dsn}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + n.home, "TMPDIR=" + n.temp}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, stderr.String())
	}
	return out, err
}

// keepAlive has all nodes work at the same time.
func (w *world) keepAlive() []host.KeptAlive {
	w.t.Helper()
	sums, errs := make([]host.KeptAlive, nodes), make([]error, nodes)
	var work sync.WaitGroup
	for i, n := range w.nodes {
		work.Go(func() {
			out, err := n.run("keepalive", "--concurrency", "32", "--rate", strconv.Itoa(share))
			if err == nil {
				err = json.Unmarshal(out, &sums[i])
			}
			errs[i] = err
		})
	}
	work.Wait()
	if err := errors.Join(errs...); err != nil {
		w.t.Fatal(err)
	}
	return sums
}

func keyOf(i int) store.Key {
	return store.Key{Owner: "local", Connection: "copy" + strconv.Itoa(i), Environment: host.DefaultEnvironment}
}

func nameOf(i int) string { return "c" + strconv.Itoa(i) }

// fill makes n connections that are signed in to and that nobody has used for
// 50 days. One is made as a person makes it; the others are copies of its
// record with grants of their own, sealed for their places.
func (w *world) fill(n int) {
	w.t.Helper()
	ctx := w.t.Context()
	template := w.template()
	pairs, err := w.control.Seed(ctx, boxsim.DefaultUsers()[0].Login, n)
	if err != nil {
		w.t.Fatal(err)
	}
	now, err := w.store.Now(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	plain := map[store.Field][]byte{}
	for field, sealed := range template.Sealed {
		if plain[field], err = w.keys.Open(ctx, template.Key, field, sealed); err != nil {
			w.t.Fatal(err)
		}
	}
	delete(plain, store.FieldPrevious)
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(8)
	for i, pair := range pairs {
		work.Go(func() error {
			r := *template
			r.Key, r.Name, r.Sealed = keyOf(i), nameOf(i), map[store.Field][]byte{}
			r.RenewedAt, r.LapsesAt = now.Add(-50*24*time.Hour), now.Add(10*24*time.Hour)
			r.DueAt, r.AccessExpiresAt = now.Add(-time.Duration(i)*time.Second), r.RenewedAt.Add(time.Hour)
			for field, text := range plain {
				if field == store.FieldCredential {
					text = withTokens(text, pair)
				}
				sealed, err := w.keys.Seal(ctx, r.Key, field, text)
				if err != nil {
					return err
				}
				r.Sealed[field] = sealed
			}
			return w.store.Create(ctx, &r)
		})
	}
	if err := work.Wait(); err != nil {
		w.t.Fatal(err)
	}
}

var tokenValue = regexp.MustCompile(`(access_token|refresh_token)(\\?":\\?")[0-9A-Za-z]+`)

// withTokens puts other tokens into a credential's text.
func withTokens(credential []byte, pair boxsim.TokenPair) []byte {
	return tokenValue.ReplaceAllFunc(credential, func(found []byte) []byte {
		m := tokenValue.FindSubmatch(found)
		value := pair.AccessToken
		if string(m[1]) == "refresh_token" {
			value = pair.RefreshToken
		}
		return fmt.Appendf(nil, "%s%s%s", m[1], m[2], value)
	})
}

// template is the record of a connection that is signed in to.
func (w *world) template() *store.Record {
	w.t.Helper()
	ctx := w.t.Context()
	sink, err := audit.OpenFile(filepath.Join(w.t.TempDir(), "audit.jsonl"))
	if err != nil {
		w.t.Fatal(err)
	}
	launcher, err := launch.New(launch.Options{RuntimeDir: w.nodes[0].temp})
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := host.Open(w.store, w.keys, sink)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(h.Close(ctx), launcher.Close(ctx), sink.Close()); err != nil {
			w.t.Error(err)
		}
	}()
	id, err := w.signIn(ctx, h, launcher)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := w.store.Get(ctx, store.Key{Owner: "local", Connection: id, Environment: host.DefaultEnvironment})
	if err != nil {
		w.t.Fatal(err)
	}
	template := *r
	template.Sealed = maps.Clone(r.Sealed)
	return &template
}

func (w *world) signIn(ctx context.Context, h *host.Host, l *launch.Launcher) (id string, err error) {
	p, err := l.Load(ctx, filepath.Join(w.folder, present, "box-connection"), launch.AnyDigest())
	if err != nil {
		return "", err
	}
	box, err := h.Load(ctx, p)
	if err != nil {
		return "", err
	}
	info := w.box.Info()
	settings, err := json.Marshal(map[string]string{
		"authorize_url": info.AuthorizeURL, "token_url": info.TokenURL, "revoke_url": info.RevokeURL, "api_url": info.APIURL,
		"client_id": info.ClientID, "client_secret": info.ClientSecret,
	})
	if err != nil {
		return "", err
	}
	c, err := h.Tenant("local", "", "test").Draft(ctx, box, settings, host.DraftOptions{Plugin: "box-connection"})
	if err != nil {
		return "", err
	}
	if err := c.Save(ctx, "template"); err != nil {
		return "", err
	}
	s, err := c.BeginSignIn(ctx, boxsim.DefaultRedirectURI)
	if err != nil {
		return "", err
	}
	callback, err := boxsim.Person{}.Allow(ctx, s.URL)
	if err != nil {
		return "", err
	}
	_, err = h.CompleteSignIn(ctx, callback, s.Binding)
	return c.ID(), err
}

// sent is how many refresh tokens the service accepted, and how often the one
// that it accepted most often.
func (w *world) sent() (tokens, most int) {
	w.t.Helper()
	requests, err := w.control.Requests(w.t.Context(), boxsim.RequestQuery{GrantType: "refresh_token", Status: 200})
	if err != nil {
		w.t.Fatal(err)
	}
	times := map[string]int{}
	for _, r := range requests {
		times[r.Tokens["refresh_token"]]++
	}
	for _, n := range times {
		most = max(most, n)
	}
	return len(times), most
}

// copy reads the record of one of fill's connections.
func (w *world) copy(i int) *store.Record {
	w.t.Helper()
	r, err := w.store.Get(w.t.Context(), keyOf(i))
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}
