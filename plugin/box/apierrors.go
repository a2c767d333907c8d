package box

import (
	"net/http"
	"strings"

	"github.com/boxconnection/connector/proto/connector"
)

// apiRow is how the API refuses, and what that means.
type apiRow struct {
	status int    // 0 for any
	code   string // Box's code, "" for any

	means       connector.Code
	disposition connector.Disposition
	pointer     string
	summary     string
	suggestion  string
}

// apiRefusals is the catalogue of Box's API errors that say something about
// the connection. The first row that fits counts.
var apiRefusals = []apiRow{
	{0, "insufficient_scope", connector.ScopeMissing, connector.AskAdministrator, "",
		"The connection's access lacks a scope that this call needs.",
		"Enable the scope on the app's Configuration page in the Box developer console (Application Scopes), then sign in again: access that exists doesn't gain scopes."},
	{0, "terms_of_service_required", connector.AccountActionRequired, connector.AskAdministrator, "",
		"The account's owner must accept the company's terms of service at Box first.",
		"Let the account's owner sign in at box.com and accept the terms; then the connection goes on by itself."},
	{0, "password_reset_required", connector.AccountActionRequired, connector.AskAdministrator, "",
		"Box wants the account's owner to set a new password first.",
		"Let the account's owner sign in at box.com and set a new password; then the connection goes on by itself."},
	{0, "user_email_confirmation_required", connector.AccountActionRequired, connector.AskAdministrator, "",
		"The account's owner must confirm the e-mail address at Box first.",
		"Let the account's owner open the confirmation e-mail of Box, or have it sent again at box.com."},
	{0, "account_deactivated", connector.AccountInactive, connector.AskAdministrator, "", "The Box account is deactivated.", inactiveAdvice},
	{0, "service_blocked", connector.ApplicationBlocked, connector.AskAdministrator, "",
		"The company's Box administrator has blocked the app.", blockedAdvice},
	{0, "access_from_location_blocked", connector.LocationBlocked, connector.AskAdministrator, "",
		"Box doesn't allow the account to be used from this machine's network address.", locationAdvice},
	{0, "error_access_from_ip_not_allowed", connector.LocationBlocked, connector.AskAdministrator, "",
		"Box doesn't allow the account to be used from this machine's network address.", locationAdvice},
	{http.StatusUnauthorized, "unauthorized", connector.AccountInactive, connector.AskAdministrator, "",
		"Box no longer lets the account in; as a rule it has been deactivated.", inactiveAdvice},
	{http.StatusForbidden, "", connector.PermissionDenied, connector.AskAdministrator, "",
		"The Box account isn't allowed to do this.",
		"Ask the company's Box administrator to give the account the permission, or sign in with an account that has it."},
	{http.StatusNotFound, "", connector.ServiceRefused, connector.FixSettings, "/api_url",
		"The service has nothing at this address.", "Check the API URL; Box's is https://api.box.com/2.0."},
}

// apiFailure tells why the API refused, or returns nil if it didn't.
func apiFailure(a *reply) *connector.Diagnostic {
	if d := a.common("/api_url"); d != nil {
		return d
	}
	if a.success() {
		if a.fields == nil {
			return a.unexpected("/api_url", "something that isn't a JSON object")
		}
		return nil
	}
	if refusal().Refuses(a.status, a.header, len(a.body) == 0) {
		return connector.Errorf(connector.AccessRefused, connector.OriginService, "Box refused the access token.").
			WithDetail("%s", a.detail()).
			Suggest("Try again, which renews the access. If it stays so, sign in to Box again.")
	}
	if a.fields == nil && len(a.body) > 0 {
		return a.unexpected("/api_url", "something that isn't a JSON object")
	}
	code := a.text("code")
	if code == "" && a.status == http.StatusForbidden && insufficientScope(a.header) {
		code = "insufficient_scope"
	}
	for i := range apiRefusals {
		r := &apiRefusals[i]
		if (r.status != 0 && r.status != a.status) || (r.code != "" && r.code != code) {
			continue
		}
		detail := a.detail()
		if word := a.word("code"); word != "" {
			detail += ", code " + word
		}
		origin := connector.OriginService
		if r.pointer != "" {
			origin = connector.OriginSettings
		}
		return connector.Errorf(r.means, origin, "%s", r.summary).
			WithDetail("%s", detail).At(r.pointer).With(r.disposition).Suggest("%s", r.suggestion)
	}
	return refused(a, a.word("code"))
}

// insufficientScope reports whether a challenge names the missing scope as the
// reason; Box sends such a 403 without a body.
func insufficientScope(header http.Header) bool {
	for _, challenge := range header.Values("WWW-Authenticate") {
		if strings.Contains(strings.ReplaceAll(challenge, " ", ""), `error="insufficient_scope"`) {
			return true
		}
	}
	return false
}
