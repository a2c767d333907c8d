//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

const (
	grantTime = 60 * 24 * time.Hour
	margin    = time.Minute
)

// grant is what a credential holds.
type grant struct {
	Access, Refresh string
	Issued, Ends    time.Time
	Scope           *string
	Padding         string `json:",omitempty"`
}

func newGrant(t *tokens, issued time.Time) *grant {
	return &grant{Access: t.Access, Refresh: t.Refresh, Issued: issued, Ends: issued.Add(time.Duration(t.Expires) * time.Second), Scope: t.Scope}
}

func (c *connector) seal(g *grant) *connectorv1.Credential {
	if c.is("credential.size") {
		g.Padding = strings.Repeat("p", 64<<10)
	}
	data, err := json.Marshal(g)
	if err != nil {
		return nil
	}
	out := &connectorv1.Credential{Format: 1, Data: data, LapsesAt: timestamppb.New(g.Issued.Add(grantTime))}
	if g.Access != "" {
		out.AccessExpiresAt = timestamppb.New(g.Ends)
	}
	switch {
	case c.is("credential.times"):
		out.LapsesAt = timestamppb.New(time.Now().Add(grantTime))
	case c.is("credential.format"):
		out.Format = 2
	case c.is("describe.formats"):
		out.Format = 3
	}
	return out
}

func (c *connector) unseal(p *connectorv1.Credential) (*grant, *trouble) {
	unreadable := func(d disposition, summary string) *trouble {
		return fail(connectorv1.Code_CODE_CREDENTIAL_UNREADABLE, fromHost, d, summary)
	}
	reads := map[uint32]bool{1: true}
	list := "Format 1 is read."
	switch {
	case c.is("credential.format"):
		reads[2], list = true, "Formats 1 and 2 are read."
	case c.is("credential.reads"):
		list = "Formats 1 and 2 are read."
	case c.is("describe.formats"):
		reads, list = map[uint32]bool{3: true}, "Format 3 is read."
	}
	if !reads[p.GetFormat()] {
		if c.is("credential.other-format") {
			return nil, unreadable(signInAgain, list)
		}
		return nil, unreadable(0, list)
	}
	var g grant
	if json.Unmarshal(p.GetData(), &g) != nil || g.Refresh == "" {
		if c.is("credential.damaged") {
			return nil, &trouble{internal("the credential")}
		}
		return nil, unreadable(0, "The credential is damaged.")
	}
	return &g, nil
}

// writes reports whether a request may ask for a format.
func (c *connector) writes(format uint32) bool {
	own := uint32(1)
	if c.is("describe.formats") {
		own = 3
	}
	return format == 0 || format == own || c.is("credential.wrong-format")
}

// as is a credential in the format that was asked for.
func (c *connector) as(format uint32, p *connectorv1.Credential) *connectorv1.Credential {
	switch {
	case format != 0 && c.is("credential.asked-format"):
		p.Format = format + 1
	case format != 0 && c.is("credential.format"):
		p.Format = format
	}
	return p
}

func endpoints(s *settings) map[string]string {
	return map[string]string{"api": strings.TrimSuffix(s.URL, "/") + "/api"}
}

func (c *connector) access(g *grant, s *settings, lasting bool) *connectorv1.Access {
	if strings.ContainsFunc(g.Access, func(r rune) bool { return r <= ' ' || r > '~' }) || g.Access == "" {
		return nil
	}
	a := &connectorv1.Access{
		Token: g.Access, TokenType: "Bearer", IssuedAt: timestamppb.New(g.Issued), ExpiresAt: timestamppb.New(g.Ends), Endpoints: endpoints(s),
		Refusal: &connectorv1.TokenRefusal{ChallengeErrors: []string{"invalid_token"}},
	}
	if g.Scope != nil {
		a.Scopes = &connectorv1.ScopeList{Values: strings.Fields(*g.Scope)}
	}
	switch {
	case c.is("access.token") && lasting:
		a.Token += " "
	case c.is("access.token-type"):
		a.TokenType = "Bear er"
	case c.is("access.times") && lasting:
		a.IssuedAt = nil
	case c.is("access.endpoints"):
		a.Endpoints["api"] += "?version=1"
	case c.is("access.headers"):
		a.Headers = map[string]string{"Cookie": "a=b"}
	case c.is("access.scopes-untold") && g.Scope == nil:
		a.Scopes = &connectorv1.ScopeList{Values: []string{"read"}}
	}
	return a
}

// OpenSession hands out access, or renews it.
func (c *connector) OpenSession(ctx context.Context, r *connectorv1.OpenSessionRequest) (*connectorv1.OpenSessionResponse, error) {
	if c.is("calls.failures") && string(r.GetSettings()) == "{" {
		os.Exit(9)
	}
	if c.is("versions.unknown-fields") && len(r.ProtoReflect().GetUnknown()) > 0 {
		return nil, c.status(misuse("There is a field that nobody knows."))
	}
	if r.GetAllowRenew() && r.GetDeadline() == nil && !c.is("sessions.no-deadline") {
		return nil, c.status(misuse("A renewal needs a deadline."))
	}
	s, err := c.settings(r.GetSettings(), "OpenSession")
	if err != nil {
		return nil, err
	}
	if !c.writes(r.GetCredentialFormat()) {
		return nil, c.status(misuse("The format isn't written."))
	}
	c.spawn(s)
	if r.GetCredential() == nil {
		code := connectorv1.Code_CODE_SIGN_IN_REQUIRED
		if c.is("sessions.no-credential") {
			code = connectorv1.Code_CODE_RENEWAL_REQUIRED
		}
		return nil, c.status(fail(code, fromHost, signInAgain, "Nobody has signed in."))
	}
	g, bad := c.unseal(r.GetCredential())
	if bad != nil {
		return nil, c.status(bad)
	}
	c.log(g)
	needed := margin
	if r.GetMinimumValidity() != nil {
		needed = r.GetMinimumValidity().AsDuration()
	}
	if c.is("sessions.renewal-required") && !r.GetAllowRenew() {
		needed = 0
	}
	refused := r.GetAccessRefused() && !c.is("sessions.refused")
	if g.Access != "" && g.Ends.Sub(clock(r.GetNow())) > needed && !refused {
		return c.lasting(g, s, r), nil
	}
	if !r.GetAllowRenew() {
		if c.is("sessions.spends-nothing") {
			_, _ = c.renew(ctx, g, s, r)
		}
		return nil, c.status(fail(connectorv1.Code_CODE_RENEWAL_REQUIRED, fromConnector, 0, "The access is too old."))
	}
	renewed, bad := c.renew(ctx, g, s, r)
	if bad != nil {
		return nil, c.status(bad)
	}
	if renewed.Ends.Sub(renewed.Issued) < margin && c.is("sessions.one-request") {
		if again, bad := c.renew(ctx, renewed, s, r); bad == nil {
			renewed = again
		}
	}
	if c.is("sessions.unused") {
		_, _ = c.me(ctx, s, r.GetNetwork(), renewed.Access)
	}
	return &connectorv1.OpenSessionResponse{Access: c.access(renewed, s, false), Credential: c.as(r.GetCredentialFormat(), c.seal(renewed))}, nil
}

// lasting answers with the access that there is.
func (c *connector) lasting(g *grant, s *settings, r *connectorv1.OpenSessionRequest) *connectorv1.OpenSessionResponse {
	if c.is("sessions.lasting") {
		c.ping(s)
	}
	out := &connectorv1.OpenSessionResponse{Access: c.access(g, s, true)}
	switch {
	case c.is("sessions.answers-alone") && !r.GetAllowRenew():
		g.Padding = "another form of the same"
		out.Credential = c.seal(g)
	case c.is("sessions.credential") && r.GetAllowRenew():
		out.Credential = r.GetCredential()
	}
	return out
}

// renew makes one token request.
func (c *connector) renew(ctx context.Context, g *grant, s *settings, r *connectorv1.OpenSessionRequest) (*grant, *trouble) {
	deadline := time.Now().Add(time.Minute)
	if r.GetDeadline() != nil {
		deadline = r.GetDeadline().AsTime()
	}
	if !time.Now().Before(deadline) {
		if c.is("sessions.deadline") {
			return nil, fail(connectorv1.Code_CODE_TIMED_OUT, fromConnector, retry, "It took too long.")
		}
		return nil, fail(connectorv1.Code_CODE_DEADLINE_PASSED, fromConnector, retry, "The time to renew had passed.")
	}
	if c.is("network.origins") && r.GetNetwork() != nil {
		_, _ = c.send(ctx, call{method: "POST", path: "/", network: r.GetNetwork(), settings: &settings{URL: "https://telemetry.conformance.test"},
			form: url.Values{"secret": {s.Secret}}})
	}
	begun := time.Now()
	issued := clock(r.GetNow())
	got, bad := c.token(ctx, call{settings: s, network: r.GetNetwork(), deadline: deadline, form: url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {g.Refresh},
	}})
	if bad != nil {
		return nil, bad
	}
	switch {
	case c.is("sessions.clock"):
		issued = begun
	case c.is("sessions.issued-at"):
		issued = issued.Add(time.Since(begun))
	}
	renewed := newGrant(got, issued)
	if renewed.Refresh == "" {
		renewed.Refresh = g.Refresh
	}
	if renewed.Scope == nil {
		renewed.Scope = g.Scope
	}
	if strings.ContainsAny(renewed.Access, " \n") {
		if c.is("sessions.unusable") {
			return nil, fail(connectorv1.Code_CODE_UNEXPECTED_ANSWER, fromService, retry, "The access can't be used.")
		}
		renewed.Access = ""
	}
	return renewed, nil
}

// log writes lines as hosts read them, and with some faults others.
func (c *connector) log(g *grant) {
	slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.LevelKey:
			return slog.String("@level", "info")
		case slog.MessageKey:
			return slog.String("@message", a.Value.String())
		case slog.TimeKey:
			return slog.String("@timestamp", time.Now().Format("2006-01-02T15:04:05.000000Z07:00"))
		}
		return a
	}})).Info("a session is opened")
	switch {
	case c.is("secrets.output"):
		fmt.Fprintf(os.Stderr, `{"@level":"debug","@message":"access","@timestamp":"now","sum":%q}`+"\n", g.Access)
	case c.is("log.form"):
		fmt.Fprintln(os.Stderr, "a session is opened")
	case c.is("log.strings"):
		fmt.Fprintln(os.Stderr, `{"@level":"info","@message":7,"@timestamp":"now"}`)
	}
}
