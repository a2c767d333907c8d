package conformance

import (
	"fmt"
	"strings"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/checks"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// Info describes a check.
type Info struct {
	ID      string
	Area    string
	Level   Level
	Clauses []string
	Title   string
	// Needs says in words what the check needs; Capability what must be
	// declared, or the check isn't applicable.
	Needs      []string
	Capability string
}

// Checks lists all checks in the order of reports. The ids don't change.
func Checks() []Info {
	var out []Info
	for _, c := range checks.All() {
		i := Info{ID: c.ID, Area: c.Area(), Level: c.Level, Clauses: c.Clauses, Title: c.Title, Needs: needs(c.Needs)}
		if c.Capability != 0 {
			i.Capability = connectorv1.Capability_name[int32(c.Capability)]
		}
		out = append(out, i)
	}
	return out
}

func needs(n check.Need) []string {
	var out []string
	for _, one := range []struct {
		need check.Need
		text string
	}{
		{check.Process, "a binary that the suite starts"}, {check.Description, "an answer of Describe"},
		{check.Settings, "settings in a profile"}, {check.Peer, "a service under control"},
	} {
		if n&one.need != 0 {
			out = append(out, one.text)
		}
	}
	return out
}

// Explain tells all about the check, with the text of its clauses.
func (i Info) Explain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)\n%s\n", i.ID, i.Level, i.Title)
	for _, clause := range i.Clauses {
		fmt.Fprintf(&b, "\n%s: %s\n", clause, checks.ClauseText(clause))
	}
	if len(i.Needs) > 0 {
		fmt.Fprintf(&b, "\nNeeds: %s.\n", strings.Join(i.Needs, ", "))
	}
	if i.Capability != "" {
		fmt.Fprintf(&b, "\nNot applicable without %s.\n", i.Capability)
	}
	return b.String()
}

// CataloguePage is the list of checks as a page in Markdown, with the clauses
// that no check looks at and why.
func CataloguePage() string { return checks.Page() }
