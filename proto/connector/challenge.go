package connector

import "strings"

// bearerError returns the error parameter of a Bearer challenge (RFC 6750,
// section 3), or "". Other challenges in the same header line are skipped.
func bearerError(challenge string) string {
	rest := challenge
	for rest != "" {
		scheme, params, _ := strings.Cut(strings.TrimLeft(rest, " ,"), " ")
		value, next := scanParams(params)
		if strings.EqualFold(scheme, "Bearer") {
			return value["error"]
		}
		rest = next
	}
	return ""
}

// scanParams reads name=value pairs (RFC 9110, section 11.2) up to the next
// scheme, which it leaves in rest.
func scanParams(s string) (params map[string]string, rest string) {
	params = map[string]string{}
	for {
		s = strings.TrimLeft(s, " ,")
		name, after, ok := strings.Cut(s, "=")
		if !ok || strings.ContainsAny(strings.TrimSpace(name), " ,") {
			return params, nextScheme(s)
		}
		name = strings.ToLower(strings.TrimSpace(name))
		after = strings.TrimLeft(after, " ")
		if !strings.HasPrefix(after, `"`) {
			end := strings.IndexAny(after, ", ")
			if end < 0 {
				end = len(after)
			}
			params[name], s = after[:end], after[end:]
			continue
		}
		var b strings.Builder
		i := 1
		for ; i < len(after) && after[i] != '"'; i++ {
			if after[i] == '\\' && i+1 < len(after) {
				i++
			}
			b.WriteByte(after[i])
		}
		params[name], s = b.String(), after[min(i+1, len(after)):]
	}
}

// nextScheme returns s from its next word on, or "" if none begins a
// challenge.
func nextScheme(s string) string {
	if i := strings.IndexByte(s, ' '); i > 0 || (i < 0 && s != "" && !strings.Contains(s, "=")) {
		return s
	}
	return ""
}
