package plugin

import (
	"net/url"
	"slices"
	"time"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
)

// What an answer must hold is checked here, so that a connector's slip shows
// as its own fault and not as bad data in a store. The functions return
// nil or a diagnostic that shows no value.

func checkAccess(a *connector.Access) error {
	if problem := a.Problem(); problem != "" {
		return fault("%s", problem)
	}
	return nil
}

// checkCredential wants a credential of the format that was asked for.
func (s *Server) checkCredential(c connector.Credential, format uint32) error {
	switch {
	case c.Data.IsZero():
		return fault("the credential is empty")
	case c.Format != format:
		return fault("the credential has format %d, not %d", c.Format, format)
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
	case err != nil || !connector.Guarded(u):
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
	if problem := a.Problem(); problem != "" {
		return fault("%s", problem)
	}
	return nil
}

func carries(query url.Values, state string) bool {
	for _, values := range query {
		if slices.Contains(values, state) {
			return true
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
