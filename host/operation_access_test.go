package host_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

// Many operations meet an expired token: one renewal serves them all.
func TestOperationsShareOneRenewal(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	if err := o.operations.Ping(t.Context()); err != nil { // it is warm
		t.Fatal(err)
	}
	o.store.advance(2 * time.Hour)
	var all sync.WaitGroup
	var served atomic.Int64
	for range 200 {
		all.Go(func() {
			b, err := o.run("get", `{"path":"a"}`, host.Input{})
			if err != nil {
				t.Error(err)
			} else if len(b.documents) == 1 && strings.Contains(string(b.documents[0].JSON), "item a") {
				served.Add(1)
			}
		})
	}
	all.Wait()
	if n := o.svc.renewals(); n != 1 || served.Load() != 200 {
		t.Errorf("%d renewals, %d served", n, served.Load())
	}
}

// A token that is refused in the middle of an execution is renewed once, and
// no request is lost.
func TestOperationTokenRefusedMidway(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	o.store.advance(10 * time.Minute)
	var once sync.Once
	o.api.answer(func(http.ResponseWriter, *http.Request) bool {
		if o.api.seen("access-1-narrow") >= 50 {
			once.Do(func() { o.api.revoke("access-1-narrow") })
		}
		return false
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := o.run("get", `{"path":"a","times":50}`, host.Input{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := o.svc.renewals(); n != 1 || o.api.seen("access-2-narrow") == 0 {
		t.Errorf("%d renewals, %d requests with the new token", n, o.api.seen("access-2-narrow"))
	}
}

// A dead grant is told as such, and no operation starts.
func TestOperationOnDeadGrant(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	o.svc.kill()
	o.store.advance(2 * time.Hour)
	_, err := o.run("get", `{"path":"a"}`, host.Input{})
	if d := connector.Diagnose(err, ""); d.Disposition != connector.SignInAgain {
		t.Errorf("got %v", err)
	}
}

// An operation that declares what it needs gets that and nothing else.
func TestOperationGetsNarrowedAccess(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	o.store.advance(10 * time.Minute)
	for range 3 {
		if _, err := o.run("get-narrow", `{"path":"a b"}`, host.Input{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.run("get-narrow", `{"path":"c"}`, host.Input{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"item_read " + o.api.url + "/items/a%20b", "item_read " + o.api.url + "/items/c"}
	o.svc.mu.Lock()
	got := strings.Join(o.svc.narrowings, ", ")
	o.svc.mu.Unlock()
	if got != strings.Join(want, ", ") {
		t.Errorf("narrowed to %s, want %s", got, want)
	}
	if o.api.seen("access-1") != 0 || o.api.seen("access-1-narrow") != 4 {
		t.Errorf("full access was used %d times, narrowed %d", o.api.seen("access-1"), o.api.seen("access-1-narrow"))
	}
	// A new parent: the old one's narrowed access isn't used any more.
	o.api.revoke("access-1-narrow")
	if _, err := o.run("get-narrow", `{"path":"c"}`, host.Input{}); err != nil || o.api.seen("access-2-narrow") != 1 || o.api.seen("access-2") != 0 {
		t.Errorf("after a renewal: %v, seen %d times", err, o.api.seen("access-2-narrow"))
	}
}

// Where access can't be narrowed there is none.
func TestOperationNeverFallsBackToFullAccess(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	o.svc.fails("NarrowAccess", connector.Errorf(connector.ServiceUnavailable, connector.OriginService, "Busy.").With(connector.Retry))
	_, err := o.run("get-narrow", `{"path":"a"}`, host.Input{})
	if d := wantCode(t, err, connector.ServiceUnavailable); d.Disposition != connector.Retry {
		t.Errorf("disposition %q", d.Disposition)
	}
	// Segments that lead elsewhere don't widen the bound.
	for _, path := range []string{"..", "%2e%2e", "."} {
		if _, err := o.run("get-narrow", `{"path":"`+path+`"}`, host.Input{}); err == nil {
			t.Errorf("%q is taken", path)
		}
	}
	if n := o.api.seen("access-1"); n != 0 {
		t.Errorf("full access was used %d times", n)
	}
}

// Operations that belong elsewhere don't run, and the table says why.
func TestOperationPairing(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	p, err := o.conn.Pair(t.Context(), o.ops)
	if err != nil || p.Problem != nil {
		t.Fatal(err, p.Problem)
	}
	for _, op := range p.Operations {
		if runs := op.ID != "admin"; op.Runs != runs || op.Narrowed != (op.ID == "get-narrow" || op.ID == "get" || op.ID == "admin") {
			t.Errorf("%+v", op)
		}
	}
	wantCode(t, p.Err(), connector.ScopeMissing)
	if admin := p.Operations[2]; len(admin.Missing) != 1 || admin.Missing[0] != "admin" {
		t.Errorf("missing %v", admin.Missing)
	}
	_, err = o.run("admin", `{"path":"a"}`, host.Input{})
	wantCode(t, err, connector.ScopeMissing)

	// A connector isn't a set of operations.
	_, err = o.LoadOperations(t.Context(), o.plugin)
	wantCode(t, err, connector.PairingWrong)
}

// Scopes that the service doesn't tell are unknown, and not a match.
func TestOperationPairingWithUnknownScopes(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	o.svc.mu.Lock()
	o.svc.scopes = nil
	o.svc.mu.Unlock()
	p, err := o.conn.Pair(t.Context(), o.ops)
	if err != nil || p.Granted.Known {
		t.Fatal(err, p.Granted)
	}
	for _, op := range p.Operations[:1] {
		if !op.Runs || !errors.Is(op.Diagnostic, connector.ScopesUnknown) || op.Diagnostic.Severity != connector.SeverityWarning {
			t.Errorf("%+v", op)
		}
	}
	if _, err := o.run("admin", `{"path":"a"}`, host.Input{}); err != nil {
		t.Error(err)
	}
}

// The connection test tells what the paired operations lack.
func TestPairedOperationsInTheConnectionTest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scopes []string
		want   connector.CheckStatus
		code   connector.Code
	}{
		"all granted": {[]string{"read", "admin"}, connector.CheckPassed, ""},
		"one lacks":   {[]string{"read"}, connector.CheckFailed, connector.ScopeMissing},
		"unknown":     {nil, connector.CheckWarning, connector.ScopesUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOperating(t)
			o.svc.mu.Lock()
			o.svc.scopes = c.scopes
			o.svc.mu.Unlock()
			var last connector.Check
			for check, err := range o.conn.Test(t.Context(), host.TestOptions{Operations: []*host.Operations{o.ops}}) {
				if err != nil {
					t.Fatal(err)
				}
				last = check
			}
			if last.ID != host.CheckOperations || last.Status != c.want || (c.code != "") != (last.Diagnostic != nil) || c.code != "" && !errors.Is(last.Diagnostic, c.code) {
				t.Errorf("got %+v", last)
			}
		})
	}
}
