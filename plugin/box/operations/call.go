package operations

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/boxconnection/connector/plugin/operation"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

const (
	// callTimeout bounds one call of the API, waits for the service included.
	callTimeout = 5 * time.Minute
	// slowest is the least speed of an upload, in bytes a second, that a call is
	// given time for.
	slowest = 64 << 10
	// maxBody bounds an answer that is read whole.
	maxBody = 4 << 20
	// attempts is how often a call that can be repeated is made, if the way to
	// the service fails.
	attempts = 4
	// firstDelay is the wait before the first repetition; it doubles.
	firstDelay = 250 * time.Millisecond
)

// call is one request to the API.
type call struct {
	method string
	url    *url.URL
	query  url.Values
	header http.Header
	body   []byte
	// once says that the call mustn't be repeated though it failed on the way:
	// it may have been carried out.
	once bool
}

// reply is an answer that was read whole.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do makes a call and decodes its answer into a value, or returns why Box
// refused. Without into, the answer isn't read as JSON.
func do(ctx context.Context, s *operation.Session, c call, into any) (*reply, error) {
	if c.query != nil {
		u := *c.url
		u.RawQuery = c.query.Encode()
		c.url = &u
	}
	delay := firstDelay
	for attempt := 1; ; attempt++ {
		a, err := once(ctx, s, c)
		if err == nil {
			err = refusal(a)
		}
		if err == nil {
			if into != nil && json.Unmarshal(a.body, into) != nil {
				return nil, unexpected(a)
			}
			return a, nil
		}
		if c.once || attempt == attempts || !passes(err) || ctx.Err() != nil {
			return a, err
		}
		if err := sleep(ctx, delay); err != nil {
			return a, err
		}
		delay *= 2
	}
}

// once makes the request and reads its answer.
func once(ctx context.Context, s *operation.Session, c call) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, timeFor(int64(len(c.body))))
	defer cancel()
	var body io.Reader
	if c.body != nil {
		body = bytes.NewReader(c.body)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.url.String(), body)
	if err != nil {
		return nil, err
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	return send(ctx, s, req)
}

// send sends a request and reads its answer whole.
func send(ctx context.Context, s *operation.Session, req *http.Request) (*reply, error) {
	resp, err := s.HTTPClient().Do(req)
	if err != nil {
		return nil, connectorhttp.NetworkFailure(ctx, err, req.URL.Host)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	a := &reply{status: resp.StatusCode, header: resp.Header, body: data}
	switch {
	case err != nil:
		return a, connectorhttp.NetworkFailure(ctx, err, req.URL.Host)
	case len(data) > maxBody:
		return a, connector.Errorf(connector.UnexpectedAnswer, connector.OriginService, "Box's answer is larger than %d MiB.", maxBody>>20).
			Suggest("Ask for fewer fields.")
	}
	return a, nil
}

// jsonCall is a call with a JSON body.
func jsonCall(method string, u *url.URL, value any) (call, error) {
	body, err := json.Marshal(value)
	return call{method: method, url: u, body: body, header: http.Header{"Content-Type": {"application/json"}}}, err
}

// timeFor is how long a call may take that carries so many bytes.
func timeFor(size int64) time.Duration {
	return callTimeout + time.Duration(size/slowest)*time.Second
}

// goesOn reports whether a work of several calls that met an error may go on
// from there later.
func goesOn(err error) bool {
	return passes(err) || errors.Is(err, connector.RateLimited) || errors.Is(err, connector.ServiceConflict) || errors.Is(err, connector.AccessRefused)
}

// passes reports whether an error may be gone when the call is repeated.
func passes(err error) bool {
	return errors.Is(err, connector.ConnectionFailed) || errors.Is(err, connector.TimedOut) || errors.Is(err, connector.ServiceUnavailable) ||
		errors.Is(err, connector.NameResolutionFailed)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
