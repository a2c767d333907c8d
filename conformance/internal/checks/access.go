package checks

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/peer"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// given is access that a connector gave, and how.
type given struct {
	how    string
	access *connectorv1.Access
}

// accessChecks judge what is handed out.
func accessChecks() []*check.Check {
	const need = check.Description | check.Settings | check.Peer
	each := func(id, clause, title string, judge func(t *check.T, g given)) *check.Check {
		return &check.Check{ID: "access." + id, Level: check.Must, Clauses: []string{clause}, Needs: need, Title: title, Run: func(t *check.T) {
			for _, g := range check.Shared(t, "access", check.DefaultWatchdog, handOut) {
				judge(t, g)
			}
		}}
	}
	return []*check.Check{
		each("token", "A-1", "The token is one or more visible ASCII characters.", func(t *check.T, g given) {
			token := g.access.GetToken()
			if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Errorf("%s: the token isn't", g.how)
			}
		}),
		each("token-type", "A-2", "The token's type is a token of HTTP.", func(t *check.T, g given) {
			if kind := g.access.GetTokenType(); !httpguts.ValidHeaderFieldName(kind) {
				t.Errorf("%s: the type is %q", g.how, short(kind))
			}
		}),
		each("times", "A-3", "issued_at is set, and expires_at later or absent.", func(t *check.T, g given) {
			issued, ends := g.access.GetIssuedAt(), g.access.GetExpiresAt()
			if issued == nil || issued.CheckValid() != nil || issued.AsTime().IsZero() {
				t.Errorf("%s: issued_at is absent or no time", g.how)
			} else if ends != nil && (ends.CheckValid() != nil || !ends.AsTime().After(issued.AsTime())) {
				t.Errorf("%s: issued at %v, it expires at %v", g.how, issued.AsTime(), ends.AsTime())
			}
		}),
		each("endpoints", "A-4", "Endpoints are absolute URLs without user, query or fragment, https or of a loopback host.", func(t *check.T, g given) {
			for name, raw := range g.access.GetEndpoints() {
				if problem := endpointProblem(raw); problem != "" {
					t.Errorf("%s: the endpoint %q %s", g.how, short(name), problem)
				}
			}
		}),
		each("headers", "A-5", "Headers are well-formed, and none of those that belong to the transport.", func(t *check.T, g given) {
			reserved := []string{
				"authorization", "proxy-authorization", "cookie", "host", "content-type", "content-length", "connection", "te", "trailer",
				"transfer-encoding", "upgrade",
			}
			for name, value := range g.access.GetHeaders() {
				if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) || slices.Contains(reserved, strings.ToLower(name)) {
					t.Errorf("%s: the header %q", g.how, short(name))
				}
			}
		}),
		{
			ID: "access.scopes-untold", Level: check.Must, Clauses: []string{"A-6"}, Needs: need,
			Title: "Scopes are absent if the service doesn't tell them.",
			Run: func(t *check.T) {
				c := t.Start()
				t.Do(t.Service().Fault(t.Context(), peer.Fault{On: peer.Token, Times: -1, Meaning: peer.ScopesUntold}))
				if a := t.Access(c, t.SignIn(c)); a.GetScopes() != nil {
					t.Errorf("untold, they are %q", a.GetScopes().GetValues())
				}
			},
		},
		each("generation", "A-7", "The generation is 0.", func(t *check.T, g given) {
			if n := g.access.GetGeneration(); n != 0 {
				t.Errorf("%s: it is %d", g.how, n)
			}
		}),
	}
}

func endpointProblem(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return "isn't an absolute URL"
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(raw, "#") {
		return "has a user, a query or a fragment"
	}
	ip := net.ParseIP(u.Hostname())
	if loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback(); u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return "is neither https nor of a loopback host"
	}
	return ""
}

// handOut gets access in each way that the connector has.
func handOut(t *check.T) []given {
	c := t.Start()
	credential := t.SignIn(c)
	out := []given{{"OpenSession", t.Access(c, credential)}}
	if t.SignsIn() {
		if answer, err := c.OpenSession(t.Call(), expired(t, credential)); err == nil && answer.GetAccess() != nil {
			out = append(out, given{"a renewal", answer.GetAccess()})
		}
	}
	if n := t.Profile().Narrow; n != nil && t.Declares(narrows) {
		whole := out[len(out)-1].access
		whole.Generation = 7
		answer, err := c.NarrowAccess(t.Call(), &connectorv1.NarrowAccessRequest{
			Settings: t.Good(), Access: whole, Scopes: n.Scopes, Resource: n.Resource, Now: timestamppb.Now(),
		})
		whole.Generation = 0
		if err == nil {
			out = append(out, given{"NarrowAccess", answer.GetAccess()})
		}
	}
	return out
}
