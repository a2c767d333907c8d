package web

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/boxconnection/connector/proto/connector"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assets embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"when": when, "words": words, "account": accountName,
}).ParseFS(templateFiles, "templates/*.html"))

// page is what every page has.
type page struct {
	Title  string
	Root   string // the address of the list
	Style  string
	Script string // its address
	Audit  bool
	// Problem is what went wrong, if anything did.
	Problem *connector.Diagnostic
	Body    any
}

func (p *handler) page(title string, body any) page {
	return page{
		Title: title, Root: p.path(), Style: p.path("assets", "page.css"), Script: p.path("assets", "page.js"),
		Audit: p.opts.Audit != nil, Body: body,
	}
}

// show writes a page.
func (p *handler) show(w http.ResponseWriter, status int, name string, content page) error {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, content); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a reader that went away can't be told
	return nil
}

// fail tells an error: as a page, or as JSON to a script.
func (p *handler) fail(w http.ResponseWriter, r *http.Request, status int, d *connector.Diagnostic) {
	if d.Code == connector.Internal {
		p.log.ErrorContext(r.Context(), "a page failed", "path", r.URL.Path, "error", d)
	}
	if wantsJSON(r) {
		answerJSON(w, status, map[string]any{"problems": []*connector.Diagnostic{d}})
		return
	}
	content := p.page("Something went wrong", nil)
	content.Problem = d
	if err := p.show(w, status, "problem.html", content); err != nil {
		http.Error(w, d.Summary, status)
	}
}

func wantsJSON(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "json") }

func answerJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a reader that went away can't be told
}

// How times are written for people.
const (
	minute = "2 Jan 2006, 15:04 UTC"
	day    = "2 Jan 2006"
)

// when is a time for people, with one for machines around it.
func when(t time.Time) template.HTML {
	if t.IsZero() {
		return "never"
	}
	u := t.UTC()
	return template.HTML(`<time datetime="` + u.Format(time.RFC3339) + `">` + u.Format(minute) + `</time>`) //nolint:gosec // digits and names of months
}

// words writes a name of the program's for people.
func words(name any) string { return strings.ReplaceAll(fmt.Sprint(name), "_", " ") }

// assetServer serves the style and the scripts, which may be kept for a while.
func assetServer() http.Handler {
	files := http.FileServerFS(assets)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") { // no listing
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-cache")
		files.ServeHTTP(w, r)
	})
}
