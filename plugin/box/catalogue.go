package box

import (
	"net/http"
	"strings"

	"github.com/boxconnection/connector/proto/connector"
)

// Rows of the catalogue for all requests, and for those that need the grant.
const (
	anyRequest = exchange | renewal | narrowing | revoking
	grantCalls = exchange | renewal
)

// refusedRow is a row of the catalogue: how the token endpoint refuses, and
// what that means.
type refusedRow struct {
	requests request
	err      string // the error field
	says     string // part of error_description in lower case, or "" for any

	code        connector.Code
	disposition connector.Disposition
	origin      connector.Origin
	pointer     string
	summary     string
	suggestion  string
}

const (
	signInAgain = "Sign in to Box again (in a form: Generate, beside the access token). Client ID and secret stay as they are."
	startAgain  = "Start the sign-in again."
	consoleID   = "Compare client ID and client secret with the app's Configuration page in the Box developer console, and copy both again. If the secret was reset there, only the new one works."
)

// refusals is the catalogue of Box's OAuth errors. The first row that fits
// counts. Box answers most with status 400, some with 403, and not always with
// the same one, so that the status isn't looked at. Descriptions only choose
// between texts of the same meaning, except where Box has one error for two
// things.
var refusals = []refusedRow{
	// The code of a sign-in.
	{exchange, "invalid_grant", "expired", connector.AuthorizationExpired, connector.SignInAgain, connector.OriginService, "",
		"Box's code for this sign-in has expired: it lasts 30 seconds.",
		startAgain + " If it happens again, something between here and Box holds requests up."},
	{exchange, "invalid_grant", "", connector.AuthorizationInvalid, connector.SignInAgain, connector.OriginService, "",
		"Box doesn't know this sign-in's code: it was used already, or made for another app or redirect URI.",
		startAgain + " If it happens again, check that the client ID is that of the app, and that the app's redirect URI is exactly the callback URL."},
	// The refresh token. Box uses both texts for a spent one, too.
	{renewal, "invalid_grant", "expired", connector.GrantInvalid, connector.SignInAgain, connector.OriginService, "",
		"Box says that the connection's access has expired. It ends after 60 days without use, and at once if a copy of the connection used it elsewhere.",
		signInAgain + " If the connection was in use lately, find the other program that uses a copy of it, and let it sign in for itself."},
	{renewal, "invalid_grant", "", connector.GrantInvalid, connector.SignInAgain, connector.OriginService, "",
		"Box no longer knows the connection's access: it was revoked at Box, or used up by a copy of the connection elsewhere.",
		signInAgain + " If another program uses a copy of this connection, let it sign in for itself."},
	// Fewer rights.
	{narrowing, "invalid_grant", "", connector.AccessRefused, "", connector.OriginService, "",
		"Box refused the access that was to be narrowed.", "Ask for new access first, then narrow that."},
	{narrowing, "invalid_scope", "", connector.ScopeMissing, connector.AskAdministrator, connector.OriginService, "",
		"The connection's access doesn't have a scope that was asked for.",
		"Ask for fewer scopes, or enable the scope on the app's Configuration page in the Box developer console and sign in again."},
	{narrowing, "unauthorized", "", connector.ScopeMissing, connector.AskAdministrator, connector.OriginService, "",
		"The connection's access doesn't have a scope that was asked for, or is no longer good.",
		"Ask for fewer scopes, or enable the scope on the app's Configuration page in the Box developer console and sign in again."},
	{narrowing, "invalid_resource", "", connector.ItemNotFound, "", connector.OriginService, "",
		"Box has no such item to narrow access to, or the account can't see it.",
		"Check the item's ID, and that the resource is named by its API URL, such as https://api.box.com/2.0/folders/123."},

	// The client.
	{anyRequest, "invalid_client", "", connector.ClientRejected, connector.FixSettings, connector.OriginSettings, "/client_secret",
		"Box doesn't accept the client ID and client secret.", consoleID},
	{revoking, "invalid_request", "client", connector.ClientRejected, connector.FixSettings, connector.OriginSettings, "/client_id",
		"Box doesn't accept the client ID.", consoleID},
	{anyRequest, "unauthorized_client", "enterprise admin", connector.ClientUnauthorized, connector.AskAdministrator, connector.OriginService, "",
		"The company's Box administrator hasn't authorised the app.",
		"Ask the administrator to authorise the app's client ID in the Box admin console (Integrations > Platform Apps Manager)."},
	{anyRequest, "unauthorized_client", "", connector.ClientUnauthorized, connector.FixSettings, connector.OriginSettings, "/client_id",
		"The Box app isn't allowed to sign people in: it was made for another kind of sign-in.",
		"Create an app with User Authentication (OAuth 2.0) in the Box developer console, and use its client ID and secret here."},
	{anyRequest, "invalid_request", "unauthorized", connector.ClientUnauthorized, connector.FixSettings, connector.OriginSettings, "/client_id",
		"The Box app isn't allowed to sign people in: it was made for another kind of sign-in.",
		"Create an app with User Authentication (OAuth 2.0) in the Box developer console, and use its client ID and secret here."},
	{grantCalls | narrowing, "invalid_request", "grant_type", connector.ServiceRefused, connector.FixSettings, connector.OriginSettings, "/token_url",
		"The service didn't see what was asked: the request lost its content on the way.",
		"Check the token URL; Box's is https://api.box.com/oauth2/token. Older addresses such as app.box.com redirect and lose the request."},
	{grantCalls | narrowing, "unsupported_grant_type", "", connector.ServiceRefused, connector.FixSettings, connector.OriginSettings, "/token_url",
		"The service doesn't know this kind of request.", "Check the token URL; Box's is https://api.box.com/oauth2/token."},
	{grantCalls, "invalid_scope", "", connector.ScopeMissing, connector.FixSettings, connector.OriginSettings, "/scopes",
		"The app may not ask for one of the scopes in the settings.",
		"Leave the scopes empty to get all that the app has, or enable the scope on the app's Configuration page in the Box developer console."},
	{grantCalls, "redirect_uri_mismatch", "", connector.RedirectURIRejected, connector.FixSettings, connector.OriginSettings, "/callback_url",
		"The callback URL isn't registered with the Box app.", redirectAdvice},

	// The account and the company.
	{anyRequest, "password_reset_required", "", connector.AccountActionRequired, connector.AskAdministrator, connector.OriginService, "",
		"Box wants the account's owner to set a new password first. The connection's access stays good.",
		"Let the account's owner sign in at box.com and set a new password; then the connection goes on by itself."},
	{anyRequest, "terms_of_service_required", "", connector.AccountActionRequired, connector.AskAdministrator, connector.OriginService, "",
		"The account's owner must accept the company's terms of service at Box first.",
		"Let the account's owner sign in at box.com and accept the terms; then the connection goes on by itself."},
	{anyRequest, "user_email_confirmation_required", "", connector.AccountActionRequired, connector.AskAdministrator, connector.OriginService, "",
		"The account's owner must confirm the e-mail address at Box first.",
		"Let the account's owner open the confirmation e-mail of Box, or have it sent again at box.com."},
	{anyRequest, "account_deactivated", "", connector.AccountInactive, connector.AskAdministrator, connector.OriginService, "",
		"The Box account is deactivated.", inactiveAdvice},
	{anyRequest, "unauthorized", "", connector.AccountInactive, connector.AskAdministrator, connector.OriginService, "",
		"Box no longer lets the account in; as a rule it has been deactivated.", inactiveAdvice},
	{anyRequest, "no_credit_card_trial_ended", "", connector.AccountInactive, connector.AskAdministrator, connector.OriginService, "",
		"The Box account's free trial has ended.", "Renew the account's plan at box.com, or ask the company's Box administrator to."},
	{anyRequest, "grace_period_expired", "", connector.AccountInactive, connector.AskAdministrator, connector.OriginService, "",
		"The Box account's grace period has ended.", "Renew the account's plan at box.com, or ask the company's Box administrator to."},
	{anyRequest, "service_blocked", "", connector.ApplicationBlocked, connector.AskAdministrator, connector.OriginService, "",
		"The company's Box administrator has blocked the app.", blockedAdvice},
	{anyRequest, "access_denied", "", connector.PermissionDenied, connector.AskAdministrator, connector.OriginService, "",
		"Box denies the app access to this account.",
		"Ask the company's Box administrator whether the app is still allowed (admin console, Integrations). If it is, sign in again: the account's owner may have removed the app."},
	{anyRequest, "unauthorized_device", "", connector.LocationBlocked, connector.AskAdministrator, connector.OriginService, "",
		"Box doesn't allow this device to use the account.", locationAdvice},
	{anyRequest, "access_from_location_blocked", "", connector.LocationBlocked, connector.AskAdministrator, connector.OriginService, "",
		"Box doesn't allow the account to be used from this machine's network address.", locationAdvice},
	{anyRequest, "error_access_from_ip_not_allowed", "", connector.LocationBlocked, connector.AskAdministrator, connector.OriginService, "",
		"Box doesn't allow the account to be used from this machine's network address.", locationAdvice},

	// The service.
	{anyRequest, "temporarily_unavailable", "", connector.ServiceUnavailable, connector.Retry, connector.OriginService, "",
		"Box is overloaded at the moment.", "Wait and try again."},
	{anyRequest, "server_error", "", connector.ServiceUnavailable, connector.Retry, connector.OriginService, "",
		"Box had a fault of its own.", "Wait and try again."},
}

const (
	inactiveAdvice = "Ask the company's Box administrator to activate the account (admin console, Users & Groups), or sign in with another account."
	blockedAdvice  = "Ask the administrator to allow the app's client ID in the Box admin console (Integrations > Platform Apps Manager)."
	locationAdvice = "Ask the company's Box administrator to allow this machine's network address or device for the app."
	redirectAdvice = "In the Box developer console, add the callback URL to the app's OAuth 2.0 redirect URIs, character for character: scheme, host, port, path and a slash at the end count. An app without such a list is of another kind: it must use User Authentication (OAuth 2.0)."
)

// tokenFailure tells why the token or revoke endpoint refused, or returns nil
// if it didn't. An error counts whatever the status: some services send it
// with 200.
func tokenFailure(kind request, pointer string, a *reply) *connector.Diagnostic {
	if d := a.common(pointer); d != nil {
		return d
	}
	name := a.text("error")
	description := strings.ToLower(a.text("error_description"))
	switch {
	case name == "" && a.success() && (a.fields != nil || kind == revoking):
		return nil
	case kind == revoking && gone(a.status, name, description):
		return nil
	}
	for i := range refusals {
		if r := &refusals[i]; r.fits(kind, name, description) {
			return r.diagnostic(a)
		}
	}
	switch {
	case a.fields == nil:
		return a.unexpected(pointer, "something that isn't JSON")
	case kind == narrowing && a.status == http.StatusUnauthorized:
		return connector.Errorf(connector.AccessRefused, connector.OriginService,
			"Box refused to narrow the access: it is no longer good, or lacks a scope that was asked for.").
			WithDetail("%s", a.detail()).Suggest("Ask for fewer scopes, or for new access first.")
	}
	return refused(a, a.word("error"))
}

func (r *refusedRow) fits(kind request, name, description string) bool {
	return r.requests&kind != 0 && r.err == name && strings.Contains(description, r.says)
}

func (r *refusedRow) diagnostic(a *reply) *connector.Diagnostic {
	d := connector.Errorf(r.code, r.origin, "%s", r.summary).
		WithDetail("%s, error %s", a.detail(), r.err).At(r.pointer).With(r.disposition).Suggest("%s", r.suggestion)
	if r.disposition == connector.Retry {
		d = d.After(a.retryAfter())
	}
	return d
}

// refused is a refusal that isn't in the catalogue. It decides nothing: what
// isn't understood mustn't end a connection.
func refused(a *reply, word string) *connector.Diagnostic {
	detail := a.detail()
	if word != "" {
		detail += ", error " + word
	}
	return connector.Errorf(connector.ServiceRefused, connector.OriginService, "%s refused the request.", a.host).
		WithDetail("%s", detail).
		Suggest("Compare the settings with the app's Configuration page in the Box developer console. If they agree, give Box's support the numbers shown here.")
}

// gone reports that what was to be revoked isn't there any more. Box's own
// answer for that isn't documented; these are the usual ones.
func gone(status int, name, description string) bool {
	if status != http.StatusBadRequest {
		return false
	}
	return name == "invalid_grant" || name == "invalid_token" ||
		name == "invalid_request" && strings.Contains(description, "token")
}
