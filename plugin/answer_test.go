package plugin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// What a connector gets wrong shows as its own fault, not as bad data in a
// store.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	access := func(change func(*connector.Access)) func(plugin.OpenRequest) plugin.Opened {
		return func(plugin.OpenRequest) plugin.Opened {
			a := goodAccess()
			change(a)
			return plugin.Opened{Access: a}
		}
	}
	renewed := func(c connector.Credential) func(plugin.OpenRequest) plugin.Opened {
		return func(plugin.OpenRequest) plugin.Opened { return plugin.Opened{Access: goodAccess(), Credential: &c} }
	}
	fresh := connector.Credential{Format: 2, Data: connector.NewSecret("new")}
	cases := map[string]struct {
		answer func(plugin.OpenRequest) plugin.Opened
		renew  bool
	}{
		"no access":            {func(plugin.OpenRequest) plugin.Opened { return plugin.Opened{} }, true},
		"no token":             {access(func(a *connector.Access) { a.Token = connector.Secret{} }), false},
		"token with line end":  {access(func(a *connector.Access) { a.Token = connector.NewSecret("a\r\nX: y") }), false},
		"no type":              {access(func(a *connector.Access) { a.Type = "" }), false},
		"type of two words":    {access(func(a *connector.Access) { a.Type = "a b" }), false},
		"not issued":           {access(func(a *connector.Access) { a.IssuedAt = time.Time{} }), false},
		"expires before":       {access(func(a *connector.Access) { a.ExpiresAt = a.IssuedAt }), false},
		"far future":           {access(func(a *connector.Access) { a.ExpiresAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }), false},
		"plain endpoint":       {access(func(a *connector.Access) { a.Endpoints["api"] = "http://api.example.com" }), false},
		"endpoint with query":  {access(func(a *connector.Access) { a.Endpoints["api"] = "https://api.example.com?x" }), false},
		"relative endpoint":    {access(func(a *connector.Access) { a.Endpoints["api"] = "/2.0" }), false},
		"endpoint with a user": {access(func(a *connector.Access) { a.Endpoints["api"] = "https://u@api.example.com" }), false},
		"its own token header": {access(func(a *connector.Access) { a.Headers = map[string]string{"authorization": "x"} }), false},
		"header that splits":   {access(func(a *connector.Access) { a.Headers = map[string]string{"X-A": "a\nb"} }), false},
		"renewal not allowed":  {renewed(fresh), false},
		"empty credential":     {renewed(connector.Credential{Format: 2}), true},
		"other format":         {renewed(connector.Credential{Format: 1, Data: fresh.Data}), true},
		"large credential":     {renewed(connector.Credential{Format: 2, Data: connector.NewSecret(strings.Repeat("x", handshake.MaxCredentialBytes+1))}), true},
	}
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &full{}
			f.open = func(_ context.Context, req plugin.OpenRequest) (plugin.Opened, error) { return x.answer(req), nil }
			_, err := dial(t, f).OpenSession(t.Context(), &connectorv1.OpenSessionRequest{Settings: settings, AllowRenew: x.renew, Deadline: deadline})
			if d := diagnose(err); d.Code != connector.Internal || d.Origin != connector.OriginConnector {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Loopback endpoints are fine: emulators and test servers.
func TestLoopbackEndpoints(t *testing.T) {
	t.Parallel()
	f := &full{}
	f.open = func(context.Context, plugin.OpenRequest) (plugin.Opened, error) {
		a := goodAccess()
		a.Endpoints = map[string]string{"a": "http://localhost:8080", "b": "http://127.0.0.1/x", "c": "http://[::1]:1"}
		a.Generation = 7
		return plugin.Opened{Access: a}, nil
	}
	resp, err := dial(t, f).OpenSession(t.Context(), &connectorv1.OpenSessionRequest{Settings: settings})
	if err != nil || resp.GetAccess().GetGeneration() != 0 {
		t.Errorf("%v, %v", resp, err)
	}
}

// The old credential is spent, so a new one must reach the store even if
// what came with it is unusable.
func TestRenewedCredentialIsNeverWithheld(t *testing.T) {
	t.Parallel()
	f := &full{}
	f.open = func(context.Context, plugin.OpenRequest) (plugin.Opened, error) {
		a := goodAccess()
		a.Type = ""
		return plugin.Opened{Access: a, Credential: &connector.Credential{Format: 2, Data: connector.NewSecret("new")}}, nil
	}
	resp, err := dial(t, f).OpenSession(t.Context(), &connectorv1.OpenSessionRequest{Settings: settings, AllowRenew: true, Deadline: deadline})
	if err != nil || string(resp.GetCredential().GetData()) != "new" || resp.GetAccess() != nil {
		t.Errorf("%v, %v", resp, err)
	}
}

func TestOtherBadAnswers(t *testing.T) {
	t.Parallel()
	good := func(req plugin.BeginRequest) plugin.Begun {
		return plugin.Begun{URL: "https://login.example.com/?state=" + req.State.Reveal(), ExpiresAt: req.Now.Add(time.Minute)}
	}
	begun := func(change func(*plugin.Begun)) func(*full) {
		return func(f *full) {
			f.begin = func(req plugin.BeginRequest) (plugin.Begun, error) {
				b := good(req)
				change(&b)
				return b, nil
			}
		}
	}
	for name, x := range map[string]struct {
		call  string
		spoil func(*full)
	}{
		"URL over http":     {"BeginAuthorization", begun(func(b *plugin.Begun) { b.URL = "http://login.example.com/?state=st" })},
		"URL without state": {"BeginAuthorization", begun(func(b *plugin.Begun) { b.URL = "https://login.example.com/" })},
		"script":            {"BeginAuthorization", begun(func(b *plugin.Begun) { b.URL = "javascript:alert('st')" })},
		"no end":            {"BeginAuthorization", begun(func(b *plugin.Begun) { b.ExpiresAt = time.Time{} })},
		"large pending blob": {"BeginAuthorization", begun(func(b *plugin.Begun) {
			b.Pending = connector.NewSecret(strings.Repeat("x", handshake.MaxPendingBytes+1))
		})},
		"no credential": {"CompleteAuthorization", func(f *full) {
			f.complete = func(plugin.CompleteRequest) (plugin.Completed, error) { return plugin.Completed{}, nil }
		}},
		"no account": {"Identify", func(f *full) {
			f.identify = func(plugin.IdentifyRequest) (connector.Account, error) { return connector.Account{}, nil }
		}},
		"account of controls": {"Identify", func(f *full) {
			f.identify = func(plugin.IdentifyRequest) (connector.Account, error) { return connector.Account{ID: "a\nb"}, nil }
		}},
		"not narrowed": {"NarrowAccess", func(f *full) {
			f.narrow = func(req plugin.NarrowRequest) (*connector.Access, error) { return req.Access, nil }
		}},
		"nothing narrowed": {"NarrowAccess", func(f *full) { f.narrow = func(plugin.NarrowRequest) (*connector.Access, error) { return nil, nil } }},
	} {
		f := &full{}
		x.spoil(f)
		if d := diagnose(everyCall(t.Context(), dial(t, f), settings)[x.call]); d.Code != connector.Internal || d.Origin != connector.OriginConnector {
			t.Errorf("%s: %v", name, d)
		}
	}
}

func TestNarrowedAccessEndsWithItsParent(t *testing.T) {
	t.Parallel()
	for _, ends := range []time.Time{{}, expires.Add(time.Hour), expires.Add(-time.Minute)} {
		f := &full{narrow: func(plugin.NarrowRequest) (*connector.Access, error) {
			a := goodAccess()
			a.Token, a.ExpiresAt = connector.NewSecret("narrow"), ends
			return a, nil
		}}
		resp, err := dial(t, f).NarrowAccess(t.Context(), &connectorv1.NarrowAccessRequest{Settings: settings, Access: wireAccess, Resource: "https://api.example.com/2.0/files/1"})
		if err != nil || resp.GetAccess().GetExpiresAt().AsTime().After(expires) {
			t.Errorf("ends %v: %v, %v", ends, resp, err)
		}
	}
}
