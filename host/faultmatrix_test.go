//go:build unix

package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/plugin/box/boxsim"
	"github.com/boxconnection/connector/proto/connector"
)

// The modes of the fault matrix.
const (
	modeFirst      = "first renewal" // the fault meets the first renewal
	modeReplay     = "replay"        // the first renewal's answer is lost, the fault meets its replay
	modeConcurrent = "concurrent"    // the fault meets the renewal that many callers wait for
)

// TestFaultMatrix serves each failure of the token endpoint to the Box
// connector that ships, in each mode and on each store, and asks again in a new
// process-like host once the fault has passed. Unless the service said that
// the grant is dead, the connection then works; where it said so, nothing is
// erased and nothing more is sent. Never is a refresh token sent after its
// successor was used.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	plugin := boxPlugin(t)
	var (
		mu   sync.Mutex
		rows [][]string
	)
	slots := make(chan struct{}, 12) // a cell mostly waits
	t.Run("cells", func(t *testing.T) {
		for _, fault := range boxsim.Catalogue() {
			if !strings.HasPrefix(fault.Name, "token_") && !strings.HasPrefix(fault.Name, "web_") && !strings.HasPrefix(fault.Name, "proxy_") {
				continue
			}
			for _, mode := range []string{modeFirst, modeReplay, modeConcurrent} {
				t.Run(fault.Name+"/"+mode, func(t *testing.T) {
					t.Parallel()
					slots <- struct{}{}
					defer func() { <-slots }()
					row := faultCell(t, plugin, fault.Name, mode)
					mu.Lock()
					defer mu.Unlock()
					rows = append(rows, row)
				})
			}
		}
	})
	slices.SortFunc(rows, func(a, b []string) int { return slices.Compare(a, b) })
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{{"fault", "mode", "outcome", "token requests", "credential", "afterwards"}}, rows...) {
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
	t.Logf("%d cells\n%s", len(rows), table.String())
	if len(rows) < 60 {
		t.Errorf("only %d cells ran", len(rows))
	}
}

// faultCell runs one cell and returns its row of the table.
func faultCell(t *testing.T, plugin *launch.Plugin, fault, mode string) []string {
	box, err := boxsim.Listen(t.Context(), "localhost:0", boxsim.Options{}, boxsim.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	p := newPlace(t)
	first := newBoxRig(t, p, plugin)
	first.connect(t, box)
	first.store.advance(2 * time.Hour)

	control := box.Control()
	onRenewal := boxsim.Match{GrantType: "refresh_token"}
	if mode == modeReplay {
		add(t, control, boxsim.Fault{Match: onRenewal, Then: boxsim.Action{When: boxsim.AfterCommit, Drop: true}})
	}
	add(t, control, boxsim.Fault{Match: onRenewal, Then: boxsim.Action{Row: fault}})
	callers := 1
	if mode == modeConcurrent {
		callers = 16
	}
	outcome := first.ask(t, callers)

	if err := control.ClearFaults(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := renewalsSent(t, control)
	later := newBoxRig(t, p, plugin)
	later.store.offset.Store(first.store.offset.Load())
	afterwards := later.ask(t, 1)
	state := "kept"
	if d := connector.Diagnose(outcome, connector.OriginHost); d != nil && d.Disposition == connector.SignInAgain {
		state = "sign in again, nothing erased"
		if afterwards == nil || renewalsSent(t, control) != sent {
			t.Errorf("after %v: %v, %d more requests", outcome, afterwards, renewalsSent(t, control)-sent)
		}
	} else if afterwards != nil {
		t.Errorf("after %v the connection is lost: %v", outcome, afterwards)
	}
	s, err := control.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := s.Counters.ReusedAfterSuccessorUsed; n != 0 {
		t.Errorf("%d refresh tokens were sent after their successor was used", n)
	}
	return []string{fault, mode, codeOf(outcome), fmt.Sprint(sent), state, codeOf(afterwards)}
}

func codeOf(err error) string {
	if err == nil {
		return "ok"
	}
	return string(connector.Diagnose(err, connector.OriginHost).Code)
}

func add(t *testing.T, c boxsim.Control, f boxsim.Fault) {
	t.Helper()
	if _, err := c.AddFault(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func renewalsSent(t *testing.T, c boxsim.Control) int {
	t.Helper()
	list, err := c.Requests(t.Context(), boxsim.RequestQuery{GrantType: "refresh_token"})
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// boxPlugin loads the Box connector's binary.
func boxPlugin(t *testing.T) *launch.Plugin {
	t.Helper()
	path := filepath.Join(t.TempDir(), "box-connection")
	if text, err := exec.Command("go", "build", "-o", path, "../plugin/cmd/box-connection").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	l, err := launch.New(launch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	p, err := l.Load(t.Context(), path, launch.AnyDigest())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// boxRig is a host with the Box connector on a place.
type boxRig struct {
	*host.Host
	store  *clocked
	box    *host.Connector
	tenant *host.Tenant
}

func newBoxRig(t *testing.T, p *place, plugin host.Plugin) *boxRig {
	t.Helper()
	st, err := p.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := &boxRig{store: &clocked{Store: st}}
	if r.Host, err = host.Open(r.store, p.keys, p.audit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	if r.box, err = r.Load(t.Context(), plugin); err != nil {
		t.Fatal(err)
	}
	r.tenant = r.Tenant("local", "", "tester")
	return r
}

// connect saves a connection to an emulator and signs in to it.
func (r *boxRig) connect(t *testing.T, box *boxsim.Instance) {
	t.Helper()
	info := box.Info()
	settings, err := json.Marshal(map[string]string{
		"authorize_url": info.AuthorizeURL, "token_url": info.TokenURL, "revoke_url": info.RevokeURL, "api_url": info.APIURL,
		"client_id": info.ClientID, "client_secret": info.ClientSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.tenant.Draft(t.Context(), r.box, settings, host.DraftOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Save(t.Context(), "sales"); err != nil {
		t.Fatal(err)
	}
	s, err := c.BeginSignIn(t.Context(), boxsim.DefaultRedirectURI)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	callback, err := boxsim.Person{Client: browser}.Allow(t.Context(), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.CompleteSignIn(t.Context(), callback, s.Binding); err != nil {
		t.Fatal(err)
	}
}

// ask asks for access by many callers, and uses it. All must fare alike.
func (r *boxRig) ask(t *testing.T, callers int) error {
	t.Helper()
	c, err := r.tenant.Connection(t.Context(), "sales")
	if err != nil {
		t.Fatal(err)
	}
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = c.Access(t.Context(), connector.AccessRequest{}) })
	}
	wg.Wait()
	for _, err := range errs {
		if codeOf(err) != codeOf(errs[0]) {
			t.Errorf("one caller got %v, another %v", errs[0], err)
		}
	}
	if errs[0] != nil {
		return errs[0]
	}
	client, err := c.HTTPClient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	a, err := c.Access(t.Context(), connector.AccessRequest{})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.Endpoints["api"]+"/users/me", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the API answers %d", resp.StatusCode)
	}
	return nil
}
