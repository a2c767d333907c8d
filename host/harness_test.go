package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/filestore"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/proto/connector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const redirectURI = "http://localhost:8085/account/local/oauth2/callback"

// events is an audit sink in memory.
type events struct {
	mu   sync.Mutex
	list []audit.Event
	fail error
}

func (e *events) Record(_ context.Context, ev audit.Event) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fail != nil {
		return e.fail
	}
	e.list = append(e.list, ev)
	return nil
}

func (e *events) outcomes(a audit.Action) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for _, ev := range e.list {
		if ev.Action == a {
			out = append(out, ev.Outcome)
		}
	}
	return out
}

// onPostgres begins the names of tests whose places are in PostgreSQL, and
// database makes such a place's database.
const onPostgres = "TestOnPostgres/"

var database func(testing.TB) string

// place is a store with its key, that several hosts can open.
type place struct {
	at    string // the folder, or the database's connection string
	open  func(context.Context) (store.Store, error)
	keys  *seal.Keyring
	audit *events
}

func newPlace(t testing.TB) *place {
	t.Helper()
	p := &place{keys: newKeyring(t), audit: &events{}}
	if strings.HasPrefix(t.Name(), onPostgres) {
		dsn := database(t)
		p.at = dsn
		p.open = func(ctx context.Context) (store.Store, error) { return pgstore.Open(ctx, dsn) }
		return p
	}
	folder := t.TempDir()
	p.at = folder
	p.open = func(ctx context.Context) (store.Store, error) { return filestore.Open(ctx, folder) }
	return p
}

// clocked is a store whose clock and whose failures a test controls.
type clocked struct {
	store.Store
	offset atomic.Int64 // added to the real clock
	mu     sync.Mutex
	// failing is the error of the next calls that write, by method.
	failing map[string][]error
	// losing is the error of the next calls that write and whose answer is lost.
	losing map[string][]error
}

func (c *clocked) Now(ctx context.Context) (time.Time, error) {
	now, err := c.Store.Now(ctx)
	return now.Add(time.Duration(c.offset.Load())), err
}

func (c *clocked) advance(d time.Duration) { c.offset.Add(int64(d)) }

func (c *clocked) fails(method string, errs ...error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failing == nil {
		c.failing = map[string][]error{}
	}
	c.failing[method] = append(c.failing[method], errs...)
}

func (c *clocked) heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing = nil
}

func (c *clocked) loses(method string, errs ...error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.losing = map[string][]error{method: errs}
}

func (c *clocked) failure(method string) error { return c.next(&c.failing, method) }

func (c *clocked) next(errs *map[string][]error, method string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := (*errs)[method]
	if len(list) == 0 {
		return nil
	}
	(*errs)[method] = list[1:]
	return list[0]
}

func (c *clocked) Acquire(ctx context.Context, k store.Key, w store.LeaseRequest) (*store.Record, *store.Lease, error) {
	if err := c.failure("Acquire"); err != nil {
		return nil, nil, err
	}
	r, held, err := c.Store.Acquire(ctx, k, w)
	if lost := c.next(&c.losing, "Acquire"); err == nil && lost != nil {
		return nil, nil, lost
	}
	if r != nil && r.Lease != nil { // the lease's times are on the store's clock
		r.Lease.Until = r.Lease.Until.Add(time.Duration(c.offset.Load()))
	}
	return r, held, err
}

func (c *clocked) Due(ctx context.Context, limit int) ([]store.Key, error) {
	now, err := c.Now(ctx)
	if err != nil {
		return nil, err
	}
	listed, err := c.Store.List(ctx, store.Query{})
	var due []store.Key
	for _, l := range listed {
		if r := l.Record; r != nil && !r.DueAt.IsZero() && !r.DueAt.After(now) && len(due) < limit {
			due = append(due, r.Key)
		}
	}
	return due, err
}

func (c *clocked) Commit(ctx context.Context, k store.Key, l *store.Lease, change func(*store.Record) error) (*store.Record, error) {
	if err := c.failure("Commit"); err != nil {
		return nil, err
	}
	return c.Store.Commit(ctx, k, l, change)
}

func (c *clocked) Update(ctx context.Context, r *store.Record) error {
	if err := c.failure("Update"); err != nil {
		return err
	}
	return c.Store.Update(ctx, r)
}

// Waits and the others pass on what the store below knows, on its clock: a wait
// ends so much earlier on a clock that is ahead.
func (c *clocked) Waits(ctx context.Context, k store.Key) (store.Waits, error) {
	w, err := c.Store.(store.Throttle).Waits(ctx, k)
	ahead := time.Duration(c.offset.Load())
	return store.Waits{API: max(0, w.API-ahead), Token: max(0, w.Token-ahead)}, err
}

func (c *clocked) ExtendWaits(ctx context.Context, k store.Key, w store.Waits) error {
	if err := c.failure("ExtendWaits"); err != nil {
		return err
	}
	for _, wait := range []*time.Duration{&w.API, &w.Token} {
		if *wait > 0 {
			*wait += time.Duration(c.offset.Load())
		}
	}
	return c.Store.(store.Throttle).ExtendWaits(ctx, k, w)
}

func (c *clocked) EndWaits(ctx context.Context, k store.Key) error {
	return c.Store.(store.Throttle).EndWaits(ctx, k)
}

// rig is a host with the fake connector on a place.
type rig struct {
	*host.Host
	t      testing.TB
	place  *place
	store  *clocked
	svc    *service
	plugin conn
	box    *host.Connector
	tenant *host.Tenant
}

func newRig(t testing.TB, p *place, svc *service, opts ...host.Option) *rig {
	t.Helper()
	fs, err := p.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st := &clocked{Store: fs}
	h, err := host.Open(st, p.keys, p.audit, opts...)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Host: h, t: t, place: p, store: st, svc: svc, plugin: svc.serve(t)}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := fs.Close(); err != nil {
			t.Error(err)
		}
	})
	if r.box, err = h.Load(t.Context(), r.plugin); err != nil {
		t.Fatal(err)
	}
	r.tenant = h.Tenant("local", "", "tester")
	return r
}

// settings of the fake connector.
func settings(secret string) []byte {
	data, _ := json.Marshal(map[string]any{"client_id": "id", "client_secret": secret})
	return data
}

// create saves a connection that isn't signed in to.
func (r *rig) create(name string) *host.Connection {
	r.t.Helper()
	c, err := r.tenant.Draft(r.t.Context(), r.box, settings("s3cret"), host.DraftOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := c.Save(r.t.Context(), name); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// signIn signs in to a connection as the service's account of the moment.
func (r *rig) signIn(c *host.Connection) error {
	r.t.Helper()
	s, err := c.BeginSignIn(r.t.Context(), redirectURI)
	if err != nil {
		return err
	}
	_, err = r.CompleteSignIn(r.t.Context(), callback(r.t, s), s.Binding)
	return err
}

// ready makes a connection that is signed in to.
func (r *rig) ready(name string) *host.Connection {
	r.t.Helper()
	c := r.create(name)
	if err := r.signIn(c); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// open returns another handle on a saved connection.
func (r *rig) open(name string) *host.Connection {
	r.t.Helper()
	c, err := r.tenant.Connection(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// callback is where the service would send the browser.
func callback(t testing.TB, s *host.SignIn) string {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return s.RedirectURI + "?" + url.Values{"state": {u.Query().Get("state")}, "code": {"code"}}.Encode()
}

// access asks for access and returns its token.
func access(t testing.TB, c *host.Connection, req connector.AccessRequest) (string, error) {
	t.Helper()
	a, err := c.Access(t.Context(), req)
	if err != nil {
		return "", err
	}
	return a.Token.Reveal(), nil
}

// wantAccess asks for access and wants this token.
func wantAccess(t testing.TB, c *host.Connection, want string) {
	t.Helper()
	if got, err := access(t, c, connector.AccessRequest{}); err != nil || got != want {
		t.Fatalf("access: %q, %v; want %q", got, err, want)
	}
}

// wantCode wants an error of this code.
func wantCode(t testing.TB, err error, code connector.Code) *connector.Diagnostic {
	t.Helper()
	if !errors.Is(err, code) {
		t.Fatalf("got %v, want %s", err, code)
	}
	return connector.Diagnose(err, connector.OriginHost)
}

func (r *rig) info(c *host.Connection) host.Info {
	r.t.Helper()
	i, err := c.Info(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return i
}

func retryable(code connector.Code) *connector.Diagnostic {
	return connector.Errorf(code, connector.OriginService, "For the time being.").With(connector.Retry)
}
