package boxsim

import (
	"bytes"
	"html/template"
	"net/http"
)

// pageData fills the pages that a person sees. html/template escapes it.
type pageData struct {
	Title   string
	Ticket  string
	Login   string
	Users   []User
	Scopes  []string
	Code    string
	Text    string
	Details [][2]string
}

const pageHead = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Title}}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem}
button{font:inherit;padding:.4rem 1.4rem}form{display:inline-block;margin-right:1rem}
.note{color:#555;border-top:1px solid #ccc;margin-top:2rem;padding-top:.5rem}</style></head><body>
`

const pageFoot = `<p class="note">This is an emulator of Box. No account of Box is involved.</p></body></html>
`

var consentPage = template.Must(template.New("consent").Parse(pageHead + `<h1>Grant access to Box</h1>
<p>An application asks for access to your files: {{range .Scopes}}<code>{{.}}</code> {{end}}</p>
<form method="post" action="/api/oauth2/authorize" id="allow">
<p><label>Sign in as <select name="login">{{range .Users}}
<option value="{{.Login}}"{{if eq .Login $.Login}} selected{{end}}>{{.Name}} ({{.Login}}){{end}}
</select></label></p>
<input type="hidden" name="ticket" value="{{.Ticket}}">
<input type="hidden" name="decision" value="allow">
<button>Grant access to Box</button></form>
<form method="post" action="/api/oauth2/authorize" id="deny">
<input type="hidden" name="ticket" value="{{.Ticket}}">
<input type="hidden" name="decision" value="deny">
<button>Deny access to Box</button></form>
` + pageFoot))

var errorPage = template.Must(template.New("error").Parse(pageHead + `<h1>Error: <span id="error">{{.Code}}</span></h1>
<p>{{.Text}}</p>
{{if .Details}}<details><summary>Show Error Details</summary><dl>{{range .Details}}
<dt>{{index . 0}}</dt><dd><code>{{index . 1}}</code></dd>{{end}}</dl></details>
{{end}}` + pageFoot))

func page(status int, t *template.Template, data pageData) answer {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return answer{status: http.StatusInternalServerError, contentType: "text/plain", body: []byte("the emulator failed to write its page\n")}
	}
	return answer{status: status, contentType: typeHTML, body: b.Bytes(), header: map[string]string{
		"cache-control":           "no-store",
		"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
		"x-frame-options":         "DENY",
		"referrer-policy":         "same-origin",
	}}
}

// pageError is an error that the person sees, and that isn't sent to the
// client's redirect URI. Box's status for these pages isn't known.
func pageError(status int, code, text string, details ...[2]string) answer {
	return page(status, errorPage, pageData{Title: "Error: " + code, Code: code, Text: text, Details: details})
}
