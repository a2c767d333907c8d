package connectorhttp

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/boxconnection/connector/proto/connector"
)

// maxDrain bounds what is read of a refused answer so that its connection can
// be used again, in bytes.
const maxDrain = 64 << 10

// NewTransport returns a RoundTripper that authorises requests with access
// from src and sends them through base, nil for http.DefaultTransport. It is
// safe for concurrent use.
//
//   - A request under one of the access's endpoints gets Authorization and the
//     access's headers, in a copy: the caller's request isn't changed. An
//     endpoint that is neither https nor on this machine counts as none.
//   - A request to anywhere else fails with connector.UsageWrong, apart from a
//     redirect that net/http's client follows: that goes on without them, as
//     a download needs.
//   - If the service refuses the token, the source is told and asked again.
//     If it has a token of another generation, the request is sent once more,
//     provided that it has no body or GetBody. Otherwise, and the second
//     time, the caller gets the service's answer as it is.
//   - If the service says that there are too many requests (429), or that it
//     is busy and for how long (503 with Retry-After, where the method can be
//     repeated), the request waits as long as it is asked to and is sent
//     again: up to four times and a minute in all, never beyond its context's
//     deadline. After that the caller gets the service's answer. If the source
//     is a connector.Throttle, all of its callers wait together; one that can't
//     wait so long gets [MustWait] and sends nothing.
//
// Errors of the source come out as they are; errors.As finds the
// *connector.Diagnostic below net/http's *url.Error.
func NewTransport(src connector.AccessSource, base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	throttle, _ := src.(connector.Throttle)
	return &transport{source: src, base: base, throttle: throttle}
}

// NewClient returns a client over [NewTransport]. It has no time-out of its
// own: give each request a context.
func NewClient(src connector.AccessSource, base http.RoundTripper) *http.Client {
	return &http.Client{Transport: NewTransport(src, base)}
}

type transport struct {
	source   connector.AccessSource
	base     http.RoundTripper
	throttle connector.Throttle
	parsed   atomic.Pointer[endpoints] // of the last access
}

// endpoints are an access's endpoints, parsed.
type endpoints struct {
	access *connector.Access
	urls   []*url.URL
}

// CloseIdleConnections closes those of the transport below, for
// http.Client.CloseIdleConnections.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	w := waits{throttle: t.throttle}
	for body := req.Body; ; {
		if err := w.before(req); err != nil {
			closeReader(body)
			return nil, err
		}
		resp, err := t.send(req, body)
		if err != nil {
			return nil, err
		}
		delay, ok := w.next(req, resp)
		if !ok {
			return resp, nil
		}
		if body, ok = bodyAgain(req); !ok {
			return resp, nil
		}
		discard(resp.Body)
		if err := sleep(req.Context(), delay); err != nil {
			closeReader(body)
			return nil, err
		}
	}
}

// send sends the request with this body, and once more with a newer token if
// the service refuses the first.
func (t *transport) send(req *http.Request, body io.ReadCloser) (*http.Response, error) {
	access, err := t.source.Access(req.Context(), connector.AccessRequest{})
	if err != nil {
		closeReader(body) // as a RoundTripper must
		return nil, err
	}
	if !t.endpoints(access).cover(req.URL) {
		if req.Response != nil {
			return t.base.RoundTrip(withBody(req, body))
		}
		closeReader(body)
		return nil, notDeclared(req.URL)
	}
	resp, err := t.base.RoundTrip(authorise(req, body, access))
	if err != nil || resp.StatusCode != http.StatusUnauthorized || !refused(access, resp) {
		return resp, err
	}
	return t.again(req, resp, access)
}

// again sends a refused request with a newer token, if there is one.
func (t *transport) again(req *http.Request, resp *http.Response, old *connector.Access) (*http.Response, error) {
	// The source is told even if this request can't be sent again: the next
	// one shall have a token that works.
	access, err := t.source.Access(req.Context(), connector.AccessRequest{Refused: old.Generation})
	if err != nil {
		discard(resp.Body)
		return nil, err
	}
	if access.Generation == old.Generation || !t.endpoints(access).cover(req.URL) {
		return resp, nil
	}
	body, ok := bodyAgain(req)
	if !ok {
		return resp, nil
	}
	discard(resp.Body)
	return t.base.RoundTrip(authorise(req, body, access))
}

// withBody returns the request with this body.
func withBody(req *http.Request, body io.ReadCloser) *http.Request {
	if body == req.Body {
		return req
	}
	again := *req
	again.Body = body
	return &again
}

// authorise returns a copy of the request with this body, the token and the
// headers.
func authorise(req *http.Request, body io.ReadCloser, access *connector.Access) *http.Request {
	authorised := *req
	authorised.Body = body
	authorised.Header = make(http.Header, len(req.Header)+len(access.Headers)+1)
	for name, values := range req.Header {
		// Header names in maps may be written in any case, on the wire they are
		// the same.
		if !strings.EqualFold(name, "Authorization") && !hasHeader(access.Headers, name) {
			authorised.Header[name] = values
		}
	}
	for name, value := range access.Headers {
		authorised.Header.Set(name, value)
	}
	authorised.Header.Set("Authorization", access.Type+" "+access.Token.Reveal())
	return &authorised
}

func hasHeader(headers map[string]string, name string) bool {
	for have := range headers {
		if strings.EqualFold(have, name) {
			return true
		}
	}
	return false
}

// endpoints parses the endpoints of an access once.
func (t *transport) endpoints(access *connector.Access) *endpoints {
	if e := t.parsed.Load(); e != nil && e.access == access {
		return e
	}
	e := &endpoints{access: access}
	for _, endpoint := range access.Endpoints {
		if u, err := url.Parse(endpoint); err == nil && connector.EndpointProblem(endpoint) == "" {
			e.urls = append(e.urls, u)
		}
	}
	t.parsed.Store(e)
	return e
}

func (e *endpoints) cover(target *url.URL) bool {
	for _, u := range e.urls {
		if covers(u, target) {
			return true
		}
	}
	return false
}

// notDeclared names the host alone: a path or query may hold a secret.
func notDeclared(u *url.URL) error {
	return connector.Errorf(connector.UsageWrong, connector.OriginHost,
		"A request to %s://%s was not sent: it isn't under an endpoint of this connection.", u.Scheme, u.Host).
		Suggest("Build the URL from one of the access's endpoints. Use a client of your own for places that get no token.")
}

// refused reports whether the answer means that the token is no longer good.
// The answer's body stays complete.
func refused(access *connector.Access, resp *http.Response) bool {
	// An answer with content can be told by its header, so that a service
	// which is slow to send it isn't waited for.
	empty := resp.ContentLength == 0 || (resp.ContentLength < 0 && peekEmpty(resp))
	return access.Refusal.Refuses(resp.StatusCode, resp.Header, empty)
}

// peekEmpty reads at most one byte.
func peekEmpty(resp *http.Response) bool {
	var first [1]byte
	if _, err := io.ReadFull(resp.Body, first[:]); err != nil {
		return errors.Is(err, io.EOF) // which the caller reads again
	}
	resp.Body = &peeked{first[:], resp.Body}
	return false
}

// peeked is a body of which the beginning was read already.
type peeked struct {
	head []byte
	io.ReadCloser
}

// Read returns what was peeked and then the rest.
func (p *peeked) Read(b []byte) (int, error) {
	if len(p.head) > 0 {
		n := copy(b, p.head)
		p.head = p.head[n:]
		return n, nil
	}
	return p.ReadCloser.Read(b)
}

// bodyAgain returns the request's body once more, and whether it can be had.
func bodyAgain(req *http.Request) (io.ReadCloser, bool) {
	if req.Body == nil || req.Body == http.NoBody {
		return req.Body, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	return body, err == nil
}

func closeReader(body io.ReadCloser) {
	if body != nil {
		_ = body.Close()
	}
}

// discard empties and closes an answer, so that its connection can be used
// again, unless there is too much to read.
func discard(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, maxDrain)
	_ = body.Close()
}
