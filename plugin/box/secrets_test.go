package box_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/plugin/box"
	"github.com/boxconnection/connector/proto/connector"
)

// Canaries that look like what a service may take for an error code or an ID.
const (
	canarySecret  = "canarysecretcanarysecret"
	canaryRefresh = "canaryrefreshcanaryrefresh"
	canaryAccess  = "canaryaccesscanaryaccess"
	canaryCode    = "canarycodecanarycode"
)

// A service that repeats in every place what it was sent gets none of it into
// a text: not by a known or unknown error, a page, a broken body, a request
// ID, or an answer that never ends.
func TestNoSecretInAnyText(t *testing.T) {
	t.Parallel()
	echo := func(status int, contentType, format string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			all, one := canarySecret, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			form := sentForm(r)
			for _, name := range []string{"refresh_token", "code", "subject_token", "token"} {
				one += form.Get(name)
			}
			all += " " + one
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Box-Request-Id", one)
			w.Header().Set("Location", "https://box.example/?"+strings.ReplaceAll(all, " ", "&"))
			w.WriteHeader(status)
			_, _ = io.WriteString(w, strings.ReplaceAll(strings.ReplaceAll(format, "ALL", all), "ONE", one))
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"known error":    echo(400, "application/json", `{"error":"invalid_grant","error_description":"ALL"}`),
		"unknown error":  echo(400, "application/json", `{"error":"ONE","code":"ONE","error_description":"ALL","message":"ALL"}`),
		"secret's name":  echo(400, "application/json", `{"error":"`+canarySecret+`"}`),
		"error with 200": echo(200, "application/json", `{"error":"ALL"}`),
		"page":           echo(400, "text/html", "<html>ALL</html>"),
		"broken":         echo(200, "application/json", `{"access_token":"ALL`),
		"no token":       echo(200, "application/json", `{"x":"ALL"}`),
		"redirect":       echo(302, "text/html", "ALL"),
		"unauthorized":   echo(401, "application/json", `{"type":"error","code":"ALL"}`),
		"unavailable":    echo(503, "text/html", "ALL"),
		"cut off": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			echo(200, "application/json", `{"access_token":"ALL`)(w, r)
			panic(http.ErrAbortHandler)
		},
		"dropped": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, answer)
			c := box.New(at(noon))
			settings := settingsFor(s.URL, "client_secret", canarySecret)
			access := &connector.Access{Token: connector.NewSecret(canaryAccess), Type: "Bearer"}
			held := credential(canaryAccess, canaryRefresh, noon.Add(-time.Hour), noon, noon)
			begun := begin(t, c, settings, redirectURI)
			_, renewal := c.Open(t.Context(), plugin.OpenRequest{
				Settings: settings, Credential: held, AllowRenew: true, Deadline: noon.Add(time.Minute), Now: noon,
			})
			_, exchange := complete(t, c, settings, begun, redirectURI+"?state=s&code="+canaryCode)
			_, narrowing := c.Narrow(t.Context(), plugin.NarrowRequest{Settings: settings, Access: access, Scopes: []string{"a"}})
			_, identity := c.Identify(t.Context(), plugin.IdentifyRequest{Settings: settings, Access: access})
			revoking := c.Revoke(t.Context(), plugin.RevokeRequest{Settings: settings, Credential: held})
			for _, err := range []error{renewal, exchange, narrowing, identity, revoking} {
				if err != nil {
					noCanary(t, diagnosticOf(t, err))
				}
			}
			if renewal == nil || exchange == nil || narrowing == nil || identity == nil {
				t.Error("a call that had to fail didn't")
			}
			for check := range c.Test(t.Context(), plugin.TestRequest{Settings: settings, Access: access}) {
				if check.Diagnostic != nil {
					noCanary(t, check.Diagnostic)
				}
				if strings.Contains(check.Message, "canary") {
					t.Errorf("%s: %s", check.ID, check.Message)
				}
			}
		})
	}
}

// sentForm is the form of a request whose body the service has read.
func sentForm(r *http.Request) url.Values {
	form, _ := r.Context().Value(formKey{}).(url.Values)
	return form
}

// noCanary looks at everything that a diagnostic shows or may be made to show.
func noCanary(t *testing.T, d *connector.Diagnostic) {
	t.Helper()
	shown, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(shown), d.Error()}
	for cause := errors.Unwrap(d); cause != nil; cause = errors.Unwrap(cause) {
		texts = append(texts, cause.Error(), fmt.Sprintf("%+v", cause))
	}
	for _, text := range texts {
		if strings.Contains(text, "canary") {
			t.Errorf("a secret is shown: %s", text)
		}
	}
}

// What a person typed wrong isn't repeated: it may be a secret in the wrong
// field.
func TestValidationRepeatsNoValue(t *testing.T) {
	t.Parallel()
	settings := settingsFor("https://user:canary@box.example", "scopes", "canary\"", "connection_type", "canary")
	found := box.Invalid(settings)
	if len(found) != 7 {
		t.Errorf("%d problems, want 7: %v", len(found), found)
	}
	for _, d := range found {
		wantDiagnostic(t, d, connector.SettingInvalid, connector.FixSettings)
		noCanary(t, d)
	}
}
