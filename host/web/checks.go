package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

// testWithin bounds a test that somebody watches, a runtime's queue included.
const testWithin = 8 * time.Minute

// checkLine is a check as a page shows it.
type checkLine struct {
	Title      string                `json:"title"`
	Status     connector.CheckStatus `json:"status"`
	StatusText string                `json:"status_text"`
	Message    string                `json:"message,omitempty"`
	Problem    *told                 `json:"problem,omitempty"`
	// Place is how long it took, and where.
	Place string `json:"place,omitempty"`
}

func lineOf(c connector.Check) checkLine {
	l := checkLine{Title: c.Title, Status: c.Status, StatusText: words(c.Status), Message: c.Message}
	if l.Title == "" {
		l.Title = words(c.ID)
	}
	if c.Diagnostic != nil {
		t := tell(c.Diagnostic)
		l.Problem = &t
	}
	if took := c.Duration.Round(time.Millisecond); took > 0 {
		l.Place = took.String()
	}
	if c.Runtime != "" {
		l.Place = strings.TrimSpace(l.Place + " on " + c.Runtime)
	}
	return l
}

// outcome is how a test ended.
type outcome struct {
	Passed bool `json:"passed"`
	// Problem is what ended it early.
	Problem *told  `json:"problem,omitempty"`
	Back    string `json:"-"`
}

// watcher shows a test as it runs.
type watcher interface {
	// begin tells what is kept of a form; nil for a saved connection.
	begin(kept map[string]any) error
	check(c checkLine) error
	end(o outcome) error
}

// runTest runs a test and shows each check as it ends: to a script as lines of
// JSON, else as a page that grows. If the reader goes away, the test ends.
func (v *visit) runTest(c *host.Connection, runtime, back string, kept map[string]any) error {
	ctx, cancel := context.WithTimeout(v.r.Context(), testWithin)
	defer cancel()
	show := v.watcher()
	if show.begin(kept) != nil {
		return nil
	}
	var (
		checks []connector.Check
		end    = outcome{Back: back}
	)
	for check, err := range testOf(ctx, c, runtime) {
		if err != nil {
			t := tell(connector.Diagnose(err, connector.OriginHost))
			end.Problem = &t
			break
		}
		checks = append(checks, check)
		if show.check(lineOf(check)) != nil {
			return nil // nobody is there to be told
		}
	}
	end.Passed = end.Problem == nil && host.Passed(checks)
	_ = show.end(end) // a reader that went away can't be told
	return nil
}

func (v *visit) watcher() watcher {
	v.w.Header().Set("X-Accel-Buffering", "no") // a proxy would show all at the end
	f := flow{v.w, http.NewResponseController(v.w)}
	if wantsJSON(v.r) {
		return jsonWatcher{f}
	}
	return pageWatcher{f, v.page("Test", nil)}
}

// flow is an answer that is sent in pieces.
type flow struct {
	w    http.ResponseWriter
	ctrl *http.ResponseController
}

func (f flow) send(piece []byte) error {
	if _, err := f.w.Write(piece); err != nil {
		return err
	}
	if err := f.ctrl.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

type jsonWatcher struct{ flow }

func (j jsonWatcher) begin(kept map[string]any) error {
	j.w.Header().Set("Content-Type", "application/x-ndjson")
	if kept == nil {
		kept = map[string]any{}
	}
	return j.line(kept)
}

func (j jsonWatcher) check(c checkLine) error { return j.line(map[string]any{"check": c}) }
func (j jsonWatcher) end(o outcome) error     { return j.line(map[string]any{"end": o}) }

func (j jsonWatcher) line(value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return j.send(append(data, '\n'))
}

type pageWatcher struct {
	flow
	page page
}

func (p pageWatcher) begin(map[string]any) error {
	p.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return p.part("test-begin", p.page)
}

func (p pageWatcher) check(c checkLine) error { return p.part("test-check", c) }
func (p pageWatcher) end(o outcome) error     { return p.part("test-end", o) }

func (p pageWatcher) part(name string, data any) error {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		return err
	}
	return p.send(b.Bytes())
}
