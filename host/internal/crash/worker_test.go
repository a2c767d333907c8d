//go:build unix

// Package crash_test kills hosts and their connectors at named instants of a
// renewal, again and again, and holds that the connection outlives it.
package crash_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/filestore"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/plugin/box/boxsim"
	"github.com/boxconnection/connector/proto/connector"
)

// patience is how often a worker asks again when it is told to, as it may be on
// a busy machine.
const patience = 5

// workerVariable carries the order of a worker process, as JSON.
const workerVariable = "CRASH_WORKER"

// The instants that a worker tells, in the order of a renewal.
const (
	atLease     = "lease"     // the lease is held, nothing is sent
	atAnswer    = "answer"    // the answer is here, nothing is written
	atWritten   = "written"   // it is written, nobody has it
	atHandedOut = "handedout" // the caller has it, the service hasn't seen it
	atUsed      = "used"      // the service has seen it
	atStorm     = "storm"     // all is ready for many callers
)

// order is what a worker process does: one access, one API call.
type order struct {
	Folder   string            // of store, key and audit
	Plugin   string            // the connector's binary
	Node     string            // the host's name
	Database string            // of the store; empty for a file store in the folder
	Lease    time.Duration     // of a renewal; zero for the host's default
	Offset   time.Duration     // of the store's clock
	Pauses   []string          // the instants at which it waits for a line on standard input
	SignIn   bool              // sign in first
	Callers  int               // ask for access by so many callers, and do nothing else
	Settings map[string]string // of the connection, to make it
}

// work runs a worker and returns its exit code. What it tells stands on
// standard output, a word and a value a line.
func work(text string) int {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		fmt.Println("failed", err)
		return 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if err := o.run(ctx); err != nil {
		d := connector.Diagnose(err, connector.OriginHost)
		fmt.Printf("error %s %q\n", d.Code, d.Detail)
		return 1
	}
	fmt.Println("done")
	return 0
}

// pausing is a store that tells the instants, and whose clock is offset.
type pausing struct {
	store.Store
	order *order
	input *bufio.Reader
}

// at tells an instant, and waits there if it is ordered to.
func (p *pausing) at(instant string) {
	fmt.Println("at", instant)
	if i := slices.Index(p.order.Pauses, instant); i >= 0 {
		p.order.Pauses = slices.Delete(p.order.Pauses, i, i+1) // once
		_, _ = p.input.ReadString('\n')                        // or for the end
	}
}

// Now implements store.Store.
func (p *pausing) Now(ctx context.Context) (time.Time, error) {
	now, err := p.Store.Now(ctx)
	return now.Add(p.order.Offset), err
}

// Acquire implements store.Store.
func (p *pausing) Acquire(ctx context.Context, k store.Key, w store.LeaseRequest) (*store.Record, *store.Lease, error) {
	r, held, err := p.Store.Acquire(ctx, k, w)
	switch {
	case held != nil:
		held.Until = held.Until.Add(p.order.Offset)
	case err == nil:
		r.Lease.Until = r.Lease.Until.Add(p.order.Offset)
		p.at(atLease)
	}
	return r, held, err
}

// Commit implements store.Store.
func (p *pausing) Commit(ctx context.Context, k store.Key, l *store.Lease, change func(*store.Record) error) (*store.Record, error) {
	p.at(atAnswer)
	r, err := p.Store.Commit(ctx, k, l, change)
	if err == nil {
		p.at(atWritten)
	}
	return r, err
}

// open opens the store.
func (o *order) open(ctx context.Context) (store.Store, error) {
	if o.Database != "" {
		return pgstore.Open(ctx, o.Database)
	}
	return filestore.Open(ctx, filepath.Join(o.Folder, "store"))
}

func (o *order) run(ctx context.Context) (err error) {
	st, err := o.open(ctx)
	if err != nil {
		return err
	}
	keys, err := seal.OpenOrCreate(ctx, filepath.Join(o.Folder, "keys.json"), false)
	if err != nil {
		return err
	}
	sink, err := audit.OpenFile(filepath.Join(o.Folder, "audit.jsonl"))
	if err != nil {
		return err
	}
	p := &pausing{Store: st, order: o, input: bufio.NewReader(os.Stdin)}
	opts := []host.Option{host.WithRuntime(o.Node)}
	if o.Lease > 0 {
		opts = append(opts, host.WithLease(o.Lease))
	}
	h, err := host.Open(p, keys, sink, opts...)
	if err != nil {
		return err
	}
	l, err := launch.New(launch.Options{RuntimeDir: filepath.Join(o.Folder, "run")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(ctx), l.Close(ctx), sink.Close(), st.Close()) }()
	plugin, err := l.Load(ctx, o.Plugin, launch.AnyDigest())
	if err != nil {
		return err
	}
	box, err := h.Load(ctx, plugin)
	if err != nil {
		return err
	}
	inc, err := plugin.Incarnation(ctx)
	if err != nil {
		return err
	}
	fmt.Println("plugin", inc.PID())
	t := h.Tenant("local", "", "worker")
	if o.SignIn {
		if err := o.signIn(ctx, h, t, box); err != nil {
			return err
		}
	}
	if o.Callers > 0 {
		return o.storm(ctx, p, t)
	}
	return o.use(ctx, p, t)
}

// storm has many callers ask at once, and tells how many got the same access
// and when the last one did.
func (o *order) storm(ctx context.Context, p *pausing, t *host.Tenant) error {
	c, err := t.Connection(ctx, "sales")
	if err != nil {
		return err
	}
	generations := make([]uint64, o.Callers)
	p.at(atStorm)
	began := time.Now()
	var work errgroup.Group
	for i := range generations {
		work.Go(func() error {
			a, err := c.Access(ctx, connector.AccessRequest{})
			if err == nil {
				generations[i] = a.Generation
			}
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	last := time.Since(began)
	fmt.Printf("served %d of generation %d in %d ms\n", o.Callers, slices.Min(generations), last.Milliseconds())
	if slices.Min(generations) != slices.Max(generations) {
		return errors.New("callers got different access")
	}
	return nil
}

// signIn signs in to the connection, and makes it if there is none.
func (o *order) signIn(ctx context.Context, h *host.Host, t *host.Tenant, box *host.Connector) error {
	c, err := t.Connection(ctx, "sales")
	if errors.Is(err, connector.ConnectionNotFound) {
		settings, merr := json.Marshal(o.Settings)
		if merr != nil {
			return merr
		}
		if c, err = t.Draft(ctx, box, settings, host.DraftOptions{}); err != nil {
			return err
		}
		err = c.Save(ctx, "sales")
	}
	if err != nil {
		return err
	}
	s, err := c.BeginSignIn(ctx, boxsim.DefaultRedirectURI)
	if err != nil {
		return err
	}
	callback, err := boxsim.Person{}.Allow(ctx, s.URL)
	if err != nil {
		return err
	}
	_, err = h.CompleteSignIn(ctx, callback, s.Binding)
	return err
}

// use asks for access, again if it is told to or the connector died meanwhile,
// and makes a call with it.
func (o *order) use(ctx context.Context, p *pausing, t *host.Tenant) error {
	c, err := t.Connection(ctx, "sales")
	if err != nil {
		return err
	}
	began := time.Now()
	a, err := c.Access(ctx, connector.AccessRequest{})
	for range patience {
		if d := connector.Diagnose(err, connector.OriginHost); err == nil || d.Disposition != connector.Retry && d.Code != connector.PluginExited {
			break
		}
		fmt.Println("again", err)
		a, err = c.Access(ctx, connector.AccessRequest{})
	}
	if err != nil {
		return err
	}
	fmt.Printf("served generation %d after %d ms\n", a.Generation, time.Since(began).Milliseconds())
	p.at(atHandedOut)
	client, err := c.HTTPClient(ctx)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.Endpoints["api"]+"/users/me", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the API answers %d", resp.StatusCode)
	}
	p.at(atUsed)
	return nil
}
