package boxsim

import (
	"fmt"
	"net/netip"
	"net/url"
)

// DefaultRedirectURI is registered if no other is. Its port doesn't matter.
const DefaultRedirectURI = "http://localhost:8085/account/local/oauth2/callback"

// checkRegistration holds the rules for registering a redirect URI: HTTPS, or
// HTTP for this machine, complete, and without a fragment.
func checkRegistration(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return fmt.Errorf("redirect URI: %w", err)
	case u.Host == "" || u.Hostname() == "":
		return fmt.Errorf("redirect URI %q: not an absolute URL", raw)
	case u.Fragment != "" || u.User != nil:
		return fmt.Errorf("redirect URI %q: must have neither a fragment nor user information", raw)
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	default:
		return fmt.Errorf("redirect URI %q: must be https, or http for localhost or a loopback address", raw)
	}
}

// redirectMatches says whether a redirect URI is one of those registered. It
// must be the same to the letter, but for the port on this machine.
func redirectMatches(registered []string, raw string) bool {
	for _, r := range registered {
		if r == raw || sameButPort(r, raw) {
			return true
		}
	}
	return false
}

func sameButPort(registered, raw string) bool {
	a, errA := url.Parse(registered)
	b, errB := url.Parse(raw)
	if errA != nil || errB != nil || !loopback(a.Hostname()) {
		return false
	}
	a.Host, b.Host = withoutPort(a), withoutPort(b)
	return a.String() == b.String()
}

// withoutPort keeps the brackets of an IPv6 address.
func withoutPort(u *url.URL) string {
	if port := u.Port(); port != "" {
		return u.Host[:len(u.Host)-len(port)-1]
	}
	return u.Host
}

// loopback says whether a host is this machine, by name or address.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
