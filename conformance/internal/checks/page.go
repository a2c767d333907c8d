package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/boxconnection/connector/conformance/internal/check"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// Page is the catalogue for people, in Markdown.
func Page() string {
	var b strings.Builder
	b.WriteString(`# Checks

Made by ` + "`make catalogue`" + ` from the suite itself. The ids are frozen. *Clauses* are those of
[CONTRACT.md](../proto/integration/CONTRACT.md). A check whose capability isn't declared isn't applicable.

| check | level | clauses | capability | what is demanded |
|---|---|---|---|---|
`)
	for _, c := range All() {
		capability := ""
		if c.Capability != 0 {
			capability = strings.TrimPrefix(connectorv1.Capability_name[int32(c.Capability)], "CAPABILITY_")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", c.ID, c.Level, strings.Join(c.Clauses, ", "), capability, strings.ReplaceAll(c.Title, "|", `\|`))
	}
	b.WriteString("\n## Clauses without a check\n\nMUST clauses for connectors that nobody outside can see broken:\n\n")
	for _, c := range Clauses() {
		if reason, hidden := unobservable[c.ID]; hidden {
			fmt.Fprintf(&b, "- **%s** %s\n", c.ID, reason)
		}
	}
	b.WriteString("\nMUST clauses that bind others than connectors:\n\n")
	for _, s := range others() {
		fmt.Fprintf(&b, "- **%s** %s: %s\n", s.letter, s.title, strings.Join(s.clauses, ", "))
	}
	b.WriteString("\nClauses without a MUST that no check looks at:\n\n")
	seen := map[string]bool{}
	for _, c := range All() {
		for _, id := range c.Clauses {
			seen[id] = true
		}
	}
	for _, c := range Clauses() {
		if !c.Must && !seen[c.ID] && c.Connectors() {
			fmt.Fprintf(&b, "- **%s** %s\n", c.ID, c.Text)
		}
	}
	return b.String()
}

// section is a part of the contract that binds others.
type section struct {
	letter, title string
	clauses       []string
}

func others() []section {
	var out []section
	for _, c := range Clauses() {
		letter, _, _ := strings.Cut(c.ID, "-")
		if !c.Must || c.Connectors() {
			continue
		}
		if len(out) == 0 || out[len(out)-1].letter != letter {
			out = append(out, section{letter: letter, title: sectionTitle(letter)})
		}
		last := &out[len(out)-1]
		last.clauses = append(last.clauses, c.ID)
	}
	return out
}

// Uncovered lists the observable MUST clauses that no check of level MUST
// holds connectors to.
func Uncovered(all []*check.Check) []string {
	var out []string
	for _, id := range Observable() {
		if !slices.ContainsFunc(all, func(c *check.Check) bool { return c.Level == check.Must && slices.Contains(c.Clauses, id) }) {
			out = append(out, id)
		}
	}
	return out
}
