package box

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

// request says which request to the token or revoke endpoint is made, since
// the same answer means different things.
type request uint8

const (
	exchange  request = 1 << iota // an authorization code for a grant
	renewal                       // a refresh token for a new pair
	narrowing                     // an access token for one with fewer rights
	revoking                      // a grant back to the service
)

// tokenCall is an http.RoundTripper for exactly one request to the token or
// revoke endpoint. It sends nothing after the deadline, follows no redirect,
// and turns every failure into a Diagnostic, so that package oauth2 never sees
// a body that it might print. What it lets through is a token answer in its
// plainest form; what that leaves out stands in answer.
type tokenCall struct {
	kind     request
	base     http.RoundTripper
	pointer  string // to the setting with the URL
	now      func() time.Time
	deadline time.Time // zero for none

	used   bool
	answer tokenAnswer
}

// tokenAnswer is a successful answer of the token endpoint.
type tokenAnswer struct {
	accessToken, refreshToken, tokenType string
	life                                 time.Duration // as by lifetime
	scope                                *string       // nil if absent
	restrictedTo                         []restriction
	issuedType                           string
}

// restriction is an entry of restricted_to.
type restriction struct {
	Scope  string `json:"scope"`
	Object *struct {
		Type string `json:"type"`
		ID   string `json:"id"`
	} `json:"object"`
}

// client is an http.Client that makes the call.
func (t *tokenCall) client() *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// post makes the call with a form, for the grants that package oauth2 doesn't
// have.
func (t *tokenCall) post(ctx context.Context, target string, form url.Values) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		return wrong(t.pointer, "The URL can't be used.", "Correct it.").Because(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := t.client().Do(req)
	if err != nil {
		return connectorhttp.NetworkFailure(ctx, err, req.URL.Host)
	}
	return resp.Body.Close()
}

// RoundTrip sends the request once.
func (t *tokenCall) RoundTrip(req *http.Request) (*http.Response, error) {
	form, err := io.ReadAll(req.Body)
	if closing := req.Body.Close(); err != nil || closing != nil {
		return nil, errors.Join(err, closing)
	}
	if t.used {
		return nil, connector.Errorf(connector.Internal, connector.OriginConnector, "A second token request was held back.").
			Suggest("Report it to the author of the connector.")
	}
	t.used = true
	if err := t.late(); err != nil {
		return nil, err
	}
	body := &guardedBody{Reader: bytes.NewReader(form), late: t.late}
	var passed error // the deadline, while the connection was made
	out := req.Clone(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) {
			if passed = t.late(); passed != nil {
				_ = got.Conn.Close() // before anything of the request is written to it
			}
		},
	}))
	out.Body, out.GetBody = body, nil
	out.Header.Set("Accept", "application/json")
	resp, err := t.base.RoundTrip(out)
	if passed != nil {
		if err == nil {
			_ = resp.Body.Close()
		}
		return nil, passed
	}
	if err != nil {
		return nil, body.explain(connectorhttp.NetworkFailure(req.Context(), err, req.URL.Host))
	}
	defer func() { _ = resp.Body.Close() }()
	a, d := readReply(req.Context(), resp, req.URL.Host, t.now())
	if d != nil {
		return nil, body.explain(d)
	}
	a.secrets = formValues(form)
	plain, d := t.read(resp.Request, a)
	if d != nil {
		return nil, d
	}
	return plain, nil
}

// late reports that the deadline has passed.
func (t *tokenCall) late() error {
	if t.deadline.IsZero() || t.now().Before(t.deadline) {
		return nil
	}
	return connector.Errorf(connector.DeadlinePassed, connector.OriginConnector,
		"The time in which the request could be sent had passed, so nothing was sent.").
		With(connector.Retry).Suggest("Try again. If it stays so, this machine is too busy or the network too slow.")
}

// read understands an answer.
func (t *tokenCall) read(req *http.Request, a *reply) (*http.Response, *connector.Diagnostic) {
	if d := tokenFailure(t.kind, t.pointer, a); d != nil {
		return nil, d
	}
	if t.kind == revoking {
		return plainAnswer(req, nil), nil
	}
	t.answer = tokenAnswer{
		accessToken:  a.text("access_token"),
		refreshToken: a.text("refresh_token"),
		tokenType:    tokenType(a.text("token_type")),
		life:         lifetime(a.fields["expires_in"]),
		issuedType:   a.text("issued_token_type"),
	}
	if scope, ok := a.fields["scope"]; ok && string(scope) != "null" {
		text := a.text("scope")
		t.answer.scope = &text
	}
	if raw, ok := a.fields["restricted_to"]; ok && json.Unmarshal(raw, &t.answer.restrictedTo) != nil {
		return nil, a.unexpected(t.pointer, "an unreadable list of restrictions")
	}
	shown := t.answer.accessToken
	if !sendable(t.answer.accessToken) {
		if t.kind != renewal || t.answer.refreshToken == "" {
			return nil, a.unexpected(t.pointer, "no usable access token")
		}
		// The old refresh token may be spent, so the new one must be kept. The
		// next call renews again.
		t.answer.accessToken, shown = "", "none"
	}
	plain, err := json.Marshal(map[string]string{
		"access_token": shown, "refresh_token": t.answer.refreshToken, "token_type": t.answer.tokenType,
	})
	if err != nil {
		return nil, a.unexpected(t.pointer, "no usable access token")
	}
	return plainAnswer(req, plain), nil
}

// plainAnswer is the answer that package oauth2 gets to read.
func plainAnswer(req *http.Request, body []byte) *http.Response {
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)), Request: req,
	}
}

// guardedBody is a request's body whose reading doesn't begin after the
// deadline. The deadline is checked first when the connection is there; the
// transport may write the headers by themselves, and then reads the body, which
// holds all that a service can act on. A process that is frozen between the
// two sends headers at most.
type guardedBody struct {
	io.Reader
	late  func() error
	begun atomic.Bool
}

// Read checks the deadline the first time.
func (b *guardedBody) Read(p []byte) (int, error) {
	if !b.begun.Load() {
		if err := b.late(); err != nil {
			return 0, err
		}
		b.begun.Store(true)
	}
	return b.Reader.Read(p)
}

// Close does nothing.
func (b *guardedBody) Close() error { return nil }

// explain adds to a failure whether the request may have reached the service.
func (b *guardedBody) explain(d *connector.Diagnostic) *connector.Diagnostic {
	switch {
	case d.Detail != "" || d.Code == connector.DeadlinePassed:
		return d
	case b.begun.Load():
		return d.WithDetail("The request may have arrived.")
	}
	return d.WithDetail("Nothing that could be acted on was sent.")
}

// formValues lists the values of a form, for keeping them out of texts.
func formValues(form []byte) []string {
	parsed, err := url.ParseQuery(string(form))
	if err != nil {
		return nil
	}
	var values []string
	for _, vs := range parsed {
		values = append(values, vs...)
	}
	return values
}

// tokenType is the type for the Authorization header. Services write "bearer"
// in any case and may leave it out.
func tokenType(t string) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
	if t == "" || len(t) > 64 || strings.EqualFold(t, "bearer") || strings.Trim(t, letters) != "" {
		return "Bearer"
	}
	return t
}

// sendable reports whether a token can stand in a header.
func sendable(token string) bool {
	return token != "" && len(token) <= 16<<10 && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}
