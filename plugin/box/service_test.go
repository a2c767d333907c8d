package box_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/plugin/box"
	"github.com/boxconnection/connector/proto/connector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Values with every character that forms and queries have trouble with.
const (
	clientID     = "client-id"
	clientSecret = "a+b/c%Qd&e=f g"
	hardCode     = "co+de/%2B=&x"
	hardRefresh  = "re+fresh/%25=&y"
	redirectURI  = "http://localhost:8765/callback"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// seen is a request that a service got.
type seen struct {
	method, path, query, body string
	header                    http.Header
}

func (s seen) form(t *testing.T) url.Values {
	t.Helper()
	form, err := url.ParseQuery(s.body)
	if err != nil {
		t.Fatalf("the body isn't a form: %v", err)
	}
	return form
}

// formKey is where a request's context holds its form.
type formKey struct{}

// service is a small service that answers as a test says and keeps what it
// was asked.
type service struct {
	*httptest.Server
	mu       sync.Mutex
	requests []seen
}

func newService(t *testing.T, answer http.HandlerFunc) *service {
	t.Helper()
	return startService(t, answer, (*httptest.Server).Start)
}

func startService(t *testing.T, answer http.HandlerFunc, start func(*httptest.Server)) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("reading a request: %v", err)
		}
		s.mu.Lock()
		s.requests = append(s.requests, seen{r.Method, r.URL.Path, r.URL.RawQuery, string(body), r.Header.Clone()})
		s.mu.Unlock()
		form, _ := url.ParseQuery(string(body)) // no form, no values
		answer(w, r.WithContext(context.WithValue(r.Context(), formKey{}, form)))
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(s.Server)
	t.Cleanup(s.Close)
	return s
}

func (s *service) all() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seen(nil), s.requests...)
}

func (s *service) only(t *testing.T) seen {
	t.Helper()
	all := s.all()
	if len(all) != 1 {
		t.Fatalf("the service got %d requests, want 1: %v", len(all), all)
	}
	return all[0]
}

// says answers every request alike.
func says(status int, contentType, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func saysJSON(status int, body string, header ...string) http.HandlerFunc {
	return says(status, "application/json", body, header...)
}

const goodPair = `{"access_token":"AT2","expires_in":3895,"restricted_to":[],"refresh_token":"RT2","token_type":"bearer"}`

// settingsFor are settings that lead to a base URL.
func settingsFor(base string, change ...string) plugin.Settings {
	values := map[string]string{
		"connection_type": "oauth2",
		"authorize_url":   base + "/api/oauth2/authorize",
		"token_url":       base + "/oauth2/token",
		"revoke_url":      base + "/oauth2/revoke",
		"api_url":         base + "/2.0",
		"upload_url":      base + "/api/2.0",
		"client_id":       clientID,
		"client_secret":   clientSecret,
	}
	for i := 0; i < len(change); i += 2 {
		values[change[i]] = change[i+1]
	}
	maps.DeleteFunc(values, func(_, v string) bool { return v == "" })
	data, err := json.Marshal(values)
	if err != nil {
		panic(err)
	}
	return plugin.Settings(data)
}

// credential makes a credential of format 1 as it is stored.
func credential(access, refresh string, issued, expires, renew time.Time) connector.Credential {
	stamp := func(name string, at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return fmt.Sprintf(`,%q:%q`, name, at.Format(time.RFC3339Nano))
	}
	a, _ := json.Marshal(access)
	r, _ := json.Marshal(refresh)
	return connector.Credential{Format: 1, Data: connector.NewSecret(
		`{"access_token":` + string(a) + `,"refresh_token":` + string(r) + `,"token_type":"Bearer"` +
			stamp("issued_at", issued) + stamp("expires_at", expires) + stamp("renew_at", renew) + `}`)}
}

// spent is a credential whose access ended at noon.
func spent() connector.Credential {
	return credential("AT1", hardRefresh, noon.Add(-time.Hour), noon, noon.Add(-3*time.Minute))
}

func at(now time.Time) box.Option { return box.WithClock(func() time.Time { return now }) }

// renewRequest asks for a renewal at noon.
func renewRequest(base string) plugin.OpenRequest {
	return plugin.OpenRequest{
		Settings: settingsFor(base), Credential: spent(), AllowRenew: true, Deadline: noon.Add(time.Minute), Now: noon,
	}
}

func diagnosticOf(t *testing.T, err error) *connector.Diagnostic {
	t.Helper()
	d, ok := errors.AsType[*connector.Diagnostic](err)
	if !ok {
		t.Fatalf("%v (%T) isn't a diagnostic", err, err)
	}
	return d
}

// wantDiagnostic checks a diagnostic's decisions and that it has its texts.
func wantDiagnostic(t *testing.T, err error, code connector.Code, disposition connector.Disposition) {
	t.Helper()
	d := diagnosticOf(t, err)
	if d.Code != code || d.Disposition != disposition {
		t.Errorf("got %s with disposition %q, want %s with %q (%s)", d.Code, d.Disposition, code, disposition, d)
	}
	if d.Summary == "" || d.Suggestion == "" || d.Origin == "" || d.Severity == "" {
		t.Errorf("the diagnostic is incomplete: %+v", d)
	}
}

// begin begins a sign-in, and callbackFor makes its callback.
func begin(t *testing.T, c *box.Connector, settings plugin.Settings, redirect string) plugin.Begun {
	t.Helper()
	begun, err := c.BeginAuthorization(t.Context(), plugin.BeginRequest{
		Settings: settings, RedirectURI: redirect, State: connector.NewSecret("st=at/e+"), Now: noon,
	})
	if err != nil {
		t.Fatal(err)
	}
	return begun
}

func complete(t *testing.T, c *box.Connector, settings plugin.Settings, begun plugin.Begun, callback string) (plugin.Completed, error) {
	t.Helper()
	return c.CompleteAuthorization(t.Context(), plugin.CompleteRequest{
		Settings: settings, Pending: begun.Pending, CallbackURL: connector.NewSecret(callback), Now: noon.Add(time.Minute),
	})
}

func goodCallback() string {
	return redirectURI + "?" + url.Values{"code": {hardCode}, "state": {"st=at/e+"}, "base_domain": {"app.box.com"}}.Encode()
}

// stored reads a credential back.
func stored(t *testing.T, c *connector.Credential) map[string]any {
	t.Helper()
	if c == nil {
		t.Fatal("there is no credential")
	}
	var fields map[string]any
	if err := json.NewDecoder(strings.NewReader(c.Data.Reveal())).Decode(&fields); err != nil {
		t.Fatal(err)
	}
	return fields
}
