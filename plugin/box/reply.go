package box

import (
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

// reply is an answer of the service, read and decoded. Its texts are never
// shown as they are: a body may repeat what was sent.
type reply struct {
	host   string
	status int
	header http.Header
	body   []byte
	now    time.Time
	// fields is the body's JSON object; nil if it has none, or if the answer
	// isn't declared as JSON.
	fields map[string]json.RawMessage
	// secrets are the values that were sent.
	secrets []string
}

// readReply reads an answer within the limits.
func readReply(ctx context.Context, resp *http.Response, host string, now time.Time) (*reply, *connector.Diagnostic) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, connectorhttp.NetworkFailure(ctx, err, host)
	}
	a := &reply{host: host, status: resp.StatusCode, header: resp.Header, body: body, now: now}
	if len(body) > maxBody {
		return nil, a.unexpected("", "more than 1 MiB")
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json")) && json.Unmarshal(body, &a.fields) != nil {
		a.fields = nil
	}
	return a, nil
}

// text is a field's value if it is a string.
func (a *reply) text(name string) string {
	var s string
	if raw, ok := a.fields[name]; !ok || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// word is a field's value if it is safe to show: up to 64 lower-case letters
// and underscores, as error codes are, and nothing of what was sent.
func (a *reply) word(name string) string {
	w := a.text(name)
	if len(w) > 64 || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz_") != "" || a.repeats(w) {
		return ""
	}
	return w
}

// requestID is Box's own number for the request, which its support asks for:
// lower-case letters and digits, and shorter than any token of Box.
func (a *reply) requestID() string {
	id := a.header.Get("Box-Request-Id")
	if len(id) > 31 || strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz") != "" ||
		!strings.ContainsAny(id, "0123456789") || a.repeats(id) {
		return ""
	}
	return id
}

// repeats reports whether s is, or holds, something that was sent.
func (a *reply) repeats(s string) bool {
	for _, secret := range a.secrets {
		if len(secret) >= 8 && (strings.Contains(s, secret) || strings.Contains(secret, s) && len(s) >= 8) {
			return true
		}
	}
	return false
}

// detail tells the numbers that help to find the request again.
func (a *reply) detail() string {
	d := "HTTP status " + strconv.Itoa(a.status)
	if id := a.requestID(); id != "" {
		d += ", Box request " + id
	}
	return d
}

// success reports a status of 200 to 299.
func (a *reply) success() bool { return a.status/100 == 2 }

// foreignChallenge reports a 401 that isn't of the service: an
// authentication that only proxies and gateways ask for.
func (a *reply) foreignChallenge() bool {
	if a.status != http.StatusUnauthorized {
		return false
	}
	for _, c := range a.header.Values("WWW-Authenticate") {
		scheme, _, _ := strings.Cut(strings.TrimSpace(c), " ")
		switch strings.ToLower(strings.TrimSuffix(scheme, ",")) {
		case "ntlm", "negotiate", "kerberos":
			return true
		case "basic":
			return a.fields == nil // RFC 6749 lets a token endpoint answer with it, but then with JSON
		}
	}
	return false
}

// retryAfter is the wait that the service asks for; zero means unknown.
func (a *reply) retryAfter() time.Duration { return connectorhttp.RetryAfter(a.header, a.now) }

// common finds the failures that have nothing to do with what was asked: of
// proxies, of a busy service, of a wrong address. It returns nil for others.
func (a *reply) common(pointer string) *connector.Diagnostic {
	fail := func(code connector.Code, format string, args ...any) *connector.Diagnostic {
		return connector.Errorf(code, connector.OriginService, format, args...).WithDetail("%s", a.detail())
	}
	switch {
	case a.status == http.StatusProxyAuthRequired:
		return connectorhttp.ProxyRefused(a.host, a.status)
	case a.foreignChallenge():
		return fail(connector.ProxyFailed, "A proxy or gateway before %s wants a sign-in of its own.", a.host).
			With(connector.FixSettings).
			Suggest("Put the proxy's URL, with user name and password, into the connection's network settings, or ask the network's administrator to let %s through.", a.host)
	case a.status/100 == 3:
		return a.unexpected(pointer, "a redirect")
	case a.status == http.StatusTooManyRequests:
		return fail(connector.RateLimited, "Box limits the number of requests, and the limit is reached.").
			With(connector.Retry).After(a.retryAfter()).Suggest("Wait and try again. If it stays so, use fewer parallel jobs for this Box account.")
	case a.status == http.StatusConflict:
		return fail(connector.ServiceConflict, "Box was busy with another request of the same kind.").
			With(connector.Retry).After(a.retryAfter()).Suggest("Wait a moment and try again.")
	case a.status == http.StatusInsufficientStorage:
		return fail(connector.ServiceRefused, "The Box account is out of space.").
			With(connector.AskAdministrator).Suggest("Free space in the account, or ask the Box administrator for more.")
	case a.status >= 500:
		return fail(connector.ServiceUnavailable, "%s is unavailable at the moment.", a.host).
			With(connector.Retry).After(a.retryAfter()).Suggest("Wait and try again. Outages are announced at status.box.com.")
	}
	return nil
}

// unexpected is an answer in another language than the service's. What was
// asked may or may not have been done.
func (a *reply) unexpected(pointer, what string) *connector.Diagnostic {
	return connector.Errorf(connector.UnexpectedAnswer, connector.OriginNetwork,
		"%s sent %s where an answer of Box was expected.", a.host, what).
		WithDetail("%s", a.detail()).At(pointer).With(connector.Retry).
		Suggest("Check that the connection's URLs lead to Box, and that no proxy or sign-in page of the network answers instead.")
}
