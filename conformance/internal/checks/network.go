package checks

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/peer"
	"github.com/boxconnection/connector/conformance/internal/rawclient"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// networkChecks judge how traffic goes. The service stands behind a proxy of
// the suite's that sees all of it.
func networkChecks() []*check.Check {
	const need = check.Description | check.Settings | check.Peer
	must := func(id, clause, title string, run func(*check.T)) *check.Check {
		return &check.Check{ID: "network." + id, Level: check.Must, Clauses: []string{clause}, Needs: need, Title: title, Run: run}
	}
	return []*check.Check{
		must("proxy", "X-4", "Traffic takes the proxy of the call, with its credentials.", func(t *check.T) {
			w := t.Wire()
			c := t.Start()
			test(t, c, w, w.Network())
			if all, authorized := w.Connects(); all == 0 {
				t.Errorf("nothing goes through the proxy")
			} else if authorized == 0 {
				t.Errorf("the proxy isn't given its user and password")
			}
		}),
		must("no-proxy", "X-4", "Hosts of the no-proxy list are reached without the proxy.", func(t *check.T) {
			w := t.Wire()
			reaches(t, w)
			before, _ := w.Connects()
			network := w.Network()
			network.NoProxy = []string{"conformance.test"}
			test(t, t.Start(), w, network)
			if after, _ := w.Connects(); after > before {
				t.Errorf("a host of the list is reached through the proxy")
			}
		}),
		must("authorities", "X-4", "The call's certificates are trusted beside the system's.", func(t *check.T) {
			w := t.Wire()
			test(t, t.Start(), w, w.Network())
			if all, authorized := w.Connects(); all == 0 || authorized == 0 {
				t.Blockf("nothing goes through the proxy")
			}
			if len(w.Seen()) == 0 {
				t.Errorf("a server whose authority the call names isn't trusted")
			}
		}),
		must("untrusted", "X-3", "A server whose certificate nobody signed who is trusted gets no request.", func(t *check.T) {
			reaches(t, t.Wire())
			w := t.Wire()
			w.Stranger = true
			test(t, t.Start(), w, w.Network())
			if len(w.Seen()) > 0 {
				t.Errorf("it gets one")
			}
		}),
		must("misnamed", "X-3", "A server whose certificate is for another host gets no request.", func(t *check.T) {
			reaches(t, t.Wire())
			w := t.Wire()
			w.Misnamed = true
			test(t, t.Start(), w, w.Network())
			if len(w.Seen()) > 0 {
				t.Errorf("it gets one")
			}
		}),
		must("plain", "X-3", "No setting makes traffic go without TLS to another machine.", func(t *check.T) {
			w := t.Wire()
			c := t.Start()
			settings := w.PlainSettings()
			_, _ = c.Test(t, &connectorv1.TestConnectionRequest{Settings: settings, Network: w.Network()}, check.CallLimit)
			r := &connectorv1.OpenSessionRequest{
				Settings: settings, Network: w.Network(), AllowRenew: true, Deadline: check.After(renewTime), Now: timestamppb.Now(), AccessRefused: t.SignsIn(),
			}
			if t.SignsIn() {
				r.Credential = t.SignIn(c)
			}
			_, _ = c.OpenSession(t.Call(), r)
			for _, s := range w.Seen() {
				if s.Plain {
					t.Errorf("%s goes to %s without TLS", s.Method, s.Host)
				}
			}
		}),
		{
			ID: "network.environment", Level: check.Must, Clauses: []string{"X-5"}, Needs: need | check.Process,
			Title: "Proxy and certificate variables of the environment change nothing.", Run: environment,
		},
		must("origins", "X-2", "Secrets go to the origins in the settings only, redirected or not.", origins),
		must("urls", "X-6", "No secret is part of a URL that is requested.", func(t *check.T) {
			w, secrets := tourThrough(t)
			for _, s := range w {
				if check.FindSecret([]byte(s.Target), secrets) != "" {
					t.Errorf("the URL of a %s to %s holds one", s.Method, s.Host)
				}
			}
		}),
		must("bounded", "X-7", "Answers without end are read to a bound.", bounded),
	}
}

// test runs a connection test behind the wire.
func test(t *check.T, c *check.Conn, w *check.Wire, network *connectorv1.Network) {
	_, _ = c.Test(t, &connectorv1.TestConnectionRequest{Settings: w.Settings(), Network: network}, check.CallLimit)
}

// reaches ends the check as not run if nothing comes through the wire when all
// is well.
func reaches(t *check.T, w *check.Wire) {
	test(t, t.Start(), w, w.Network())
	if len(w.Seen()) == 0 {
		t.Blockf("a connection test makes no request through the call's proxy")
	}
}

func environment(t *check.T) {
	trap := t.Trap()
	w := t.Wire()
	file := filepath.Join(t.Folder(), "authorities.pem")
	if err := os.WriteFile(file, w.Authority(), 0o600); err != nil {
		t.Brokenf("%v", err)
	}
	poisoned := func(s *rawclient.Spec) {
		trap.Environment()(s)
		for _, name := range []string{"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"} {
			s.Env = append(s.Env, name+"="+file)
		}
		s.Env = append(s.Env, "SSL_CERT_DIR="+filepath.Dir(file))
	}
	if _, err := t.Start(poisoned).Test(t, &connectorv1.TestConnectionRequest{Settings: w.Settings()}, check.CallLimit); err != nil {
		t.Blockf("TestConnection fails: %s", check.Brief(err))
	}
	if n := trap.Connections(); n > 0 {
		t.Errorf("the environment's proxy is used")
	}
	network := w.Network()
	network.ExtraCas = nil
	test(t, t.Start(poisoned), w, network)
	if len(w.Seen()) > 0 {
		t.Errorf("an authority that only the environment names is trusted")
	}
}

func origins(t *check.T) {
	seen, secrets := tourThrough(t)
	for _, s := range seen {
		if !strings.HasPrefix(s.Host, "service") && carries(s, secrets) {
			t.Errorf("a %s with a secret goes to %s", s.Method, s.Host)
		}
	}
}

func carries(s check.Seen, secrets []string) bool {
	var all strings.Builder
	all.WriteString(s.Target)
	for name, values := range s.Header {
		all.WriteString(name + ": " + strings.Join(values, ", ") + "\n")
	}
	all.Write(s.Body)
	return check.FindSecret([]byte(all.String()), secrets) != ""
}

// passage is what came by while a connection lived behind the wire.
type passage struct {
	seen    []check.Seen
	secrets []string
}

// tourThrough makes every call that makes traffic through a wire, and then
// again while the service redirects to elsewhere.
func tourThrough(t *check.T) ([]check.Seen, []string) {
	p := check.Shared(t, "passage", 2*check.DefaultWatchdog, func(t *check.T) passage {
		w := t.Wire()
		reaches(t, w)
		c := t.Start()
		credential, err := w.SignInThrough(c)
		if err != nil {
			t.Blockf("a sign-in through a proxy fails: %s", check.Brief(err))
		}
		secrets := t.Secrets(check.Strings(credential.GetData())...)
		open := t.Renew(credential)
		open.Settings, open.Network, open.AccessRefused = w.Settings(), w.Network(), credential != nil
		opened, err := c.OpenSession(t.Call(), open)
		if err != nil || opened.GetAccess() == nil {
			t.Blockf("a session through a proxy fails: %s", check.Brief(err))
		}
		if opened.GetCredential() != nil {
			credential = opened.GetCredential()
			secrets = append(secrets, check.Strings(credential.GetData())...)
		}
		access := opened.GetAccess()
		secrets = append(secrets, access.GetToken())
		calls := func() {
			test := &connectorv1.TestConnectionRequest{Settings: w.Settings(), Network: w.Network(), Access: access, RequiredScopes: t.Profile().RequiredScopes}
			_, _ = c.Test(t, test, check.CallLimit)
			_, _ = c.Identify(t.Call(), &connectorv1.IdentifyRequest{Settings: w.Settings(), Network: w.Network(), Access: access})
			if n := t.Profile().Narrow; n != nil {
				_, _ = c.NarrowAccess(t.Call(), &connectorv1.NarrowAccessRequest{
					Settings: w.Settings(), Network: w.Network(), Access: access, Scopes: n.Scopes, Resource: w.Hide(n.Resource), Now: timestamppb.Now(),
				})
			}
		}
		calls()
		for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect} {
			t.Do(t.Service().Fault(t.Context(), peer.Fault{
				On: peer.Any, Times: -1, Status: status, Headers: map[string]string{"Location": "https://" + check.Elsewhere + "/there"},
			}))
			calls()
			again := t.Renew(credential)
			again.Settings, again.Network, again.AccessRefused = w.Settings(), w.Network(), credential != nil
			_, _ = c.OpenSession(t.Call(), again)
			_, _ = c.RevokeAuthorization(t.Call(), &connectorv1.RevokeAuthorizationRequest{Settings: w.Settings(), Network: w.Network(), Credential: credential})
			t.Do(t.Service().ClearFaults(t.Context()))
		}
		_, _ = c.RevokeAuthorization(t.Call(), &connectorv1.RevokeAuthorizationRequest{Settings: w.Settings(), Network: w.Network(), Credential: credential})
		return passage{w.Seen(), secrets}
	})
	return p.seen, p.secrets
}

// bounded answers without end and counts how much of it is taken.
func bounded(t *check.T) {
	// A token answer may have 1 MiB; what is on its way is not read yet.
	const most, allowed = 128 << 20, 48 << 20
	var taken, largest atomic.Int64
	w := t.Wire()
	endless := false
	w.Answer = func(rw http.ResponseWriter, r *http.Request) bool {
		if !endless || r.Method == http.MethodHead {
			return false
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusOK)
		n, _ := io.WriteString(rw, `{"access_token":"`)
		piece := strings.Repeat("a", 64<<10)
		taken.Store(int64(n))
		for taken.Load() < most {
			n, err := io.WriteString(rw, piece)
			taken.Add(int64(n))
			if err != nil {
				break
			}
		}
		if taken.Load() > largest.Load() {
			largest.Store(taken.Load())
		}
		return true
	}
	reaches(t, w)
	c := t.Start()
	credential, err := w.SignInThrough(c)
	if err != nil {
		t.Blockf("a sign-in through a proxy fails: %s", check.Brief(err))
	}
	endless = true
	const limit = 20 * time.Second
	open := expired(t, credential)
	open.Settings, open.Network, open.AccessRefused = w.Settings(), w.Network(), open.GetAccessRefused() && credential != nil
	if _, err := c.OpenSession(t.CallWithin(limit), open); err == nil && credential != nil {
		t.Errorf("a renewal whose answer has no end succeeds")
	}
	access := &connectorv1.Access{Token: "a-token", TokenType: "Bearer", IssuedAt: timestamppb.Now()}
	_, _ = c.Test(t, &connectorv1.TestConnectionRequest{Settings: w.Settings(), Network: w.Network(), Access: access}, limit)
	t.Eventually(time.Second, func() bool { return largest.Load() > 0 })
	if largest.Load() > allowed {
		t.Errorf("%d bytes of an answer are read", largest.Load())
	}
	if largest.Load() == 0 {
		t.Blockf("no answer was asked for")
	}
}

// lateDeadline lets the deadline pass while the connection is made.
func lateDeadline(t *check.T) {
	w := t.Wire()
	c := t.Start()
	credential, err := w.SignInThrough(c)
	if err != nil {
		t.Blockf("a sign-in through a proxy fails: %s", check.Brief(err))
	}
	const until = 700 * time.Millisecond
	w.Hold.Store(int64(3 * until))
	r := expired(t, credential)
	c = t.Start() // one that has no connection yet
	r.Settings, r.Network, r.Deadline = w.Settings(), w.Network(), check.After(until)
	before := len(w.Seen())
	_, err = c.OpenSession(t.Call(), r)
	// What is still under way comes within the time of the hold.
	t.Eventually(4*until, func() bool { return len(w.Seen()) > before })
	for _, s := range w.Seen()[before:] {
		if len(s.Body) > 0 {
			t.Errorf("a token request is written after the deadline, and the call is answered with %s", check.Brief(err))
		}
	}
	if err == nil {
		t.Errorf("the call succeeds")
	}
}
