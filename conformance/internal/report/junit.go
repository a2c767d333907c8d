package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/boxconnection/connector/conformance/internal/check"
)

type (
	suites struct {
		XMLName  xml.Name `xml:"testsuites"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Errors   int      `xml:"errors,attr"`
		Skipped  int      `xml:"skipped,attr"`
		Time     string   `xml:"time,attr"`
		Suites   []suite  `xml:"testsuite"`
	}
	suite struct {
		Name       string     `xml:"name,attr"`
		Tests      int        `xml:"tests,attr"`
		Failures   int        `xml:"failures,attr"`
		Errors     int        `xml:"errors,attr"`
		Skipped    int        `xml:"skipped,attr"`
		Time       string     `xml:"time,attr"`
		Properties []property `xml:"properties>property,omitempty"`
		Cases      []testcase `xml:"testcase"`
	}
	property struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	testcase struct {
		Name    string  `xml:"name,attr"`
		Class   string  `xml:"classname,attr"`
		Time    string  `xml:"time,attr"`
		Failure *detail `xml:"failure"`
		Error   *detail `xml:"error"`
		Skipped *detail `xml:"skipped"`
		Out     string  `xml:"system-out,omitempty"`
	}
	detail struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes the report in the form that CI systems read. A MUST that isn't
// green is a failure, or an error where the check didn't come to a verdict:
// only what isn't applicable counts as skipped.
func (r *Report) JUnit(w io.Writer) error {
	all := suites{Name: "connector-conformance", Time: seconds(r.Duration.Seconds())}
	byArea := map[string]int{}
	for i := range r.Results {
		res := &r.Results[i]
		at, ok := byArea[res.Area]
		if !ok {
			at = len(all.Suites)
			byArea[res.Area] = at
			all.Suites = append(all.Suites, suite{Name: res.Area, Properties: []property{
				{"sha256", r.Subject.SHA256}, {"outcome", string(r.Outcome)},
			}})
		}
		s := &all.Suites[at]
		c := testcase{Name: res.ID, Class: "conformance." + res.Area, Time: seconds(res.Duration.Seconds()), Out: clean(res.Repeat)}
		d := &detail{Type: string(res.Verdict), Message: clean(first(res)), Text: clean(strings.Join(res.Messages, "\n"))}
		switch {
		case res.Verdict == check.Fail:
			c.Failure = d
			s.Failures++
		case res.Verdict == check.NotApplicable:
			c.Skipped = d
			s.Skipped++
		case res.Verdict == check.Error || res.Verdict == check.Timeout || (res.Verdict == check.NotRun && res.Level == check.Must):
			c.Error = d
			s.Errors++
		case res.Verdict == check.NotRun:
			c.Skipped = d
			s.Skipped++
		}
		s.Tests++
		s.Cases = append(s.Cases, c)
	}
	for _, stale := range r.Stale {
		all.Suites = append(all.Suites, suite{Name: "known-failures", Tests: 1, Failures: 1, Cases: []testcase{
			{Name: "stale", Class: "conformance.known-failures", Time: "0", Failure: &detail{Type: "stale", Message: clean(stale)}},
		}})
	}
	for i := range all.Suites {
		s := &all.Suites[i]
		total := 0.0
		for _, c := range s.Cases {
			var t float64
			_, _ = fmt.Sscan(c.Time, &t)
			total += t
		}
		s.Time = seconds(total)
		all.Tests, all.Failures = all.Tests+s.Tests, all.Failures+s.Failures
		all.Errors, all.Skipped = all.Errors+s.Errors, all.Skipped+s.Skipped
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func first(r *check.Result) string {
	if len(r.Messages) == 0 {
		return r.Title
	}
	return r.Messages[0]
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }

// clean removes what XML can't hold.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0xFFFE || r == 0xFFFF {
			return '\uFFFD'
		}
		return r
	}, text)
}
