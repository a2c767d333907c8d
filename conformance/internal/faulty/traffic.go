//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"

	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

const maxAnswer = 1 << 20

// call is a request to the service.
type call struct {
	method, path string
	form         url.Values
	bearer       string
	deadline     time.Time // none begins after it
	again        bool
	settings     *settings
	network      *connectorv1.Network
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

var errLate = errors.New("the deadline has passed")

// send makes the request once, and tells failures of the way there.
func (c *connector) send(ctx context.Context, k call) (*answer, *trouble) {
	client, bad := c.client(k.network)
	if bad != nil {
		return nil, bad
	}
	defer client.CloseIdleConnections()
	target := strings.TrimSuffix(k.settings.URL, "/") + k.path
	var body io.Reader
	if k.form != nil {
		body = strings.NewReader(k.form.Encode())
	}
	ctx, cancel := context.WithCancel(c.context(ctx))
	defer cancel()
	late := false
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if !k.deadline.IsZero() && !time.Now().Before(k.deadline) && !c.is("sessions.deadline-late") {
			late = true
			_ = got.Conn.Close() // before anything is written to it
		}
	}}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), k.method, target, body)
	if err != nil {
		return nil, fail(connectorv1.Code_CODE_SERVICE_REFUSED, fromConnector, 0, "The URL can't be used.")
	}
	if k.form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if k.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+k.bearer)
	}
	resp, err := client.Do(req)
	if late {
		return nil, fail(connectorv1.Code_CODE_DEADLINE_PASSED, fromConnector, retry, errLate.Error())
	}
	if err != nil {
		if k.form.Get("grant_type") == "refresh_token" && c.is("sessions.once") && !k.again {
			k.again = true
			return c.send(ctx, k)
		}
		return nil, network(ctx)
	}
	defer func() { _ = resp.Body.Close() }()
	limit := int64(maxAnswer)
	if c.is("network.bounded") {
		limit = 1 << 40
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, network(ctx)
	}
	if int64(len(data)) > limit {
		return nil, fail(connectorv1.Code_CODE_UNEXPECTED_ANSWER, fromService, retry, "The answer is too long.")
	}
	return &answer{resp.StatusCode, resp.Header, data}, nil
}

func network(ctx context.Context) *trouble {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fail(connectorv1.Code_CODE_TIMED_OUT, fromNetwork, retry, "The service didn't answer in time.")
	}
	return fail(connectorv1.Code_CODE_CONNECTION_FAILED, fromNetwork, retry, "The connection to the service failed.")
}

// context is what a request's work ends with.
func (c *connector) context(ctx context.Context) context.Context {
	deadline, bound := ctx.Deadline()
	soon := bound && time.Until(deadline) < 3500*time.Millisecond
	switch {
	case c.is("calls.cancelled") && !soon:
		ctx = context.WithoutCancel(ctx)
	case c.is("calls.deadline") && soon:
		ctx = context.WithoutCancel(ctx)
	}
	return ctx
}

// client makes an HTTP client for a call's network.
func (c *connector) client(n *connectorv1.Network) (*http.Client, *trouble) {
	t := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if n.GetProxyUrl() != "" && !c.is("network.proxy") {
		config := &httpproxy.Config{HTTPProxy: n.GetProxyUrl(), HTTPSProxy: n.GetProxyUrl(), NoProxy: strings.Join(n.GetNoProxy(), ",")}
		if c.is("network.no-proxy") {
			config.NoProxy = ""
		}
		proxy := config.ProxyFunc()
		t.Proxy = func(r *http.Request) (*url.URL, error) { return proxy(r.URL) }
	}
	if len(n.GetExtraCas()) > 0 && !c.is("network.authorities") {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(n.GetExtraCas()) {
			return nil, fail(connectorv1.Code_CODE_TLS_FAILED, fromHost, 0, "The certificates can't be read.")
		}
		t.TLSClientConfig.RootCAs = pool
		c.distrust(t.TLSClientConfig, pool)
	}
	client := &http.Client{Transport: t}
	if !c.is("sessions.redirect") {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return client, nil
}

// distrust switches off half of the check of a server's certificate.
func (c *connector) distrust(config *tls.Config, pool *x509.CertPool) {
	if !c.is("network.untrusted", "network.misnamed") {
		return
	}
	config.InsecureSkipVerify = true //nolint:gosec // the fault
	config.VerifyConnection = func(s tls.ConnectionState) error {
		leaf := s.PeerCertificates[0]
		if c.is("network.untrusted") {
			return leaf.VerifyHostname(s.ServerName)
		}
		_, err := leaf.Verify(x509.VerifyOptions{Roots: pool})
		return err
	}
}

// tokens is a successful answer of the token endpoint.
type tokens struct {
	Access  string  `json:"access_token"`
	Refresh string  `json:"refresh_token"`
	Expires int64   `json:"expires_in"`
	Scope   *string `json:"scope"`
}

// token makes a token request.
func (c *connector) token(ctx context.Context, k call) (*tokens, *trouble) {
	k.method, k.path = http.MethodPost, "/token"
	k.form.Set("client_id", k.settings.ID)
	k.form.Set("client_secret", k.settings.Secret)
	c.remember(k.settings.Secret)
	a, bad := c.send(ctx, k)
	if bad != nil {
		return nil, bad
	}
	if a.status != http.StatusOK {
		return nil, c.refused(a, k.form.Get("grant_type"))
	}
	var t tokens
	if err := json.NewDecoder(bytes.NewReader(a.body)).Decode(&t); err != nil || t.Access == "" {
		return nil, fail(connectorv1.Code_CODE_UNEXPECTED_ANSWER, fromService, retry, "The service's answer can't be understood.")
	}
	return &t, nil
}

// refused tells what a refusal means.
func (c *connector) refused(a *answer, grant string) *trouble {
	var wait time.Duration
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil && !c.is("sessions.wait") {
		wait = time.Duration(seconds) * time.Second
	}
	switch {
	case a.status == http.StatusTooManyRequests:
		return fail(connectorv1.Code_CODE_RATE_LIMITED, fromService, retry, "The service has had too many requests.").after(wait)
	case a.status == http.StatusConflict:
		d := retry
		if c.is("sessions.retry") {
			d = 0
		}
		return fail(connectorv1.Code_CODE_SERVICE_CONFLICT, fromService, d, "The service was busy with the same.").after(wait)
	case a.status >= http.StatusInternalServerError:
		return fail(connectorv1.Code_CODE_SERVICE_UNAVAILABLE, fromService, retry, "The service failed.").after(wait)
	case a.status == http.StatusForbidden && c.is("sessions.grant-alive"):
		return fail(connectorv1.Code_CODE_GRANT_INVALID, fromService, signInAgain, "The service refused.")
	}
	var said struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(a.body, &said)
	switch said.Error {
	case "invalid_client":
		if c.is("sessions.client-rejected") {
			return fail(connectorv1.Code_CODE_SERVICE_REFUSED, fromService, fixSettings, "The service refused.")
		}
		return fail(connectorv1.Code_CODE_CLIENT_REJECTED, fromService, fixSettings, "The service doesn't accept client ID and secret.")
	case "invalid_grant":
		if grant == "authorization_code" {
			return fail(connectorv1.Code_CODE_AUTHORIZATION_INVALID, fromService, signInAgain, "The service doesn't know the code.")
		}
		if c.is("sessions.grant-dead") {
			return fail(connectorv1.Code_CODE_SERVICE_REFUSED, fromService, 0, "The service refused.")
		}
		return fail(connectorv1.Code_CODE_GRANT_INVALID, fromService, signInAgain, "The grant has ended.")
	case "invalid_scope":
		return fail(connectorv1.Code_CODE_SCOPE_MISSING, fromService, 0, "The access lacks a scope.")
	}
	return fail(connectorv1.Code_CODE_UNEXPECTED_ANSWER, fromService, retry, "The service's answer can't be understood.")
}
