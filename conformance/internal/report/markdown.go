package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/boxconnection/connector/conformance/internal/check"
)

// Markdown writes the report for people.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	name := r.Subject.ID
	if name == "" {
		name = "A connector"
	}
	fmt.Fprintf(&b, "# %s %s: %s\n\n", cell(name), cell(r.Subject.Version), strings.ReplaceAll(string(r.Outcome), "_", " "))
	if r.Subject.SHA256 != "" {
		fmt.Fprintf(&b, "Binary: `%s`, SHA-256 `%s`\n\n", cell(r.Subject.Path), r.Subject.SHA256)
	}
	if r.Subject.Attached {
		b.WriteString("A running plugin was judged. Transport and process weren't looked at.\n\n")
	}
	fmt.Fprintf(&b, "Begun %s, took %s. Clauses that can be seen from outside: %d, covered: %d (%d %%).\n\n",
		r.Begun.UTC().Format(time.RFC3339), r.Duration.Round(time.Millisecond), r.Coverage.Observable, r.Coverage.Covered, r.Coverage.Percent())
	if len(r.Coverage.Missing) > 0 {
		fmt.Fprintf(&b, "Not covered: %s.\n\n", strings.Join(r.Coverage.Missing, ", "))
	}
	b.WriteString("| verdict | checks |\n|---|---|\n")
	for _, v := range []check.Verdict{check.Pass, check.Fail, check.Warn, check.NotApplicable, check.NotRun, check.Error, check.Timeout} {
		if n := r.Count(v); n > 0 {
			fmt.Fprintf(&b, "| %s | %d |\n", v, n)
		}
	}
	for _, stale := range r.Stale {
		fmt.Fprintf(&b, "\nStale: %s\n", cell(stale))
	}
	b.WriteString("\n| check | level | clauses | verdict | what was found |\n|---|---|---|---|---|\n")
	for i := range r.Results {
		res := &r.Results[i]
		verdict := string(res.Verdict)
		if res.Known {
			verdict += " (known)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", res.ID, res.Level, strings.Join(res.Clauses, ", "), verdict, cell(strings.Join(res.Messages, "; ")))
	}
	repeat := false
	for i := range r.Results {
		res := &r.Results[i]
		if res.Verdict.Green() || res.Repeat == "" {
			continue
		}
		if !repeat {
			b.WriteString("\nTo repeat what isn't green:\n\n")
			repeat = true
		}
		fmt.Fprintf(&b, "    %s\n", res.Repeat)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Percent is the share of the observable clauses that are covered.
func (c Coverage) Percent() int {
	if c.Observable == 0 {
		return 0
	}
	return 100 * c.Covered / c.Observable
}

// cell is a text that can stand in a table.
func cell(text string) string {
	text = strings.Join(strings.Fields(clean(text)), " ")
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "`", "'").Replace(text)
}
