package connectorhttp

import (
	"net/url"
	"strings"
)

// covers reports whether a request's URL lies under an endpoint: same scheme
// and host, default ports being equal, and the endpoint's path followed by a
// segment or by nothing. Paths are compared as they are sent. A path that a
// server might read in another way is under nothing.
func covers(endpoint, target *url.URL) bool {
	if target.Opaque != "" || target.User != nil || target.Scheme != endpoint.Scheme ||
		!strings.EqualFold(target.Hostname(), endpoint.Hostname()) || port(target) != port(endpoint) {
		return false
	}
	base := strings.TrimRight(endpoint.EscapedPath(), "/")
	rest, ok := strings.CutPrefix(target.EscapedPath(), base)
	return ok && (rest == "" || rest[0] == '/') && !climbs(target.EscapedPath())
}

// climbs reports whether some server could find a segment "." or ".." in the
// path: after decoding it once or several times, after taking a backslash for
// a slash, or after dropping the parameters of a segment.
func climbs(path string) bool {
	const depth = 4
	for range depth {
		for segment := range strings.FieldsFuncSeq(path, isSlash) {
			if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
				return true
			}
		}
		if strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return true
		}
		decoded, err := url.PathUnescape(path)
		if err != nil || decoded == path {
			return false
		}
		path = decoded
	}
	return true // nobody encodes that often and means well
}

func isSlash(r rune) bool { return r == '/' || r == '\\' }

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}
