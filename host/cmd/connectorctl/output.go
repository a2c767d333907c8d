package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

// print writes a result: as one JSON line with --json, else as text.
func (a *app) print(v any, text func(w io.Writer)) error {
	if !a.json {
		text(a.stdout)
		return nil
	}
	return a.printJSON(a.stdout, v)
}

func (a *app) printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// note tells the person something beside the result.
func (a *app) note(format string, args ...any) { say(a.stderr, format, args...) }

// say writes a line. A terminal that went away misses it, nothing else.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }

// showError tells what went wrong on stderr.
func (a *app) showError(err error) {
	var invalid *host.InvalidSettings
	if errors.As(err, &invalid) {
		a.showProblems(invalid.Problems)
		return
	}
	var input *host.InvalidInput
	if errors.As(err, &input) {
		a.showProblems(input.Problems)
		return
	}
	var d *connector.Diagnostic
	if !errors.As(err, &d) {
		d = connector.Errorf(connector.UsageWrong, connector.OriginHost, "%s", err).Suggest("See --help.")
	}
	a.showProblems(connector.Diagnostics{d})
}

func (a *app) showProblems(problems connector.Diagnostics) {
	for _, d := range problems {
		if a.json {
			_ = a.printJSON(a.stderr, map[string]any{"error": d}) // nowhere left to tell
			continue
		}
		showDiagnostic(a.stderr, "", d)
		a.tellSignIn(a.stderr, "  ", d)
	}
}

// tellSignIn names the command that helps where signing in again does.
func (a *app) tellSignIn(w io.Writer, indent string, d *connector.Diagnostic) {
	if a.connection != "" && d.Disposition == connector.SignInAgain {
		say(w, "%sSign in with: %s", indent, a.signInCommandLine(a.connection))
	}
}

// signInCommandLine is what to type to sign a connection in.
func (a *app) signInCommandLine(name string) string {
	words := []string{"connectorctl"}
	for _, flag := range []struct{ name, value, normal string }{
		{"--home", a.home, ""}, {"--account", a.owner, defaultOwner}, {"--environment", a.environment, host.DefaultEnvironment}, {"--site", a.site, ""},
	} {
		if flag.value != flag.normal {
			words = append(words, flag.name, shellWord(flag.value))
		}
	}
	return strings.Join(append(words, "connection", "sign-in", shellWord(name)), " ")
}

// plainWord is what a shell takes as it stands.
var plainWord = regexp.MustCompile(`^[\pL\pN@%+=:,./_][\pL\pN@%+=:,./_-]*$`)

// shellWord quotes a word for a POSIX shell where it must be.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(clean(s), "'", `'\''`) + "'"
}

// jsonText is a value as JSON for people, with no more escapes than JSON
// needs.
func jsonText(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return "?"
	}
	return clean(strings.TrimSuffix(b.String(), "\n"))
}

// showDiagnostic writes a diagnostic in a few lines, each behind indent.
func showDiagnostic(w io.Writer, indent string, d *connector.Diagnostic) {
	place := ""
	if d.Pointer != "" {
		place = " at " + d.Pointer
	}
	say(w, "%s%s: %s%s: %s", indent, d.Severity, d.Code, place, clean(d.Summary))
	if d.Detail != "" {
		say(w, "%s  %s", indent, clean(d.Detail))
	}
	if d.RetryAfter > 0 {
		say(w, "%s  Wait at least %s.", indent, d.RetryAfter.Round(time.Second))
	}
	if d.Suggestion != "" {
		say(w, "%s  %s", indent, clean(d.Suggestion))
	}
}

// clean keeps what a plugin says from moving the cursor.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return ' '
		}
		return r
	}, s)
}

// when writes a time for people, or a dash.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return clean(s)
}
