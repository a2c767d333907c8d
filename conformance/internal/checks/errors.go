package checks

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/grpc/codes"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/proto/handshake"
	"github.com/boxconnection/connector/proto/integration"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// told is a diagnostic, and where it came from.
type told struct {
	where      string
	diagnostic *connectorv1.Diagnostic
}

// errorChecks judge how failures are told.
func errorChecks() []*check.Check {
	const need = check.Description | check.Settings | check.Peer
	must := func(id, clause, title string, run func(*check.T)) *check.Check {
		return &check.Check{ID: "errors." + id, Level: check.Must, Clauses: []string{clause}, Needs: need, Title: title, Run: run}
	}
	failure := func(id, clause, title string, judge func(t *check.T, call string, f *check.Failure)) *check.Check {
		return must(id, clause, title, func(t *check.T) {
			for _, x := range toured(t).calls {
				if f := check.Failed(x.Err); f != nil {
					judge(t, callName(x), f)
				}
			}
		})
	}
	diagnostic := func(id, clause, title string, judge func(t *check.T, d told)) *check.Check {
		return must(id, clause, title, func(t *check.T) {
			for _, d := range diagnostics(toured(t)) {
				judge(t, d)
			}
		})
	}
	return []*check.Check{
		failure("one-diagnostic", "D-1", "A failed call carries exactly one Diagnostic.", func(t *check.T, call string, f *check.Failure) {
			if n := len(f.Diagnostics); n != 1 {
				t.Errorf("%s: %s with %d diagnostics", call, f.GRPC, n)
			}
		}),
		failure("severity", "D-2", "The severity of a failed call's diagnostic is SEVERITY_ERROR.", func(t *check.T, call string, f *check.Failure) {
			for _, d := range f.Diagnostics {
				if d.GetSeverity() != connectorv1.Severity_SEVERITY_ERROR {
					t.Errorf("%s: %s has %s", call, d.GetCode(), d.GetSeverity())
				}
			}
		}),
		failure("codes", "D-3", "The code is one of the enum, and the status's code the one that goes with it.", func(t *check.T, call string, f *check.Failure) {
			if len(f.Diagnostics) == 0 {
				return
			}
			c := f.Diagnostic().GetCode()
			if want, known := statusCodes()[c]; !known {
				t.Errorf("%s: the code %d isn't a connector's", call, c)
			} else if want != f.GRPC {
				t.Errorf("%s: %s comes with %s, not with %s", call, c, f.GRPC, want)
			}
		}),
		diagnostic("lines", "D-4", "Texts are single lines without control characters, and the summary isn't empty.", func(t *check.T, d told) {
			if d.diagnostic.GetSummary() == "" {
				t.Errorf("%s: %s has no summary", d.where, d.diagnostic.GetCode())
			}
			for _, text := range texts(d.diagnostic) {
				if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
					t.Errorf("%s: a text of %s holds control characters", d.where, d.diagnostic.GetCode())
				}
			}
		}),
		must("secrets", "D-5", "No text of a status or diagnostic holds a secret.", func(t *check.T) {
			g := toured(t)
			for _, x := range g.calls {
				if f := check.Failed(x.Err); f != nil && check.FindSecret([]byte(f.Message), g.secrets) != "" {
					t.Errorf("%s: the status holds one", callName(x))
				}
			}
			for _, d := range diagnostics(g) {
				for _, text := range texts(d.diagnostic) {
					if form := check.FindSecret([]byte(text), g.secrets); form != "" {
						t.Errorf("%s: a text of %s holds one, %s", d.where, d.diagnostic.GetCode(), form)
					}
				}
			}
		}),
		must("libraries", "D-5", "No text of a status or diagnostic holds a stack trace or an error text of a library.", func(t *check.T) {
			g := toured(t)
			for _, x := range g.calls {
				if f := check.Failed(x.Err); f != nil && len(f.Diagnostics) > 0 {
					if m := library.FindString(f.Message); m != "" {
						t.Errorf("%s: the status says %q", callName(x), m)
					}
				}
			}
			for _, d := range diagnostics(g) {
				for _, text := range texts(d.diagnostic) {
					if m := library.FindString(text); m != "" {
						t.Errorf("%s: a text of %s says %q", d.where, d.diagnostic.GetCode(), m)
					}
				}
			}
		}),
		failure("size", "D-6", "A status has at most 4 KiB, whatever the service says.", func(t *check.T, call string, f *check.Failure) {
			if f.Size > handshake.MaxStatusBytes {
				t.Errorf("%s: the status of %s has %d bytes", call, f.Diagnostic().GetCode(), f.Size)
			}
		}),
		failure("wait", "D-7", "A wait is told in retry_after and in RetryInfo alike.", func(t *check.T, call string, f *check.Failure) {
			if len(f.Diagnostics) == 0 {
				return
			}
			if own, info := f.Diagnostic().GetRetryAfter(), f.Retry; own.AsDuration() != info.AsDuration() {
				t.Errorf("%s: %s has retry_after %v and RetryInfo %v", call, f.Diagnostic().GetCode(), own.AsDuration(), info.AsDuration())
			}
		}),
		diagnostic("origin", "D-8", "The origin is set.", func(t *check.T, d told) {
			if o := d.diagnostic.GetOrigin(); o < connectorv1.Origin_ORIGIN_SETTINGS || o > connectorv1.Origin_ORIGIN_HOST {
				t.Errorf("%s: %s has %s", d.where, d.diagnostic.GetCode(), o)
			}
		}),
		diagnostic("pointer", "D-9", "The pointer is empty, or a JSON pointer.", func(t *check.T, d told) {
			if p := d.diagnostic.GetPointer(); p != "" && !pointer.MatchString(p) {
				t.Errorf("%s: %s points to %q", d.where, d.diagnostic.GetCode(), short(p))
			}
		}),
	}
}

var (
	// pointer is a JSON pointer (RFC 6901).
	pointer = regexp.MustCompile(`^(/([^~/]|~[01])*)+$`)
	// library are words of runtimes and libraries that people can do nothing
	// with.
	library = regexp.MustCompile(`goroutine \d+|panic:|runtime error|rpc error:|dial tcp|net/http|x509: |tls: |read tcp|write tcp|context deadline exceeded|` +
		`unexpected EOF|invalid character '|json: cannot|Traceback|at Object\.|at async |node:internal|ECONNRE|ENOTFOUND|SyntaxError|TypeError|Exception in|java\.\w+\.|\.go:\d+|\.js:\d+|\.py", line`)
)

func callName(x check.Exchange) string {
	return x.Method[strings.LastIndexByte(x.Method, '/')+1:]
}

func texts(d *connectorv1.Diagnostic) []string {
	return []string{d.GetSummary(), d.GetDetail(), d.GetSuggestion()}
}

// diagnostics lists all that were told, in failures and in answers.
func diagnostics(g *tour) []told {
	var out []told
	for _, x := range g.calls {
		if f := check.Failed(x.Err); f != nil {
			for _, d := range f.Diagnostics {
				out = append(out, told{callName(x), d})
			}
		}
		for _, a := range x.Answers {
			switch a := a.(type) {
			case *connectorv1.ValidateSettingsResponse:
				for _, d := range a.GetDiagnostics() {
					out = append(out, told{callName(x), d})
				}
			case *connectorv1.CompleteAuthorizationResponse:
				for _, d := range a.GetWarnings() {
					out = append(out, told{callName(x), d})
				}
			case *connectorv1.TestConnectionResponse:
				if d := a.GetCheck().GetDiagnostic(); d != nil {
					out = append(out, told{callName(x) + " " + short(a.GetCheck().GetId()), d})
				}
			}
		}
	}
	return out
}

var (
	codeTable = regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| ((?:`[A-Z_]+`(?:, )?)+) \\|$")
	codeName  = regexp.MustCompile("`([A-Z_]+)`")
)

// statusCodes are the gRPC codes that go with the codes, as the contract's
// table has them.
func statusCodes() map[connectorv1.Code]codes.Code {
	out := map[connectorv1.Code]codes.Code{}
	_, table, _ := strings.Cut(integration.Contract(), "### gRPC codes")
	table, _, _ = strings.Cut(table, "\n#")
	for _, row := range codeTable.FindAllStringSubmatch(table, -1) {
		var grpc codes.Code
		if grpc.UnmarshalJSON([]byte(`"`+row[1]+`"`)) != nil {
			continue
		}
		for _, name := range codeName.FindAllStringSubmatch(row[2], -1) {
			out[connectorv1.Code(connectorv1.Code_value["CODE_"+name[1]])] = grpc
		}
	}
	return out
}

// outputChecks judge what a process lets out beside its answers.
func outputChecks() []*check.Check {
	const need = check.Description | check.Settings | check.Peer
	return []*check.Check{
		{
			ID: "secrets.output", Level: check.Must, Clauses: []string{"X-1"}, Needs: need,
			Title: "Nothing secret is printed, in any form.",
			Run: func(t *check.T) {
				output, g := printed(t)
				if form := check.FindSecret([]byte(output), g.secrets); form != "" {
					t.Errorf("an output holds a secret, %s", form)
				}
			},
		},
		{
			ID: "secrets.processes", Level: check.Must, Clauses: []string{"X-1"}, Needs: need | check.Process,
			Title: "Nothing secret is passed to another process in arguments or environment.",
			Run: func(t *check.T) {
				g := toured(t)
				for _, c := range g.children {
					if check.FindSecret(slices.Concat(c.arguments, c.environment), g.secrets) != "" {
						t.Errorf("the process %q was given one", short(c.name))
					}
				}
			},
		},
		{
			ID: "process.children", Level: check.Must, Clauses: []string{"P-17"}, Needs: need | check.Process,
			Title: "Processes that it starts get neither the cookie nor the death pipe.",
			Run: func(t *check.T) {
				for _, c := range toured(t).children {
					if strings.Contains(string(c.environment), handshake.CookieKey+"=") {
						t.Errorf("the process %q has the cookie", short(c.name))
					}
					if c.pipe {
						t.Errorf("the process %q holds the death pipe", short(c.name))
					}
				}
			},
		},
		{
			ID: "log.form", Level: check.Should, Clauses: []string{"P-25"}, Needs: need,
			Title: "Log lines are JSON objects with @level, @message and @timestamp.",
			Run: func(t *check.T) {
				output, _ := printed(t)
				for line := range strings.Lines(output) {
					var entry map[string]any
					if json.Unmarshal([]byte(line), &entry) != nil || entry["@message"] == nil || entry["@level"] == nil || entry["@timestamp"] == nil {
						t.Errorf("a line isn't: %q", short(line))
					}
				}
			},
		},
		{
			ID: "log.strings", Level: check.Must, Clauses: []string{"P-26"}, Needs: need,
			Title: "In log lines in JSON, @level, @message and @timestamp are strings.",
			Run: func(t *check.T) {
				output, _ := printed(t)
				for line := range strings.Lines(output) {
					var entry map[string]any
					if json.Unmarshal([]byte(line), &entry) != nil {
						continue
					}
					for _, name := range []string{"@level", "@message", "@timestamp"} {
						if value, given := entry[name]; given {
							if _, text := value.(string); !text {
								t.Errorf("%s isn't a string in %q", name, short(line))
							}
						}
					}
				}
			},
		},
	}
}
