package web_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/boxconnection/connector/host/web"
	"github.com/boxconnection/connector/plugin/box/boxsim"
	"github.com/boxconnection/connector/proto/connector"
)

// TestWithoutScripts goes the whole way with forms and links alone, behind a
// proxy that ends TLS and below a prefix: fill in, generate, test, save, edit,
// delete.
func TestWithoutScripts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := r.visitor("acme")
	has(t, v.get("/"), "There is no connection yet.", prefix+"/new?plugin=box")
	has(t, v.get("/new?plugin=box"), base+"/account/acme/oauth2/callback", `name="value.client_id"`, "No access token yet.")

	form := v.kept(r.form("sales"))
	has(t, v.post("/form/test", form), "passed</span>", "The test didn't pass.", "Stored sign-in")
	done := v.comesBack(form, boxsim.Person{}.Allow)
	has(t, done, "Access token received")
	has(t, v.get("/drafts/"+form.Get("draft")), "Access token received and generated for Ada Admin", "A value is stored.")

	untested := v.post("/form/save", form)
	if untested.status != http.StatusUnprocessableEntity {
		t.Errorf("an untested draft is saved with %d", untested.status)
	}
	has(t, untested, "haven&#39;t passed a test")
	has(t, v.post("/form/test", form), "The test passed.")
	saved := v.post("/form/save", form)
	has(t, saved, "The connection was saved.", "Ready", "ada@acme.example")
	page := strings.TrimPrefix(strings.Split(saved.at, "?")[0], base)

	has(t, v.post(page+"/test", url.Values{}), "The test passed.")
	edit := v.post(page+"/edit", url.Values{})
	has(t, edit, "Edit sales", "Access token received and generated for Ada Admin")
	change := r.form("")
	change.Set("draft", strings.TrimPrefix(edit.at, base+"/drafts/"))
	change.Set("value.api_url", "https://elsewhere.example/2.0")
	change.Del("value.client_secret")
	has(t, v.post("/form/keep", change), "must be given again")
	has(t, v.get("/audit"), "sign_in.complete", "user:acme")
	has(t, v.get(page+"/delete"), "will be gone for good")
	has(t, v.post(page+"/delete", url.Values{}), "There is no connection yet.")
}

// TestSecretsNeverComeBack: what was typed into a wrong form comes back into it,
// except for secrets.
func TestSecretsNeverComeBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	form := r.form("sales")
	form.Set("value.api_url", "not a URL")
	a := r.visitor("acme").post("/form/keep", form)
	if a.status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong form is answered with %d", a.status)
	}
	has(t, a, `value="not a URL"`, `aria-invalid="true"`, `id="field-api_url-problem"`)
	if strings.Contains(a.body, r.box.Info().ClientSecret) {
		t.Error("the secret came back into the form")
	}
}

// TestScriptsAnswers are the answers that a script gets: the draft, and problems
// at their fields.
func TestScriptsAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := r.visitor("acme")
	form := r.form("sales")
	form.Del("value.client_id")
	var refused struct {
		Problems []struct{ Field, Code string }
	}
	decode(t, v.post("/form/keep", form, "Accept: application/json"), http.StatusUnprocessableEntity, &refused)
	if len(refused.Problems) != 1 || refused.Problems[0].Field != "client_id" || refused.Problems[0].Code != string(connector.SettingRequired) {
		t.Errorf("problems: %+v", refused)
	}
	var kept struct {
		Draft, Page string
		Stored      []string
		SignIn      struct {
			URL string `json:"url"`
		} `json:"sign_in"`
	}
	decode(t, v.post("/form/generate", r.form("sales"), "Accept: application/json"), http.StatusOK, &kept)
	if kept.Draft == "" || kept.Page != prefix+"/drafts/"+kept.Draft+"?name=sales" || len(kept.Stored) != 1 || kept.SignIn.URL == "" {
		t.Errorf("kept: %+v", kept)
	}
}

// TestOthersConnections: what belongs to one owner isn't there for another one.
func TestOthersConnections(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	form := r.visitor("acme").kept(r.form("sales"))
	other := r.visitor("globex")
	if a := other.get("/drafts/" + form.Get("draft")); a.status != http.StatusNotFound {
		t.Errorf("another owner gets the draft with %d", a.status)
	}
	if a := other.post("/form/keep", form); a.status != http.StatusNotFound {
		t.Errorf("another owner changes the draft with %d", a.status)
	}
	if a := r.visitor("").get("/"); a.status != http.StatusForbidden {
		t.Errorf("somebody unknown gets %d", a.status)
	}
	form.Set("runtime", "theirs")
	a := r.visitor("acme").post("/form/test", form)
	has(t, a, "The test didn't pass.", "runtimes")
}

// TestOptionsAreChecked: a handler that couldn't work isn't made.
func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	if _, err := web.Handler(nil, web.Options{Base: base}); !errors.Is(err, connector.UsageWrong) {
		t.Errorf("without a host: %v", err)
	}
}

// outside finds addresses of other origins that a page would load.
var outside = regexp.MustCompile(`(?:src|href|action)="(?:https?:)?//|style="|<style|onclick=|<script>`)

// TestPagesLoadNothingFromOutside: no page holds a script or a style of its own,
// or loads one from elsewhere.
func TestPagesLoadNothingFromOutside(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := r.visitor("acme")
	form := v.kept(r.form("sales"))
	for _, path := range []string{"/", "/new", "/drafts/" + form.Get("draft"), "/audit", "/nowhere"} {
		a := v.get(path)
		if found := outside.FindString(a.body); found != "" {
			t.Errorf("%s holds %s", path, found)
		}
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s has %s %q, want %q", path, name, got, want)
			}
		}
		if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s has the policy %q", path, csp)
		}
	}
}

// has wants the texts in an answer.
func has(t *testing.T, a answer, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Fatalf("%q isn't in the answer, %d at %s:\n%s", text, a.status, a.at, a.body)
		}
	}
}

func decode(t *testing.T, a answer, status int, into any) {
	t.Helper()
	if a.status != status {
		t.Fatalf("the status is %d, want %d:\n%s", a.status, status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}
