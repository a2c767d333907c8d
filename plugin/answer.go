package plugin

import (
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
)

// What an answer must hold is checked here, so that a connector's slip shows
// as its own fault and not as bad data in a store. The functions return
// nil or a diagnostic that shows no value.

func (s *Server) checkAccess(a *connector.Access) error {
	switch {
	case a == nil:
		return fault("it answered without access")
	case a.Token.IsZero() || !visible(a.Token.Reveal()):
		return fault("the access token is empty or can't be sent in a header")
	case !headerName(a.Type):
		return fault("the access token has no usable type")
	case a.IssuedAt.IsZero():
		return fault("the access doesn't say when it was issued")
	case !a.ExpiresAt.IsZero() && !a.ExpiresAt.After(a.IssuedAt):
		return fault("the access expires before it was issued")
	case !inRange(a.IssuedAt, a.ExpiresAt, a.RenewAt):
		return fault("a time of the access is out of range")
	}
	for name, endpoint := range a.Endpoints {
		if problem := endpointProblem(endpoint); problem != "" {
			return fault("the endpoint %q %s", name, problem)
		}
	}
	for name, value := range a.Headers {
		if !headerName(name) || !headerValue(value) || reserved[strings.ToLower(name)] {
			return fault("the header %q can't be sent", name)
		}
	}
	return nil
}

func (s *Server) checkCredential(c connector.Credential) error {
	switch {
	case c.Data.IsZero():
		return fault("the credential is empty")
	case c.Format != s.description.CredentialWrites:
		return fault("the credential has format %d, but the description says %d", c.Format, s.description.CredentialWrites)
	case len(c.Data.Reveal()) > handshake.MaxCredentialBytes:
		return fault("the credential is larger than %d KiB", handshake.MaxCredentialBytes>>10)
	case !inRange(c.AccessExpiresAt, c.LapsesAt):
		return fault("a time of the credential is out of range")
	}
	return nil
}

func checkBegun(b Begun, req BeginRequest) error {
	u, err := url.Parse(b.URL)
	switch {
	case err != nil || endpointScheme(u) != "":
		return fault("the URL for the browser is neither https nor on this machine")
	case !carries(u.Query(), req.State.Reveal()):
		return fault("the URL for the browser doesn't carry the state")
	case len(b.Pending.Reveal()) > handshake.MaxPendingBytes:
		return fault("the pending sign-in is larger than %d KiB", handshake.MaxPendingBytes>>10)
	case !b.ExpiresAt.After(req.Now) || !inRange(b.ExpiresAt):
		return fault("the sign-in ends before it begins")
	}
	return nil
}

func checkNarrowed(narrowed, whole *connector.Access) error {
	if narrowed.Token == whole.Token {
		return fault("it answered a request for fewer rights with the same token")
	}
	return nil
}

func checkAccount(a connector.Account) error {
	if a.ID == "" || len(a.ID) > 256 || !headerValue(a.ID) || len(a.EnterpriseID) > 256 || !headerValue(a.EnterpriseID) {
		return fault("the account has no usable ID")
	}
	return nil
}

// endpointProblem says what is wrong with a base URL that tokens are sent to.
func endpointProblem(endpoint string) string {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return "isn't an absolute URL"
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "has a user, a query or a fragment"
	}
	return endpointScheme(u)
}

func endpointScheme(u *url.URL) string {
	if u.Hostname() != "" && (u.Scheme == "https" || (u.Scheme == "http" && loopback(u.Hostname()))) {
		return ""
	}
	return "is neither https nor on this machine"
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || (err == nil && addr.IsLoopback())
}

func carries(query url.Values, state string) bool {
	for _, values := range query {
		for _, v := range values {
			if v == state {
				return true
			}
		}
	}
	return false
}

// inRange reports whether the times fit into a timestamp; the zero time does.
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

// headerValue reports whether s can be sent as a header's value.
func headerValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// visible reports whether s has visible ASCII characters only.
func visible(s string) bool { return headerValue(s) && !strings.Contains(s, " ") }
