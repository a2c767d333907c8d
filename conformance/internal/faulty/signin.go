//go:build unix

package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// pending is what the sign-in needs at its end.
type pending struct {
	Verifier, Redirect string
	Ends               time.Time
	Padding            string `json:",omitempty"`
}

// BeginAuthorization makes the URL for the browser.
func (c *connector) BeginAuthorization(_ context.Context, r *connectorv1.BeginAuthorizationRequest) (*connectorv1.BeginAuthorizationResponse, error) {
	if c.is("describe.authorize") {
		return nil, c.status(fail(connectorv1.Code_CODE_UNSUPPORTED, fromConnector, 0, "Nobody signs in."))
	}
	redirect, err := url.Parse(r.GetRedirectUri())
	if r.GetState() == "" || err != nil || !redirect.IsAbs() || redirect.Host == "" || redirect.Fragment != "" && !c.is("authorize.misuse") {
		return nil, c.status(misuse("State or redirect URI can't be meant."))
	}
	s, err := c.settings(r.GetSettings(), "BeginAuthorization")
	if err != nil {
		return nil, err
	}
	if c.is("authorize.offline") {
		c.ping(s)
	}
	now := clock(r.GetNow())
	if c.is("authorize.expires-at") {
		now = time.Now()
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	p := pending{Verifier: hex.EncodeToString(secret), Redirect: r.GetRedirectUri(), Ends: now.Add(pendingTime)}
	if c.is("authorize.pending-size") {
		p.Padding = strings.Repeat("p", handshake.MaxPendingBytes)
	}
	data, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(p.Verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {s.ID}, "redirect_uri": {p.Redirect}, "state": {r.GetState()},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	if s.Scopes != "" {
		q.Set("scope", s.Scopes)
	}
	target := strings.TrimSuffix(s.URL, "/") + "/authorize"
	switch {
	case c.is("authorize.url"):
		target = "http://sign-in.example/authorize"
	case c.is("authorize.state") && len(r.GetState()) > 256:
		q.Set("state", r.GetState()[:256])
	case c.is("authorize.redirect-uri"):
		q.Set("redirect_uri", strings.ToLower(p.Redirect))
	case c.is("authorize.pkce"):
		q.Del("code_challenge")
		q.Del("code_challenge_method")
	case c.is("calls.stateless"):
		c.mu.Lock()
		c.kept[p.Verifier] = data
		c.mu.Unlock()
		data = []byte(p.Verifier)
	}
	return &connectorv1.BeginAuthorizationResponse{
		AuthorizationUrl: target + "?" + q.Encode(), Pending: data, ExpiresAt: timestamppb.New(p.Ends),
	}, nil
}

func authorizationInvalid(summary string) *trouble {
	return fail(connectorv1.Code_CODE_AUTHORIZATION_INVALID, fromHost, signInAgain, summary)
}

// CompleteAuthorization exchanges the code.
func (c *connector) CompleteAuthorization(ctx context.Context, r *connectorv1.CompleteAuthorizationRequest) (*connectorv1.CompleteAuthorizationResponse, error) {
	if c.is("describe.authorize") {
		return nil, c.status(fail(connectorv1.Code_CODE_UNSUPPORTED, fromConnector, 0, "Nobody signs in."))
	}
	limit := handshake.MaxPendingBytes
	if c.is("authorize.pending-size") {
		limit += 1 << 10
	}
	if (len(r.GetCallbackUrl()) > handshake.MaxCallbackBytes || len(r.GetPending()) > limit) && !c.is("authorize.limits") {
		return nil, c.status(fail(connectorv1.Code_CODE_LIMIT_EXCEEDED, fromHost, 0, "Callback or pending blob are too large."))
	}
	s, err := c.settings(r.GetSettings(), "CompleteAuthorization")
	if err != nil {
		return nil, err
	}
	if !c.writes(r.GetCredentialFormat()) {
		return nil, c.status(misuse("The format isn't written."))
	}
	data := r.GetPending()
	if c.is("calls.stateless") {
		c.mu.Lock()
		data = c.kept[string(data)]
		c.mu.Unlock()
	}
	var p pending
	if json.Unmarshal(data, &p) != nil || p.Verifier == "" {
		if c.is("authorize.pending-damaged") {
			return nil, c.status(&trouble{internal("the pending sign-in")})
		}
		return nil, c.status(authorizationInvalid("The pending sign-in is damaged."))
	}
	callback, err := url.Parse(r.GetCallbackUrl())
	if err != nil || !callback.IsAbs() {
		return nil, c.status(authorizationInvalid("The callback isn't an absolute URL."))
	}
	q := callback.Query()
	switch {
	case q.Get("error") == "access_denied" && !c.is("authorize.denied"):
		return nil, c.status(fail(connectorv1.Code_CODE_AUTHORIZATION_DENIED, fromService, signInAgain, "The person refused."))
	case q.Get("error") != "" || q.Get("code") == "" && !c.is("authorize.callback"):
		return nil, c.status(authorizationInvalid("The callback holds no code."))
	}
	if clock(r.GetNow()).After(p.Ends) && !c.is("authorize.pending-expired") {
		return nil, c.status(fail(connectorv1.Code_CODE_AUTHORIZATION_EXPIRED, fromHost, signInAgain, "The sign-in took too long."))
	}
	if c.is("authorize.replay") {
		c.mu.Lock()
		before := c.seen[r.GetCallbackUrl()]
		c.mu.Unlock()
		if before != nil {
			return before, nil
		}
	}
	issued := clock(r.GetNow())
	got, bad := c.token(ctx, call{settings: s, network: r.GetNetwork(), form: url.Values{
		"grant_type": {"authorization_code"}, "code": {q.Get("code")}, "redirect_uri": {p.Redirect}, "code_verifier": {p.Verifier},
	}})
	if bad != nil {
		return nil, c.status(bad)
	}
	if got.Refresh == "" && !c.is("authorize.not-renewable") {
		return nil, c.status(fail(connectorv1.Code_CODE_GRANT_NOT_RENEWABLE, fromService, fixSettings, "The service gave no way to renew."))
	}
	if c.is("authorize.one-request") {
		_, _ = c.me(ctx, s, r.GetNetwork(), got.Access)
	}
	out := &connectorv1.CompleteAuthorizationResponse{Credential: c.as(r.GetCredentialFormat(), c.seal(newGrant(got, issued)))}
	if c.is("authorize.replay") {
		c.mu.Lock()
		c.seen[r.GetCallbackUrl()] = out
		c.mu.Unlock()
	}
	return out, nil
}

// NarrowAccess makes access with fewer rights.
func (c *connector) NarrowAccess(ctx context.Context, r *connectorv1.NarrowAccessRequest) (*connectorv1.NarrowAccessResponse, error) {
	if len(r.GetScopes()) == 0 && r.GetResource() == "" && !c.is("narrow.misuse") {
		return nil, c.status(misuse("Neither scopes nor a resource are named."))
	}
	s, err := c.settings(r.GetSettings(), "NarrowAccess")
	if err != nil {
		return nil, err
	}
	if r.GetAccess().GetToken() == "" {
		return nil, c.status(fail(connectorv1.Code_CODE_SIGN_IN_REQUIRED, fromHost, signInAgain, "There is no access."))
	}
	if r.GetResource() != "" {
		return nil, c.status(misuse("The service doesn't narrow to resources."))
	}
	got, bad := c.token(ctx, call{settings: s, network: r.GetNetwork(), form: url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {r.GetAccess().GetToken()},
		"scope": {strings.Join(r.GetScopes(), " ")},
	}})
	if bad != nil {
		return nil, c.status(bad)
	}
	var granted []string
	if got.Scope != nil {
		granted = strings.Fields(*got.Scope)
	}
	for _, scope := range granted {
		if !strings.Contains(" "+strings.Join(r.GetScopes(), " ")+" ", " "+scope+" ") && !c.is("narrow.no-more") {
			return nil, c.status(fail(connectorv1.Code_CODE_UNEXPECTED_ANSWER, fromService, 0, "The service granted more."))
		}
	}
	now := clock(r.GetNow())
	if c.is("narrow.clock") {
		now = time.Now()
	}
	ends := now.Add(time.Duration(got.Expires) * time.Second)
	if parent := r.GetAccess().GetExpiresAt(); parent != nil && (parent.AsTime().Before(ends) || c.is("narrow.clock")) && !c.is("narrow.expires") {
		ends = parent.AsTime()
	}
	a := &connectorv1.Access{
		Token: got.Access, TokenType: "Bearer", IssuedAt: timestamppb.New(now), ExpiresAt: timestamppb.New(ends),
		Endpoints: endpoints(s), Scopes: &connectorv1.ScopeList{Values: granted},
	}
	switch {
	case c.is("narrow.token"):
		a.Token = r.GetAccess().GetToken()
	case c.is("narrow.scopes"):
		a.Scopes = nil
	case c.is("access.generation"):
		a.Generation = r.GetAccess().GetGeneration()
	}
	return &connectorv1.NarrowAccessResponse{Access: a}, nil
}

// RevokeAuthorization gives the grant back.
func (c *connector) RevokeAuthorization(ctx context.Context, r *connectorv1.RevokeAuthorizationRequest) (*connectorv1.RevokeAuthorizationResponse, error) {
	if r.GetCredential() == nil {
		if c.is("revoke.misuse") {
			return nil, c.status(fail(connectorv1.Code_CODE_SIGN_IN_REQUIRED, fromHost, 0, "There is no credential."))
		}
		return nil, c.status(misuse("There is no credential."))
	}
	g, bad := c.unseal(r.GetCredential())
	if bad != nil {
		return nil, c.status(bad)
	}
	s, err := c.settings(r.GetSettings(), "RevokeAuthorization")
	if err != nil {
		return nil, err
	}
	if c.is("revoke.again") {
		if _, bad := c.me(ctx, s, r.GetNetwork(), g.Access); bad != nil {
			return nil, c.status(bad)
		}
	}
	token := g.Refresh
	if c.is("revoke.both") {
		token = "another"
	}
	a, bad := c.send(ctx, call{method: http.MethodPost, path: "/revoke", settings: s, network: r.GetNetwork(), form: url.Values{
		"client_id": {s.ID}, "client_secret": {s.Secret}, "token": {token},
	}})
	if bad == nil && a.status != http.StatusOK {
		bad = c.refused(a, "")
	}
	if bad != nil {
		if c.is("revoke.unreachable") && a != nil && a.status == http.StatusServiceUnavailable {
			return &connectorv1.RevokeAuthorizationResponse{}, nil
		}
		return nil, c.status(bad)
	}
	return &connectorv1.RevokeAuthorizationResponse{}, nil
}
