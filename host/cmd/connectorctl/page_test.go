package main_test

import (
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// pageSite is a running connectorctl web beside an emulator that asks for consent.
type pageSite struct {
	*world
	process *process
	link    string
	base    string
}

// serve starts connectorctl web with an emulator. The browser's own folder for
// temporary files isn't the world's.
func serve(t *testing.T, args ...string) *pageSite {
	t.Helper()
	w := worldOf(t)
	if _, err := w.boxsim("box", "--auto-consent=false"); err != nil {
		t.Fatal(err)
	}
	s := &pageSite{world: w}
	s.begin(t, args...)
	return s
}

// begin starts connectorctl web.
func (s *pageSite) begin(t *testing.T, args ...string) {
	t.Helper()
	p, err := s.start(command{program: "connectorctl", args: append([]string{"web", "--port", "0", "--verbose"}, args...)})
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.line(`((http://localhost:\d+)/open\?key=\S+)`)
	if err != nil {
		t.Fatal(err)
	}
	s.process, s.link, s.base = p, m[0], m[1]
	t.Cleanup(func() {
		if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if r, err := p.wait(); err != nil || r.code != 0 {
			t.Errorf("the end by a signal: %v, exit code %d\n%s", err, r.code, r)
		}
	})
}

// box fills the form for the emulator.
func (s *pageSite) fillBox(w *window, name string) {
	w.t.Helper()
	w.fill("#field-name", name)
	w.press("#tab-1-button")
	w.press("summary")
	w.fill("#field-authorize_url", s.box.AuthorizeURL)
	w.fill("#field-token_url", s.box.TokenURL)
	w.fill("#field-revoke_url", s.box.RevokeURL)
	w.fill("#field-api_url", s.box.APIURL)
	w.press("#tab-2-button")
	w.fill("#field-client_id", s.box.ClientID)
	w.fill("#field-client_secret", s.box.ClientSecret)
}

// allow presses Generate and allows the access in the new window, which closes.
func (s *pageSite) allow(w *window, button, login string) {
	w.t.Helper()
	consent := w.popup(button)
	consent.do(chromedp.WaitVisible(css("#allow")))
	if login != "" {
		consent.do(chromedp.SetValue(css("select[name=login]"), login))
	}
	consent.press("#allow button")
}

// TestPage drives the page in a browser, as persons do.
func TestPage(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	for name, test := range map[string]func(*testing.T, *window){
		"FromEmptyToTested": fromEmptyToTested, "Denied": denied, "ClosedWindow": closedWindow, "TimedOut": timedOut,
		"WrongSecret": wrongSecret, "WrongRedirectURI": wrongRedirectURI, "FieldError": fieldError,
		"AnotherAccount": anotherAccount, "TwoSignIns": twoSignIns, "SecretEdits": secretEdits, "Canaries": canaries,
	} {
		t.Run(name, func(t *testing.T) { test(t, person(t, browser)) })
	}
}

// fromEmptyToTested is the whole path of a person: from the link that the
// command prints, over an empty form, to a saved connection that is tested, and
// that the command line can use.
func fromEmptyToTested(t *testing.T, w *window) {
	s := serve(t)
	w.open(s.link)
	w.sees("main", "There is no connection yet.")
	w.shot("list-empty")
	w.press("a.first")
	w.sees("h1", "New connection")
	w.shot("form-empty")
	s.fillBox(w, "sales")
	w.sees("#sign-in-status", "No access token yet.")
	if got := w.value("document.querySelector('#field-callback_url').value"); got != s.base+"/account/local/oauth2/callback" {
		t.Errorf("the callback URL is shown as %q", got)
	}
	s.allow(w, "#generate-button", "")
	w.sees("#sign-in-status", "Access token received and generated", "ada@acme.example")
	w.shot("generated")
	w.press("#test-button")
	w.sees("#verdict", "The test passed.")
	w.shot("tested")
	w.press("#save-button")
	w.at("/connections/")
	w.sees("main", "The connection was saved.", "Ready", "ada@acme.example", "passed")
	w.shot("connection")
	w.press("#test-saved button")
	w.sees("#verdict", "The test passed.")
	w.open(s.base + "/")
	w.sees("main", "sales", "Ready")
	w.shot("list")
	w.open(s.base + "/audit")
	w.sees("main", "sign_in.complete", "connection.save")
	w.shot("audit")
	s.must(t, 0, "access", "sales", "--min", "5m")
}

// begun opens the form and fills it.
func begun(t *testing.T, w *window, args ...string) *pageSite {
	t.Helper()
	s := serve(t, args...)
	w.open(s.link)
	w.press("a.first")
	s.fillBox(w, "sales")
	return s
}

func denied(t *testing.T, w *window) {
	begun(t, w)
	consent := w.popup("#generate-button")
	consent.press("#deny button")
	w.sees("#sign-in-status", "Access was denied at the service", "Begin the sign-in again")
	w.shot("denied")
}

// closedWindow: whoever closes the window is told, and can begin again at once.
func closedWindow(t *testing.T, w *window) {
	s := begun(t, w)
	consent := w.popup("#generate-button")
	consent.do(chromedp.WaitVisible(css("#allow")))
	w.sees("#sign-in-status", "Waiting for you to allow the access")
	w.shot("waiting")
	consent.close()
	w.sees("#sign-in-status", "The window was closed before the sign-in ended")
	w.shot("closed")
	s.allow(w, "#generate-button", "")
	w.sees("#sign-in-status", "Access token received and generated")
}

// timedOut: a sign-in that nobody answers says which redirect URI to register.
// The page's clock runs faster than the person's.
func timedOut(t *testing.T, w *window) {
	s := begun(t, w)
	w.value("(window.setTimeout = ((set) => (f, ms) => set(f, ms > 60000 ? 1000 : ms))(window.setTimeout), 0)")
	w.popup("#generate-button")
	w.sees("#sign-in-status", "No answer came in time.", s.base+"/account/local/oauth2/callback", "user sign-in (OAuth 2.0)")
	w.shot("timed-out")
}

func wrongSecret(t *testing.T, w *window) {
	s := begun(t, w)
	w.fill("#field-client_secret", "not the secret")
	s.allow(w, "#generate-button", "")
	w.sees("#sign-in-status", "rejected the client ID or the client secret")
	w.sees("#field-client_secret-problem", "rejected the client ID or the client secret")
	w.shot("wrong-secret")
	w.fill("#field-client_secret", s.box.ClientSecret)
	s.allow(w, "#generate-button", "")
	w.sees("#sign-in-status", "Access token received and generated")
}

// wrongRedirectURI: the service shows its own error and sends nobody back, so
// the page tells what to register while it waits.
func wrongRedirectURI(t *testing.T, w *window) {
	s := begun(t, w, "--account", "elsewhere")
	consent := w.popup("#generate-button")
	consent.sees("body", "redirect_uri_mismatch")
	w.sees("#sign-in-status", s.base+"/account/elsewhere/oauth2/callback", "user sign-in (OAuth 2.0)")
	w.shot("wrong-redirect-uri")
}

// fieldError: what is wrong is told at its field, which gets the focus, though
// its tab wasn't shown.
func fieldError(t *testing.T, w *window) {
	s := begun(t, w)
	w.press("#tab-1-button")
	w.fill("#field-api_url", "not a URL")
	w.press("#tab-2-button")
	w.press("#test-button")
	w.sees("#field-api_url-problem", "URL")
	if got := w.value("document.activeElement.id + ' ' + document.activeElement.getAttribute('aria-invalid')"); got != "field-api_url true" {
		t.Errorf("the focus and its state: %q", got)
	}
	w.sees("#tab-1-button", "1 to correct")
	w.shot("field-error")
	w.fill("#field-api_url", s.box.APIURL)
	w.press("#save-button")
	w.sees("#field-override-problem", "haven't passed a test")
	w.press("#field-override")
	w.fill("#field-name", "a/b")
	w.press("#save-button")
	w.sees("#field-name-problem", "can't be a connection's name")
	w.fill("#field-name", "untested")
	w.press("#save-button")
	w.sees("main", "The connection was saved.", "Not signed in")
}

// saved makes a connection at the command line.
func saved(t *testing.T, w *window) *pageSite {
	t.Helper()
	s := serve(t)
	if err := s.connect("sales"); err != nil {
		t.Fatal(err)
	}
	w.open(s.link)
	w.press(".card a")
	return s
}

// anotherAccount: a sign-in as somebody else changes nothing until the person
// has decided, knowing both.
func anotherAccount(t *testing.T, w *window) {
	s := saved(t, w)
	const other = "ben@acme.example"
	s.allow(w, "#sign-in button", other)
	w.sees("#mismatch", other, "ada@acme.example", "Nothing was changed yet")
	w.shot("another-account")
	w.press("#mismatch button[value=reject]")
	w.do(chromedp.WaitNotVisible(css("#mismatch")))
	w.sees("dl", "ada@acme.example")
	s.allow(w, "#sign-in button", other)
	w.sees("#mismatch", other)
	w.press("#mismatch button[value=confirm]")
	w.sees("dl", other)
	s.must(t, 0, "access", "sales", "--min", "5m")
}

// twoSignIns: two forms in two windows of one browser sign in at the same time,
// each as somebody else, and don't meet.
func twoSignIns(t *testing.T, w *window) {
	s := begun(t, w)
	second := w.another()
	second.open(s.base + "/new")
	s.fillBox(second, "support")
	one, two := w.popup("#generate-button"), second.popup("#generate-button")
	two.do(chromedp.WaitVisible(css("#allow")), chromedp.SetValue(css("select[name=login]"), "ben@acme.example"))
	two.press("#allow button")
	second.sees("#sign-in-status", "ben@acme.example")
	one.press("#allow button")
	w.sees("#sign-in-status", "ada@acme.example")
}

// secretEdits: a stored secret is kept, asked for again when a URL changes, and
// never shown.
func secretEdits(t *testing.T, w *window) {
	s := saved(t, w)
	w.press("main form button.first")
	w.sees("h1", "Edit sales")
	w.press("#tab-2-button")
	w.sees("#field-client_secret-stored", "A value is stored.")
	w.sees("#sign-in-status", "Access token received and generated")
	w.shot("edit")
	w.press("#tab-1-button")
	w.press("summary")
	w.fill("#field-api_url", "https://api.elsewhere.example/2.0")
	w.press("#test-button")
	w.sees("#field-client_secret-problem", "must be given again")
	w.press("#discard-button")
	w.at("/connections/")
	w.press("a.danger")
	w.sees("main", "will be gone for good")
	w.shot("delete")
	w.press("main button.danger")
	w.sees("main", "There is no connection yet.")
	if r := s.must(t, 0, "audit"); !strings.Contains(r.stdout, "connection.delete") {
		t.Errorf("the audit doesn't tell the deletion:\n%s", r)
	}
}
