package connector

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// What the contract demands of answers, in a form that both sides use. Each
// Problem is a clause that completes "the connector broke its contract", or
// "", and never shows a value that may be secret.

// Problem returns what keeps the access from being used (clauses ),
// or "". It may be called on nil.
func (a *Access) Problem() string {
	switch {
	case a == nil:
		return "it answered without access"
	case !visible(a.Token.Reveal()):
		return "the access token is empty or can't be sent in a header"
	case !headerName(a.Type):
		return "the access token has no usable type"
	case a.IssuedAt.IsZero():
		return "the access doesn't say when it was issued"
	case !a.ExpiresAt.IsZero() && !a.ExpiresAt.After(a.IssuedAt):
		return "the access expires before it was issued"
	case !inRange(a.IssuedAt, a.ExpiresAt, a.RenewAt):
		return "a time of the access is out of range"
	}
	for _, name := range slices.Sorted(maps.Keys(a.Endpoints)) {
		if problem := EndpointProblem(a.Endpoints[name]); problem != "" {
			return fmt.Sprintf("the endpoint %q %s", name, problem)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		if !headerName(name) || !printable(a.Headers[name]) || reserved[strings.ToLower(name)] {
			return fmt.Sprintf("the header %q can't be sent", name)
		}
	}
	return ""
}

// Problem returns what keeps the account from being told from others (clause
// I-1), or "".
func (a Account) Problem() string {
	const limit = 256
	if a.ID == "" || len(a.ID) > limit || len(a.EnterpriseID) > limit || !printable(a.ID) || !printable(a.EnterpriseID) {
		return "the account has no usable ID"
	}
	return ""
}

// EndpointProblem says what keeps a base URL from being one that tokens are
// sent to, as a clause, or "".
func EndpointProblem(endpoint string) string {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return "isn't an absolute URL"
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "has a user, a query or a fragment"
	case !Guarded(u):
		return "is neither https nor on this machine"
	}
	return ""
}

// Guarded reports whether what is sent to a URL can't be read on the way: it
// is https, or http to this machine by the host's name alone.
func Guarded(u *url.URL) bool {
	host := u.Hostname()
	return host != "" && (u.Scheme == "https" || (u.Scheme == "http" && loopback(host)))
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || (err == nil && addr.Unmap().IsLoopback())
}

// inRange reports whether the times can be told on the wire; the zero time
// can.
func inRange(times ...time.Time) bool {
	for _, t := range times {
		if year := t.UTC().Year(); year < 1 || year > 9999 {
			return false
		}
	}
	return true
}

// reserved are the headers that the sender of a request sets.
var reserved = map[string]bool{
	"authorization": true, "host": true, "content-length": true, "content-type": true, "connection": true,
	"transfer-encoding": true, "cookie": true, "proxy-authorization": true, "te": true, "trailer": true, "upgrade": true,
}

// headerName reports whether s is a token of RFC 9110, section 5.6.2.
func headerName(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// printable reports whether s can be sent as a header's value.
func printable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// visible reports whether s is one or more visible ASCII characters.
func visible(s string) bool { return s != "" && printable(s) && !strings.Contains(s, " ") }
