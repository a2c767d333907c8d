package descriptor

import (
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The formats that this package asserts by its own rules. Destinations carry
// "uri" in a descriptor; the other name exists in the compiled schema only.
const (
	formatURI         = "uri"
	formatDestination = "destination"
)

// Destinations tells where the settings send secrets: for each destination
// field, the origin as scheme://host:port, in lower case and with the port
// always given. A blank setting counts as its default. Fields that are hidden
// or have neither are left out; a value that isn't a usable URL has the
// origin "". A host keeps the map beside stored secrets, since a later
// version of the connector may have other defaults.
func (d *Descriptor) Destinations(s Settings) map[string]string {
	merged := d.WithDefaults(s)
	origins := map[string]string{}
	for i := range d.fields {
		f := &d.fields[i]
		if value := merged[f.Name]; f.Destination && f.VisibleIn(merged) && !blank(value) {
			origins[f.Name] = origin(value)
		}
	}
	return origins
}

// ChangedDestinations names the destinations of next, in alphabetical order,
// that stored secrets must not be sent to without asking: those that previous
// doesn't have, those with another origin, and those without a usable one.
// Both come from [Descriptor.Destinations].
func ChangedDestinations(previous, next map[string]string) []string {
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(next)) {
		if before, ok := previous[name]; !ok || before != next[name] || next[name] == "" {
			changed = append(changed, name)
		}
	}
	return changed
}

// origin returns the normal form of a URL's origin, or "".
func origin(value any) string {
	text, _ := value.(string)
	u, err := url.Parse(trim(text))
	if err != nil || urlProblem(trim(text), true) != "" {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	} else if n, err := strconv.Atoi(port); err == nil {
		port = strconv.Itoa(n) // 0443 is 443
	}
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return u.Scheme + "://" + host + ":" + port
}

// urlProblem says what is wrong with a URL, as a clause, or "". What isn't a
// string isn't judged: the type is another rule. A destination must moreover
// be a place that a secret may be sent to.
func urlProblem(value any, destination bool) string {
	text, ok := value.(string)
	if !ok {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "it isn't a URL"
	case u.Scheme == "" || u.Hostname() == "":
		return "it isn't an absolute URL such as https://host/path"
	case !validPort(u.Port()):
		return "its port isn't a number from 1 to 65535"
	case !destination:
		return ""
	case u.Scheme != "https" && u.Scheme != "http":
		return "its scheme is neither https nor http"
	case u.User != nil:
		return "it contains a user name or password"
	case strings.Contains(text, "#"):
		return "it contains a fragment (#)"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "it uses http, which is allowed for this machine (localhost) only"
	}
	return ""
}

func validPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// loopback reports whether a host is this machine by its name alone; nothing
// is looked up.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
