package checks

import (
	"strings"
	"time"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/peer"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// tour is everything that a connector was asked in one process, well and
// badly, and all that it let out.
type tour struct {
	calls    []check.Exchange
	output   []byte
	heard    bool // the output is known
	children []child
	secrets  []string
}

// child is a process that the connector started.
type child struct {
	name        string
	arguments   []byte
	environment []byte
	pipe        bool // it holds the death pipe
}

// hostile is what a service may say that no text may hand on.
const hostile = "h0stile-service-text"

// toured makes the tour once for all checks that look at it.
func toured(t *check.T) *tour {
	return check.Shared(t, "tour", 2*check.DefaultWatchdog, func(t *check.T) *tour {
		g := &guide{T: t, c: t.Start(), tour: &tour{}}
		g.tour.secrets = t.Secrets()
		g.good()
		g.badRequests()
		g.badService()
		// What was printed last is still on its way.
		t.Eventually(300*time.Millisecond, func() bool { return false })
		g.look()
		g.tour.calls = g.c.Made()
		g.tour.output, g.tour.heard = g.c.Output()
		return g.tour
	})
}

// printed is what the connector printed on the tour.
func printed(t *check.T) (string, *tour) {
	g := toured(t)
	if !g.heard {
		t.Blockf("what the connector prints isn't known")
	}
	return string(g.output), g
}

// guide leads the tour.
type guide struct {
	*check.T
	c          *check.Conn
	tour       *tour
	credential *connectorv1.Credential
	access     *connectorv1.Access
}

func (g *guide) secret(values ...string) { g.tour.secrets = append(g.tour.secrets, values...) }

// look notes the processes that the connector has started.
func (g *guide) look() {
	if g.c.Process != nil {
		g.tour.children = append(g.tour.children, children(g.c.Process.PID())...)
	}
}

// good uses every call as it is meant.
func (g *guide) good() {
	t, c := g.T, g.c
	_, _ = c.Describe(t.Call(), &connectorv1.DescribeRequest{})
	_, _ = c.ValidateSettings(t.Call(), &connectorv1.ValidateSettingsRequest{Settings: t.Good()})
	if t.SignsIn() {
		g.secret(check.State)
		b := t.Begin(c)
		callback := t.Allow(b)
		g.secret(check.Strings(b.GetPending())...)
		g.secret(parameter(callback, "code"))
		done, err := c.CompleteAuthorization(t.Call(), b.Complete(callback))
		if err != nil {
			t.Blockf("CompleteAuthorization fails: %s", check.Brief(err))
		}
		g.credential = done.GetCredential()
		g.secret(check.Strings(g.credential.GetData())...)
	}
	g.look()
	g.access = t.Access(c, g.credential)
	g.secret(g.access.GetToken())
	if t.SignsIn() {
		if answer, err := c.OpenSession(t.Call(), expired(t, g.credential)); err == nil && answer.GetCredential() != nil {
			g.credential, g.access = answer.GetCredential(), answer.GetAccess()
			g.secret(check.Strings(g.credential.GetData())...)
			g.secret(g.access.GetToken())
		}
	}
	_, _ = c.Test(t, &connectorv1.TestConnectionRequest{Settings: t.Good(), Access: g.access, RequiredScopes: t.Profile().RequiredScopes}, check.CallLimit)
	_, _ = c.Identify(t.Call(), &connectorv1.IdentifyRequest{Settings: t.Good(), Access: g.access})
	if n := t.Profile().Narrow; n != nil {
		if answer, err := c.NarrowAccess(t.Call(), narrowing(t, g.access)); err == nil {
			g.secret(answer.GetAccess().GetToken())
		}
	}
	g.look()
}

// badRequests asks for what must be refused.
func (g *guide) badRequests() {
	t, c := g.T, g.c
	bad := t.Settings()
	bad[unknownName] = "x"
	for _, call := range t.Calls(c, t.JSON(bad), g.credential, g.access, nil) {
		_ = call.Make()
	}
	for _, call := range t.Calls(c, t.Good(), &connectorv1.Credential{Format: 4242, Data: g.credential.GetData()}, nil, nil) {
		_ = call.Make()
	}
	if data := g.credential.GetData(); len(data) > 0 {
		damaged := &connectorv1.Credential{Format: g.credential.GetFormat(), Data: data[:len(data)/2]}
		_, _ = c.OpenSession(t.Call(), expired(t, damaged))
	}
	_, _ = c.OpenSession(t.Call(), t.Open(nil))
	late := t.Renew(g.credential)
	late.Deadline = check.After(-time.Second)
	_, _ = c.OpenSession(t.Call(), late)
	if !t.SignsIn() {
		return
	}
	_, _ = c.BeginAuthorization(t.Call(), beginWith(t, "", t.Profile().RedirectURI))
	b := t.Begin(c)
	for _, callback := range []string{
		"no url with c0de-in-it", with(t.Profile().RedirectURI, "code=replayed-c0de&state="+check.State),
		with(t.Profile().RedirectURI, "error=access_denied&error_description="+hostile), with(t.Profile().RedirectURI, "error=%0a%0d%00"+hostile),
	} {
		_, _ = c.CompleteAuthorization(t.Call(), b.Complete(callback))
	}
	g.secret("replayed-c0de")
	_, _ = c.OpenSession(t.Call(), func() *connectorv1.OpenSessionRequest {
		r := t.Open(g.credential)
		r.AccessRefused = true
		return r
	}())
}

// badService meets calls with a service that fails or says anything at all.
func (g *guide) badService() {
	t, c := g.T, g.c
	long := hostile + strings.Repeat(" goroutine 1 [running]: \\u0007", 8<<10)
	faults := []peer.Fault{
		{Status: 500, Body: "<html>" + hostile}, {Status: 503, Headers: map[string]string{"Retry-After": "7"}},
		{Status: 429, Headers: map[string]string{"Retry-After": "9"}}, {Drop: "before"},
		{Status: 400, Body: `{"error":"` + hostile + `","error_description":"` + long + `"}`},
		{Status: 400, Body: `{"error":"invalid_request","error_description":"` + long + `","message":"` + long + `"}`},
		{Status: 403, Body: `{"error":"invalid_request","error_description":"` + g.access.GetToken() + `"}`},
		{Status: 401, Headers: map[string]string{"WWW-Authenticate": `Bearer error="invalid_token"`}}, {Status: 200, Body: "{"}, {Status: 200, Body: "null"},
		{Status: 302, Headers: map[string]string{"Location": "https://elsewhere.example/" + hostile}},
	}
	var begun *check.Begun
	if t.SignsIn() {
		begun = t.Begin(c)
	}
	calls := t.Calls(c, t.Good(), g.credential, g.access, begun)
	for _, f := range faults {
		f.On, f.Times = peer.Any, -1
		t.Do(t.Service().Fault(t.Context(), f))
		for _, call := range calls {
			_ = call.Make()
		}
		t.Do(t.Service().ClearFaults(t.Context()))
	}
	t.Do(t.Service().Fault(t.Context(), peer.Fault{On: peer.Token, Times: 1, Meaning: peer.ClientRejected}))
	if t.SignsIn() {
		_, _ = c.OpenSession(t.Call(), expired(t, g.credential))
	}
	t.Do(t.Service().ClearFaults(t.Context()))
	t.Do(t.Service().Kill(t.Context()))
	for _, call := range calls {
		_ = call.Make()
	}
}

func parameter(raw, name string) string {
	_, query, _ := strings.Cut(raw, "?")
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value
		}
	}
	return ""
}
