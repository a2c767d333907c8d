package store

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/boxconnection/connector/proto/connector"
)

// maxSite bounds a site's name, in bytes.
const maxSite = 128

// Identity tells a store from its copies: a restored backup, a clone of the
// machine, a dump in another database. It is kept in the store, so a copy
// brings along the place of the original.
type Identity struct {
	// Recorded is the place that the store was first used in by a host, or last
	// adopted in. Its Marks are nil where nothing could be recorded yet, since
	// the store can't be written.
	Recorded Place
	// Actual is where the store is now.
	Actual Place
	// Adoptions counts how often the store was adopted.
	Adoptions uint64
}

// Place is what a store knows of where it is.
type Place struct {
	// Site is the operator's name for the installation, or empty. Where a copy
	// has the marks of its original, as a base backup of a database server and
	// the snapshot of a machine do, only the site tells them apart.
	Site string `json:"site,omitempty"`
	// Marks are what the machine or the server tells, by name. None is secret,
	// and none changes by a restart or a failover.
	Marks map[string]string `json:"marks"`
}

// Moved reports whether the store isn't where it was recorded: the site is
// another one, or a mark that both places have. A mark that only one of them
// has tells nothing, since it may have been unknown.
func (i Identity) Moved() bool {
	if i.Recorded.Marks == nil {
		return false
	}
	if i.Recorded.Site != i.Actual.Site {
		return true
	}
	for name, mark := range i.Recorded.Marks {
		if now, known := i.Actual.Marks[name]; known && now != mark {
			return true
		}
	}
	return false
}

// String describes the place for people.
func (p Place) String() string {
	parts := []string{"no site name"}
	if p.Site != "" {
		parts[0] = "site " + p.Site
	}
	for _, name := range slices.Sorted(maps.Keys(p.Marks)) {
		parts = append(parts, name+" "+p.Marks[name])
	}
	return strings.Join(parts, ", ")
}

// CheckSite refuses a site's name that can't be shown or kept, with
// UsageWrong. The empty one, for none, is fine.
func CheckSite(site string) error {
	unfit := func(r rune) bool { return r < ' ' || r == 0x7f }
	if len(site) > maxSite || !utf8.ValidString(site) || strings.TrimSpace(site) != site || strings.ContainsFunc(site, unfit) {
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "%q can't be a site's name.", site).
			Suggest("Use at most %d bytes of UTF-8 without control characters, and no blanks at the ends.", maxSite)
	}
	return nil
}
