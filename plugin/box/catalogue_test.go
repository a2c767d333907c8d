package box_test

import (
	"strings"
	"testing"

	"github.com/boxconnection/connector/plugin/box"
	"github.com/boxconnection/connector/proto/connector"
)

// Errors that the emulator's catalogue doesn't have: words of the standard,
// other statuses, and what nobody has seen yet.
func TestOtherTokenErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status      int
		body        string
		code        connector.Code
		disposition connector.Disposition
		pointer     string
	}{
		"client with 401":      {401, `{"error":"invalid_client"}`, connector.ClientRejected, connector.FixSettings, "/client_secret"},
		"grant with 401":       {401, `{"error":"invalid_grant"}`, connector.GrantInvalid, connector.SignInAgain, ""},
		"grant with 200":       {200, `{"error":"invalid_grant"}`, connector.GrantInvalid, connector.SignInAgain, ""},
		"scope":                {400, `{"error":"invalid_scope"}`, connector.ScopeMissing, connector.FixSettings, "/scopes"},
		"kind of grant":        {400, `{"error":"unsupported_grant_type"}`, connector.ServiceRefused, connector.FixSettings, "/token_url"},
		"app, otherwise named": {400, `{"error":"invalid_request","error_description":"The grant type is unauthorized for this client_id"}`, connector.ClientUnauthorized, connector.FixSettings, "/client_id"},
		"redirect URI":         {400, `{"error":"redirect_uri_mismatch"}`, connector.RedirectURIRejected, connector.FixSettings, "/callback_url"},
		"e-mail":               {403, `{"error":"user_email_confirmation_required"}`, connector.AccountActionRequired, connector.AskAdministrator, ""},
		"account":              {400, `{"error":"unauthorized"}`, connector.AccountInactive, connector.AskAdministrator, ""},
		"busy with 400":        {400, `{"error":"temporarily_unavailable"}`, connector.ServiceUnavailable, connector.Retry, ""},
		"fault":                {400, `{"error":"server_error"}`, connector.ServiceUnavailable, connector.Retry, ""},
		"fault with a grant":   {500, `{"error":"invalid_grant"}`, connector.ServiceUnavailable, connector.Retry, ""},
		"no error":             {400, `{}`, connector.ServiceRefused, "", ""},
		"an object":            {400, `{"error":{"code":"invalid_grant"}}`, connector.ServiceRefused, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, saysJSON(c.status, c.body))
			_, err := box.New(at(noon)).Open(t.Context(), renewRequest(s.URL))
			wantDiagnostic(t, err, c.code, c.disposition)
			if d := diagnosticOf(t, err); d.Pointer != c.pointer {
				t.Errorf("it points at %q, want %q", d.Pointer, c.pointer)
			}
			s.only(t)
		})
	}
}

// An error that isn't known shows its name if that is one, and ends nothing.
func TestUnknownTokenErrors(t *testing.T) {
	t.Parallel()
	for name, shown := range map[string]bool{
		"brand_new_error":       true,
		strings.Repeat("x", 64): true,
		strings.Repeat("x", 65): false,
		"Brand New":             false,
		"<b>x</b>":              false,
		`x\u001b[31m`:           false,
		"AT1-or-so":             false,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, saysJSON(400, `{"error":"`+name+`","error_description":"text of the service"}`))
			_, err := box.New(at(noon)).Open(t.Context(), renewRequest(s.URL))
			wantDiagnostic(t, err, connector.ServiceRefused, "")
			d := diagnosticOf(t, err)
			if strings.Contains(d.Detail, "error "+name) != shown || strings.Contains(d.Error(), "text of the service") {
				t.Errorf("shown: %s", d)
			}
		})
	}
}

// Each known failure tells a person what to do at Box, and what the service
// calls the request.
func TestTextsForPeople(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"error":"invalid_client"}`:                                                "developer console",
		`{"error":"unauthorized_client"}`:                                           "User Authentication (OAuth 2.0)",
		`{"error":"service_blocked"}`:                                               "admin console",
		`{"error":"password_reset_required"}`:                                       "new password",
		`{"error":"redirect_uri_mismatch"}`:                                         "character for character",
		`{"error":"invalid_grant","error_description":"Refresh token has expired"}`: "Generate",
	} {
		s := newService(t, saysJSON(400, body, "box-request-id", "0g81ogj572gd15m289a3m0ovs66"))
		_, err := box.New(at(noon)).Open(t.Context(), renewRequest(s.URL))
		d := diagnosticOf(t, err)
		if !strings.Contains(d.Suggestion, want) {
			t.Errorf("%s: the suggestion doesn't mention %q: %s", body, want, d.Suggestion)
		}
		if !strings.Contains(d.Detail, "0g81ogj572gd15m289a3m0ovs66") {
			t.Errorf("%s: Box's request ID is lost: %s", body, d.Detail)
		}
	}
}
