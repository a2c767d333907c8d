package checks

import (
	"regexp"
	"slices"
	"strings"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/report"
	"github.com/boxconnection/connector/proto/integration"
)

// Clause is a numbered clause of the contract.
type Clause struct {
	ID   string
	Text string
	// Must says that it holds a MUST.
	Must bool
}

// Connectors reports whether the clause binds connectors: it stands in one of
// their sections, and doesn't speak of hosts alone.
func (c Clause) Connectors() bool {
	letter, _, _ := strings.Cut(c.ID, "-")
	return slices.Contains(connectorAreas, letter) && !strings.HasPrefix(c.Text, "A host MUST")
}

var (
	clauseLine = regexp.MustCompile(`(?m)^- \*\*([A-Z]+)-(\d+)\*\* (.+)$`)
	mustWord   = regexp.MustCompile(`\bMUST\b`)
)

// Clauses reads the contract.
func Clauses() []Clause {
	var out []Clause
	for _, m := range clauseLine.FindAllStringSubmatch(integration.Contract(), -1) {
		out = append(out, Clause{ID: m[1] + "-" + m[2], Text: m[3], Must: mustWord.MatchString(m[3])})
	}
	return out
}

// ClauseText is the text of a clause, empty if there is none.
func ClauseText(id string) string {
	for _, c := range Clauses() {
		if c.ID == id {
			return c.Text
		}
	}
	return ""
}

// connectorAreas are the letters of the sections that bind connectors. Other
// sections bind hosts, or other kinds of plugins.
var connectorAreas = []string{"P", "V", "S", "Z", "O", "A", "C", "I", "T", "N", "R", "D", "X"}

// unobservable are MUST clauses of those sections that nobody outside can see
// broken, with the reason.
var unobservable = map[string]string{
	"P-6": "It speaks of what hosts may rely on. The suite throws that output away, and all its other checks do without it.",
	"V-3": "It speaks of receivers of these enums. Connectors receive none: no request holds one.",
}

// Observable lists the MUST clauses that a check must hold connectors to.
func Observable() []string {
	var out []string
	for _, c := range Clauses() {
		if _, hidden := unobservable[c.ID]; c.Must && c.Connectors() && !hidden {
			out = append(out, c.ID)
		}
	}
	return out
}

// Cover counts the observable clauses whose checks came to a verdict.
func Cover(results []check.Result) report.Coverage {
	state := map[string]bool{}
	for _, r := range results {
		if r.Level != check.Must {
			continue
		}
		judged := r.Verdict == check.Pass || r.Verdict == check.Fail || r.Verdict == check.NotApplicable
		for _, clause := range r.Clauses {
			before, seen := state[clause]
			state[clause] = judged && (before || !seen)
		}
	}
	var c report.Coverage
	for _, id := range Observable() {
		c.Observable++
		if state[id] {
			c.Covered++
		} else {
			c.Missing = append(c.Missing, id)
		}
	}
	return c
}

var heading = regexp.MustCompile(`(?m)^## ([A-Z]+) (.+)$`)

// sectionTitle is the heading of a section of the contract.
func sectionTitle(letter string) string {
	for _, m := range heading.FindAllStringSubmatch(integration.Contract(), -1) {
		if m[1] == letter {
			return m[2]
		}
	}
	return ""
}
