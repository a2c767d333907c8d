package hostsuite

import (
	"strings"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/checks"
	"github.com/boxconnection/connector/conformance/internal/report"
)

// unobservable are clauses for hosts that these actions don't show, with the
// reason.
var unobservable = map[string]string{
	"H-17": "What is final for one credential shows only when settings change, which is no action of the template.",
	"H-22": "The host's own calls of a service aren't an action of the template: access is handed out, not used.",
	"H-23": "As H-22.",
	"H-24": "As H-22.",
}

// Observable lists the MUST clauses that a check must hold hosts to.
func Observable() (out []string) {
	for _, c := range checks.Clauses() {
		if _, hidden := unobservable[c.ID]; c.Must && strings.HasPrefix(c.ID, "H-") && !hidden {
			out = append(out, c.ID)
		}
	}
	return out
}

// Cover counts the clauses whose checks came to a verdict.
func Cover(results []check.Result) report.Coverage {
	var c report.Coverage
	for _, id := range Observable() {
		c.Observable++
		seen, judged := false, true
		for i := range results {
			r := &results[i]
			if r.Level == check.Must && len(r.Clauses) > 0 && r.Clauses[0] == id {
				seen = true
				judged = judged && (r.Verdict == check.Pass || r.Verdict == check.Fail)
			}
		}
		if seen && judged {
			c.Covered++
		} else {
			c.Missing = append(c.Missing, id)
		}
	}
	return c
}
