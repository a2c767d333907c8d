package web_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store/filestore"
	"github.com/boxconnection/connector/host/web"
	"github.com/boxconnection/connector/plugin/box/boxsim"
)

// binary is the Box connector's.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	flag.Parse()
	folder, err := os.MkdirTemp("", "web")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	binary = filepath.Join(folder, "box-connection")
	build := exec.Command("go", "build", "-o", binary, "./plugin/cmd/box-connection")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	if code = m.Run(); code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// base is where the pages are in the browser: behind a proxy that ends TLS, and
// below a prefix.
const (
	prefix = "/engine/connections"
	base   = "https://engine.example" + prefix
)

// rig is an engine with the pages.
type rig struct {
	t      *testing.T
	host   *host.Host
	box    *boxsim.Instance
	server *httptest.Server
	events *events
}

// events is an audit sink in memory.
type events struct {
	mu   sync.Mutex
	list []audit.Event
}

// Record implements audit.Sink.
func (e *events) Record(_ context.Context, ev audit.Event) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev)
	return nil
}

func (e *events) of(_ context.Context, owner string) iter.Seq2[audit.Event, error] {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := slices.Clone(e.list)
	return func(yield func(audit.Event, error) bool) {
		for _, ev := range list {
			if ev.Owner == owner && !yield(ev, nil) {
				return
			}
		}
	}
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, events: &events{}}
	sim, err := boxsim.Listen(context.Background(), "localhost:0", boxsim.Options{
		RedirectURIs: []string{base + "/account/acme/oauth2/callback"},
	}, boxsim.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.box = sim
	store, err := filestore.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	set, err := seal.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.Parse(set)
	if err != nil {
		t.Fatal(err)
	}
	launcher, err := launch.New(launch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	load := func(ctx context.Context, _ string) (*host.Connector, error) {
		p, err := launcher.Load(ctx, binary, launch.AnyDigest())
		if err != nil {
			return nil, err
		}
		return r.host.Load(ctx, p)
	}
	r.host, err = host.Open(store, keys, r.events, host.WithLoader(func(ctx context.Context, i host.Info) (*host.Connector, error) { return load(ctx, i.Plugin) }))
	if err != nil {
		t.Fatal(err)
	}
	handler, err := web.Handler(r.host, web.Options{
		Base: base, Load: load, Choices: []web.Choice{{Plugin: "box", Title: "Box"}}, Audit: r.events.of,
		Principal: func(r *http.Request) (web.Principal, error) {
			c, err := r.Cookie("engine")
			if err != nil {
				return web.Principal{}, err
			}
			return web.Principal{Owner: c.Value, Actor: "user:" + c.Value}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.server = httptest.NewServer(handler)
	t.Cleanup(func() {
		r.server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(r.host.Close(ctx), launcher.Close(ctx), store.Close(), sim.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// visitor is a browser of somebody: it keeps cookies, follows redirects within
// the site, and speaks to it through the proxy.
type visitor struct {
	*rig
	client *http.Client
}

// proxy sends requests for the engine's public address to the server, as a
// proxy that ends TLS does.
type proxy struct {
	server *url.URL
	inner  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (p proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := r.Clone(r.Context())
	if sent.Host == "" {
		sent.Host = r.URL.Host
	}
	sent.URL.Scheme, sent.URL.Host = p.server.Scheme, p.server.Host
	res, err := p.inner.RoundTrip(sent)
	if res != nil {
		res.Request = r
	}
	return res, err
}

func (r *rig) visitor(owner string) *visitor {
	r.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	server, err := url.Parse(r.server.URL)
	if err != nil {
		r.t.Fatal(err)
	}
	at, err := url.Parse(base)
	if err != nil {
		r.t.Fatal(err)
	}
	if owner != "" {
		jar.SetCookies(at, []*http.Cookie{{Name: "engine", Value: owner, Path: "/", Secure: true}})
	}
	inner := &http.Transport{MaxIdleConnsPerHost: 64}
	r.t.Cleanup(inner.CloseIdleConnections)
	return &visitor{r, &http.Client{Jar: jar, Timeout: time.Minute, Transport: proxy{server, inner}}}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	at     string // the last address
}

func (v *visitor) do(req *http.Request) answer {
	v.t.Helper()
	a, err := v.try(req)
	if err != nil {
		v.t.Fatal(err)
	}
	return a
}

func (v *visitor) try(req *http.Request) (answer, error) {
	res, err := v.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if all := fmt.Sprint(res.Header, string(body)); strings.Contains(all, v.box.Info().ClientSecret) {
		err = errors.Join(err, fmt.Errorf("the client secret is in the answer to %s", req.URL.Path))
	}
	return answer{res.StatusCode, res.Header, string(body), res.Request.URL.String()}, err
}

func (v *visitor) request(method, path string, form url.Values, headers ...string) *http.Request {
	v.t.Helper()
	address := path
	if strings.HasPrefix(path, "/") {
		address = base + path
	}
	req, err := http.NewRequestWithContext(context.Background(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	return req
}

func (v *visitor) get(path string, headers ...string) answer {
	v.t.Helper()
	return v.do(v.request(http.MethodGet, path, nil, headers...))
}

func (v *visitor) post(path string, form url.Values, headers ...string) answer {
	v.t.Helper()
	return v.do(v.request(http.MethodPost, path, form, headers...))
}

// form is the Box form, filled for the emulator.
func (r *rig) form(name string) url.Values {
	i := r.box.Info()
	return url.Values{
		"plugin": {"box"}, "name": {name}, "value.connection_type": {"oauth2"},
		"value.authorize_url": {i.AuthorizeURL}, "value.token_url": {i.TokenURL},
		"value.revoke_url": {i.RevokeURL}, "value.api_url": {i.APIURL},
		"value.client_id": {i.ClientID}, "value.client_secret": {i.ClientSecret},
	}
}

// kept keeps a form and adds the draft's ID to it, without the secret, as a
// page does that a person goes on with.
func (v *visitor) kept(form url.Values) url.Values {
	v.t.Helper()
	a := v.post("/form/keep", form)
	id := strings.TrimPrefix(strings.Split(a.at, "?")[0], base+"/drafts/")
	if a.status != http.StatusOK || id == a.at {
		v.t.Fatalf("the form isn't kept: %d at %s\n%s", a.status, a.at, a.body)
	}
	form.Set("draft", id)
	form.Del("value.client_secret")
	return form
}

// begin begins a sign-in without a script and returns the service's address.
func (v *visitor) begin(form url.Values) string {
	v.t.Helper()
	a := v.post("/form/generate", form)
	_, to, ok := strings.Cut(a.header.Get("Refresh"), "url=")
	if a.status != http.StatusOK || !ok || !strings.Contains(a.body, "Go to localhost") {
		v.t.Fatalf("a sign-in begins with %d and no way to the service:\n%s", a.status, a.body)
	}
	return to
}
