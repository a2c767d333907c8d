package checks

import (
	"net"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/peer"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

const (
	authorizationInvalid = connectorv1.Code_CODE_AUTHORIZATION_INVALID
	authorizationDenied  = connectorv1.Code_CODE_AUTHORIZATION_DENIED
	authorizationExpired = connectorv1.Code_CODE_AUTHORIZATION_EXPIRED
	limitExceeded        = connectorv1.Code_CODE_LIMIT_EXCEEDED
	notRenewable         = connectorv1.Code_CODE_GRANT_NOT_RENEWABLE
)

// authorizeChecks judge the sign-in.
func authorizeChecks() []*check.Check {
	const need = check.Description | check.Settings | check.Peer
	must := func(id, clause, title string, run func(*check.T)) *check.Check {
		return &check.Check{
			ID: "authorize." + id, Level: check.Must, Clauses: []string{clause}, Needs: need, Capability: signsIn, Title: title, Run: run,
		}
	}
	should := func(id, clause, title string, run func(*check.T)) *check.Check {
		c := must(id, clause, title, run)
		c.Level = check.Should
		return c
	}
	return []*check.Check{
		must("offline", "Z-1", "BeginAuthorization makes no traffic.", func(t *check.T) {
			w := t.Watch()
			t.Begin(t.Start(w.Environment()))
			w.NoTraffic("BeginAuthorization")
		}),
		must("url", "Z-2", "The authorization URL is https, or http of a loopback host.", func(t *check.T) {
			u := authorizationURL(t, t.Begin(t.Start()))
			ip := net.ParseIP(u.Hostname())
			loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
			if u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
				t.Errorf("its scheme is %q, its host %q", u.Scheme, u.Hostname())
			}
		}),
		must("state", "Z-3", "The URL carries the state unchanged.", func(t *check.T) {
			c := t.Start()
			for _, state := range []string{check.State, "+ /%?&=#\"'<>é\t", strings.Repeat("s", 512)} {
				answer, err := c.BeginAuthorization(t.Call(), beginWith(t, state, t.Profile().RedirectURI))
				if err != nil {
					t.Blockf("BeginAuthorization fails: %s", check.Brief(err))
				}
				u, err := url.Parse(answer.GetAuthorizationUrl())
				if err != nil || len(u.Query()["state"]) != 1 || u.Query().Get("state") != state {
					t.Errorf("the state %q doesn't come out as it went in", short(state))
				}
			}
		}),
		must("redirect-uri", "Z-4", "The URL and the exchange carry the redirect URI byte for byte.", redirectURI),
		must("pending-size", "Z-5", "The pending blob has at most 16 KiB.", func(t *check.T) {
			if n := len(t.Begin(t.Start()).GetPending()); n > handshake.MaxPendingBytes {
				t.Errorf("it has %d bytes", n)
			}
		}),
		must("expires-at", "Z-6", "The sign-in expires later than the host's now.", func(t *check.T) {
			c := t.Start()
			for _, now := range []time.Time{time.Now(), time.Now().AddDate(12, 0, 0), time.Now().AddDate(-12, 0, 0)} {
				r := beginWith(t, check.State, t.Profile().RedirectURI)
				r.Now = timestamppb.New(now)
				answer, err := c.BeginAuthorization(t.Call(), r)
				if err != nil {
					t.Blockf("BeginAuthorization fails: %s", check.Brief(err))
				}
				if end := answer.GetExpiresAt(); end == nil || !end.AsTime().After(now) || end.AsTime().After(now.AddDate(1, 0, 0)) {
					t.Errorf("begun at %v, it expires at %v", now.UTC(), end.AsTime())
				}
			}
		}),
		must("misuse", "Z-7", "Without a state, or with a redirect URI that isn't absolute or has a fragment, it fails with INVALID_ARGUMENT.", func(t *check.T) {
			c := t.Start()
			good := t.Profile().RedirectURI
			for name, r := range map[string]*connectorv1.BeginAuthorizationRequest{
				"no state": beginWith(t, "", good), "no redirect URI": beginWith(t, check.State, ""),
				"a relative redirect URI": beginWith(t, check.State, "/callback"), "a fragment": beginWith(t, check.State, good+"#part"),
			} {
				if _, err := c.BeginAuthorization(t.Call(), r); status.Code(err) != codes.InvalidArgument {
					t.Errorf("%s is answered with %s", name, check.Brief(err))
				}
			}
		}),
		should("pkce", "Z-8", "The sign-in uses PKCE with S256.", func(t *check.T) {
			q := authorizationURL(t, t.Begin(t.Start())).Query()
			if q.Get("code_challenge") == "" || q.Get("code_challenge_method") != "S256" {
				t.Errorf("the authorization URL has no challenge of method S256")
			}
		}),
		must("one-request", "Z-9", "CompleteAuthorization makes at most one successful token request, and doesn't use the token.", oneExchange),
		must("callback", "Z-10", "A callback that can't be one fails with CODE_AUTHORIZATION_INVALID, without traffic.", func(t *check.T) {
			c := t.Start()
			good := t.Profile().RedirectURI
			for name, callback := range map[string]string{
				"nothing": "", "no URL": "code", "a relative URL": "/callback?code=abc", "no code": with(good, "state="+url.QueryEscape(check.State)), "no query": good,
			} {
				b := t.Begin(c)
				refused(t, c, b.Complete(callback), "a callback with "+name, authorizationInvalid)
			}
		}),
		must("denied", "Z-11", "A callback that says that the person refused fails with CODE_AUTHORIZATION_DENIED, without traffic.", func(t *check.T) {
			c := t.Start()
			b := t.Begin(c)
			refused(t, c, b.Complete(t.Decide(b, "deny", t.Profile().Person)), "a denied sign-in", authorizationDenied)
		}),
		must("pending-damaged", "Z-12", "A damaged pending blob fails with CODE_AUTHORIZATION_INVALID, without traffic.", func(t *check.T) {
			c := t.Start()
			b := t.Begin(c)
			callback := t.Allow(b)
			whole := b.GetPending()
			for name, pending := range map[string][]byte{"no pending blob": nil, "half a pending blob": whole[:len(whole)/2], "another pending blob": []byte("\x01garbage{")} {
				r := b.Complete(callback)
				r.Pending = pending
				refused(t, c, r, name, authorizationInvalid)
			}
		}),
		must("pending-expired", "Z-12", "A sign-in past its end fails with CODE_AUTHORIZATION_EXPIRED, without traffic.", func(t *check.T) {
			c := t.Start()
			b := t.Begin(c)
			r := b.Complete(t.Allow(b))
			r.Now = timestamppb.New(b.GetExpiresAt().AsTime().Add(2 * time.Second))
			refused(t, c, r, "a sign-in that has expired", authorizationExpired)
		}),
		must("limits", "Z-13", "A callback or pending blob of more than 16 KiB fails with CODE_LIMIT_EXCEEDED.", func(t *check.T) {
			c := t.Start()
			b := t.Begin(c)
			large := b.Complete(with(t.Profile().RedirectURI, "code="+strings.Repeat("c", handshake.MaxCallbackBytes)))
			refused(t, c, large, "a callback of more than 16 KiB", limitExceeded)
			swollen := b.Complete(t.Allow(b))
			swollen.Pending = append(swollen.GetPending(), make([]byte, handshake.MaxPendingBytes)...)
			refused(t, c, swollen, "a pending blob of more than 16 KiB", limitExceeded)
		}),
		must("not-renewable", "Z-14", "A sign-in that can't be renewed says so.", func(t *check.T) {
			c := t.Start()
			t.Do(t.Service().Fault(t.Context(), peer.Fault{On: peer.Token, Grant: peer.CodeGrant, Meaning: peer.NotRenewable}))
			b := t.Begin(c)
			answer, err := c.CompleteAuthorization(t.Call(), b.Complete(t.Allow(b)))
			if code(err) == notRenewable {
				return
			}
			for _, w := range answer.GetWarnings() {
				if w.GetCode() == notRenewable && w.GetSeverity() == connectorv1.Severity_SEVERITY_WARNING {
					return
				}
			}
			t.Errorf("without a way to renew it is answered with %s and %d warnings", check.Brief(err), len(answer.GetWarnings()))
		}),
		should("replay", "Z-9", "A callback that comes again gives no credential.", func(t *check.T) {
			c := t.Start()
			b := t.Begin(c)
			callback := t.Allow(b)
			if _, err := c.CompleteAuthorization(t.Call(), b.Complete(callback)); err != nil {
				t.Blockf("CompleteAuthorization fails: %s", check.Brief(err))
			}
			if _, err := c.CompleteAuthorization(t.Call(), b.Complete(callback)); err == nil {
				t.Errorf("the same callback works twice")
			}
		}),
	}
}

func beginWith(t *check.T, state, redirect string) *connectorv1.BeginAuthorizationRequest {
	return &connectorv1.BeginAuthorizationRequest{Settings: t.Good(), State: state, RedirectUri: redirect, Now: timestamppb.Now()}
}

// with adds a query to a redirect URI.
func with(redirect, query string) string {
	if strings.Contains(redirect, "?") {
		return redirect + "&" + query
	}
	return redirect + "?" + query
}

func authorizationURL(t *check.T, b *check.Begun) *url.URL {
	u, err := url.Parse(b.GetAuthorizationUrl())
	if err != nil {
		t.Fatalf("the authorization URL can't be read")
	}
	return u
}

// refused fails unless a completion is refused with a code and without
// traffic.
func refused(t *check.T, c *check.Conn, r *connectorv1.CompleteAuthorizationRequest, what string, want connectorv1.Code) {
	mark := t.Mark()
	if _, err := c.CompleteAuthorization(t.Call(), r); code(err) != want {
		t.Errorf("%s is answered with %s", what, check.Brief(err))
	}
	t.NoTraffic(mark, what)
}

func redirectURI(t *check.T) {
	c := t.Start()
	for _, uri := range []string{t.Profile().RedirectURI, "https://engine.example/cb/%41%2f~?a=%20b+c&x=é", "HTTP://LOCALHOST:80/./x/../cb/"} {
		answer, err := c.BeginAuthorization(t.Call(), beginWith(t, check.State, uri))
		if err != nil {
			t.Blockf("BeginAuthorization fails: %s", check.Brief(err))
		}
		u, err := url.Parse(answer.GetAuthorizationUrl())
		if err != nil || u.Query().Get("redirect_uri") != uri {
			t.Errorf("the redirect URI %q doesn't come out as it went in", short(uri))
		}
	}
	b := t.Begin(c)
	callback := t.Allow(b)
	mark := t.Mark()
	_, _ = c.CompleteAuthorization(t.Call(), b.Complete(callback))
	for _, r := range t.Since(mark) {
		if r.Kind == peer.Token && r.RedirectURI != t.Profile().RedirectURI {
			t.Errorf("the exchange carries the redirect URI %q", short(r.RedirectURI))
		}
	}
}

func oneExchange(t *check.T) {
	signedIn(t)
	c := t.Start()
	b := t.Begin(c)
	callback := t.Allow(b)
	mark := t.Mark()
	if _, err := c.CompleteAuthorization(t.Call(), b.Complete(callback)); err != nil {
		t.Blockf("CompleteAuthorization fails: %s", check.Brief(err))
	}
	list := t.Since(mark)
	if _, successful := tokens(list); successful > 1 {
		t.Errorf("it makes %d successful token requests", successful)
	}
	unused(t, list)
}

// unused fails if a token that was issued in these requests was presented in
// them.
func unused(t *check.T, list []peer.Request) {
	issued := map[string]bool{}
	for _, r := range list {
		for _, token := range r.Presented {
			if issued[token] {
				t.Errorf("a new token is used, in a request of kind %s", r.Kind)
			}
		}
		for _, token := range r.Issued {
			issued[token] = true
		}
	}
}
