package connector

import "strings"

// A challenge is one of a WWW-Authenticate header (RFC 9110, section 11.6.1).
type challenge struct {
	scheme string            // in lower case
	params map[string]string // by name in lower case
}

// parseChallenges reads the challenges of one header line. It takes what
// servers really send: anything that doesn't follow the grammar is skipped.
func parseChallenges(line string) []challenge {
	var found []challenge
	s := scanner{line}
	for {
		s.skip(" \t,")
		scheme := s.token()
		switch {
		case scheme == "" && s.rest == "":
			return found
		case scheme == "":
			s.rest = s.rest[1:]
			continue
		}
		c := challenge{strings.ToLower(scheme), map[string]string{}}
		s.skip(" \t")
		s.token68()
		for s.param(c.params) {
		}
		found = append(found, c)
	}
}

// A scanner reads a header's value from the left.
type scanner struct{ rest string }

func (s *scanner) skip(chars string) { s.rest = strings.TrimLeft(s.rest, chars) }

// token reads up to the next delimiter, and may find nothing.
func (s *scanner) token() string {
	end := strings.IndexAny(s.rest, " \t,=\"")
	if end < 0 {
		end = len(s.rest)
	}
	token := s.rest[:end]
	s.rest = s.rest[end:]
	return token
}

// token68 skips the bare value that may follow a scheme instead of
// parameters, as in "Negotiate YII=".
func (s *scanner) token68() {
	before := s.rest
	token := s.token()
	s.skip("=")
	s.skip(" \t")
	if token == "" || (s.rest != "" && s.rest[0] != ',') {
		s.rest = before
	}
}

// param reads one name=value pair. What has no value is the next challenge
// and stays.
func (s *scanner) param(into map[string]string) bool {
	before := s.rest
	s.skip(" \t,")
	name := s.token()
	s.skip(" \t")
	if name == "" || !strings.HasPrefix(s.rest, "=") {
		s.rest = before
		return false
	}
	s.rest = s.rest[1:]
	s.skip(" \t")
	name = strings.ToLower(name)
	if strings.HasPrefix(s.rest, `"`) {
		into[name] = s.quoted()
	} else {
		into[name] = s.token()
	}
	return true
}

// quoted reads a quoted string, whose end may be missing.
func (s *scanner) quoted() string {
	var b strings.Builder
	i := 1
	for ; i < len(s.rest) && s.rest[i] != '"'; i++ {
		if s.rest[i] == '\\' && i+1 < len(s.rest) {
			i++
		}
		b.WriteByte(s.rest[i])
	}
	s.rest = s.rest[min(i+1, len(s.rest)):]
	return b.String()
}
