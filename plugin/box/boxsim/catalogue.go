package boxsim

import "net/http"

// Surface is where a row of the catalogue belongs.
type Surface string

// The surfaces.
const (
	SurfaceAuthorize Surface = "authorize" // the consent page
	SurfaceToken     Surface = "token"     // the token and revocation endpoints
	SurfaceAPI       Surface = "api"       // calls with an access token
	SurfaceContent   Surface = "content"   // calls about folders, files and uploads
	SurfaceWeb       Surface = "web"       // a front server of Box, at any endpoint
	SurfaceProxy     Surface = "proxy"     // something between the client and Box
)

// Row is a failure that has been documented or seen, and that a fault can
// serve by its name ([Action].Row), at any endpoint.
type Row struct {
	Name    string  `json:"name"`
	Surface Surface `json:"surface"`
	Status  int     `json:"status"`
	// Code is "error" of a token answer, "code" of an API answer. Empty means
	// that Body is all there is.
	Code string `json:"code,omitempty"`
	// Message is "error_description" or "message".
	Message string            `json:"message,omitempty"`
	Context any               `json:"context_info,omitempty"`
	Body    string            `json:"body,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Grade   Grade             `json:"grade"`
	Reason  string            `json:"reason"`
}

// answer builds what the row describes.
func (r Row) answer() answer {
	var a answer
	switch {
	case r.Code == "":
		a = answer{status: r.Status, body: []byte(r.Body), contentType: guessType(r.Body)}
	case r.Surface == SurfaceAPI || r.Surface == SurfaceContent:
		a = apiRefusal(r.Status, r.Code, r.Message, r.Context)
	default:
		a = oauthRefusal(r.Status, r.Code, r.Message)
	}
	a.header = r.Headers
	return a
}

// rowByName returns the zero Row for a name that doesn't exist.
func rowByName(name string) Row {
	for _, r := range Catalogue() {
		if r.Name == name {
			return r
		}
	}
	return Row{}
}

// Catalogue returns all rows.
func Catalogue() []Row {
	var rows []Row
	rows = append(rows, tokenRows()...)
	rows = append(rows, assertionRows()...)
	rows = append(rows, accountRows()...)
	rows = append(rows, apiRows()...)
	rows = append(rows, contentRows()...)
	return append(rows, webRows()...)
}

func tokenRow(name string, status int, code, message string, grade Grade, reason string) Row {
	return Row{Name: name, Surface: SurfaceToken, Status: status, Code: code, Message: message, Grade: grade, Reason: reason}
}

// tokenRows are about the grant and the client.
func tokenRows() []Row {
	const bad = http.StatusBadRequest
	rows := []Row{
		tokenRow("token_code_expired", bad, "invalid_grant", "The authorization code has expired", Doc, "documented, and seen in the field"),
		tokenRow("token_code_invalid", bad, "invalid_grant", descInvalidCode, SDK, "an unknown code or another client's; text in an SDK's test"),
		tokenRow("token_refresh_invalid", bad, "invalid_grant", descInvalidRefresh, Doc, "documented; seen for unknown, spent and revoked tokens"),
		tokenRow("token_refresh_expired", bad, "invalid_grant", "Refresh token has expired", Staff, "unused for 60 days; also seen for spent tokens"),
		tokenRow("token_client_invalid", bad, "invalid_client", descInvalidClient, Doc, "documented, and seen in the field; the specification words it otherwise"),
		tokenRow("token_request_invalid", bad, "invalid_request", descInvalidRequest, Doc, "documented; also seen for a wrong content type"),
		tokenRow("token_refresh_missing", bad, "invalid_request", "No refresh token parameter found", SDK, "text in a comment of an SDK"),
		tokenRow("token_grant_type_unauthorized", bad, "unauthorized_client", "The grant type is unauthorized for this client_id", Field, "every captured sample; the documentation lists another error name"),
		tokenRow("token_app_not_authorized", bad, "unauthorized_client", "This app is not authorized by the enterprise admin", Doc, "an app that the administrator hasn't authorised"),
		tokenRow("token_subject_type_unauthorized", bad, "unauthorized_client", `The "box_subject_type" value is unauthorized for this client_id`, Field, "client credentials for a subject that the app may not use"),
		tokenRow("token_credentials_invalid", bad, "invalid_grant", "Grant credentials are invalid", Doc, "client credentials: wrong secret, subject, or not authorised"),
		tokenRow("token_user_not_obtainable", bad, "invalid_request", "Cannot obtain user token based on the enterprise configuration for your app", KB, "user access tokens aren't enabled for the app"),
		tokenRow("token_user_not_obtainable_old", bad, "invalid_request", "Cannot obtain token based on the enterprise configuration for your app", KB, "the older wording of the same"),
		tokenRow("token_resource_invalid", bad, "invalid_resource", "The target resource is invalid.", Field, "narrowing to an address that isn't of the API"),
		tokenRow("token_forbidden", http.StatusForbidden, "access_denied", "Access denied", Field, "seen on renewal; the cause was only guessed at"),
		tokenRow("token_conflict", http.StatusConflict, "", "", Field, "now and then on renewal, with an empty body"),
		tokenRow("token_rate_limited", http.StatusTooManyRequests, "temporarily_unavailable", "The server is currently unable to handle the request due to a temporary overloading of the server", KB, "too many requests; the answer says how long to wait"),
	}
	rows[len(rows)-1].Headers = map[string]string{"retry-after": "1"}
	return rows
}

// assertionRows are about signed assertions (JWT).
func assertionRows() []Row {
	const bad = http.StatusBadRequest
	return []Row{
		tokenRow("token_exp_passed", bad, "invalid_grant", "Current date/time MUST be before the expiration date/time listed in the 'exp' claim", Field, "the client's clock is behind"),
		tokenRow("token_exp_too_far", bad, "invalid_grant", "Please check the 'exp' claim. The 'exp' value exceeds the maximum value of 60 seconds beyond the issue time.", Field, "the assertion lives too long"),
		tokenRow("token_nbf_in_future", bad, "invalid_grant", "Current date/time MUST be after or equal to the not-before date/time  listed in the 'nbf' or 'iat' claim", Field, "the client's clock is ahead; two spaces as captured"),
		tokenRow("token_jti_reused", bad, "invalid_grant", "Please check the 'jti' claim. A unique 'jti' value is required.", Doc, "the assertion was sent before"),
		tokenRow("token_sub_invalid", bad, "invalid_grant", "Please check the 'sub' claim. The 'sub' specified is invalid.", KB, "wrong subject or type of subject"),
		tokenRow("token_iss_invalid", bad, "invalid_grant", "Please check the 'iss' claim.", Doc, "the issuer isn't the client"),
		tokenRow("token_signature_invalid", bad, "invalid_grant", `Signature verification error. The public key identified by "kid" must correspond to the private key used for signing.`, Field, "signed with another key"),
		tokenRow("token_kid_invalid", bad, "invalid_grant", "kid invalid, unable to lookup correct key.", Doc, "unknown key; its exact wording is uncertain"),
	}
}

// accountRows are about the account and its enterprise, at the token endpoint.
func accountRows() []Row {
	const bad, forbidden = http.StatusBadRequest, http.StatusForbidden
	return []Row{
		tokenRow("token_password_reset", bad, "password_reset_required", "User needs to reset password", KB, "the tokens stay alive until the person has done it"),
		tokenRow("token_terms_of_service", bad, "terms_of_service_required", "User needs to accept terms of service", SDK, "text of an SDK; that it blocks tokens is documented"),
		tokenRow("token_account_deactivated", bad, "account_deactivated", "User's account has been deactivated", SDK, "name and text of an SDK"),
		tokenRow("token_trial_ended", bad, "no_credit_card_trial_ended", "Free trial expired for this account", SDK, "name and text of an SDK"),
		tokenRow("token_service_blocked", bad, "service_blocked", "The application is blocked by your administrator", SDK, "name and text of an SDK, with status 400 or 403"),
		tokenRow("token_service_blocked_403", forbidden, "service_blocked", "The application is blocked by your administrator", SDK, "the same with the other status"),
		tokenRow("token_device_unauthorized", bad, "unauthorized_device", "Device not authorized to request an access token", SDK, "device pinning; name and text of an SDK"),
		tokenRow("token_grace_period_expired", forbidden, "grace_period_expired", "The account grace period has expired", SDK, "name and text of an SDK"),
		tokenRow("token_location_blocked", forbidden, "access_from_location_blocked", "", SDK, "name from an SDK and the documentation; no text is known"),
		tokenRow("token_ip_blocked", forbidden, "error_access_from_ip_not_allowed", "", SDK, "name from an SDK and the documentation; no text is known"),
	}
}

func apiRow(name string, status int, code, message string, grade Grade, reason string) Row {
	return Row{Name: name, Surface: SurfaceAPI, Status: status, Code: code, Message: message, Grade: grade, Reason: reason}
}

func apiRows() []Row {
	rows := []Row{
		{Name: "api_token_invalid", Surface: SurfaceAPI, Status: http.StatusUnauthorized, Headers: map[string]string{"www-authenticate": challengeInvalidToken}, Grade: Field, Reason: "captured twice: empty body, the reason in the header"},
		{Name: "api_token_missing", Surface: SurfaceAPI, Status: http.StatusUnauthorized, Headers: map[string]string{"www-authenticate": `Bearer realm="Service"`}, Grade: Undocumented, Reason: "only the status is documented"},
		apiRow("api_user_deactivated", http.StatusUnauthorized, "unauthorized", "User has been deactivated", Inferred, "status and text were reported, the body not"),
		apiRow("api_unauthorized", http.StatusUnauthorized, "unauthorized", "Unauthorized", Doc, "listed beside the invalid token, without its body"),
		{Name: "api_scope_insufficient", Surface: SurfaceAPI, Status: http.StatusForbidden, Headers: map[string]string{"www-authenticate": challengeInsufficientScope}, Grade: Field, Reason: "empty body, the reason in the header"},
		apiRow("api_scope_insufficient_json", http.StatusForbidden, "insufficient_scope", "The request requires higher privileges than provided by the access token.", Spec, "the specification lists the code, so a body may exist"),
		apiRow("api_permission_denied", http.StatusForbidden, "access_denied_insufficient_permissions", "Access denied - insufficient permission", KB, "pasted in a support article"),
		apiRow("api_email_unconfirmed", http.StatusForbidden, "user_email_confirmation_required", "User needs to complete email confirmation", Doc, "listed in the documentation"),
		apiRow("api_location_blocked", http.StatusForbidden, "access_from_location_blocked", "Access denied", Inferred, "the name is documented, the body not"),
		apiRow("api_not_found", http.StatusNotFound, "not_found", "Not Found", Field, "captured, with the parameter's name in its context"),
		apiRow("api_bad_request", http.StatusBadRequest, "bad_request", "Bad Request", Field, "captured, with the parameter's name in its context"),
		apiRow("api_terms_of_service", http.StatusBadRequest, "terms_of_service_required", "User needs to accept terms of service", Doc, "documented with this context"),
		apiRow("api_method_not_allowed", http.StatusMethodNotAllowed, "method_not_allowed", "Method Not Allowed", Spec, "the specification's code"),
		apiRow("api_conflict", http.StatusConflict, "conflict", "Conflict", Spec, "the specification's code"),
		apiRow("api_precondition_failed", http.StatusPreconditionFailed, "precondition_failed", "The resource has been modified. Please retrieve the resource again and retry", Inferred, "the specification's code, the text is an assumption"),
		apiRow("api_rate_limited", http.StatusTooManyRequests, "rate_limit_exceeded", "Request rate limit exceeded, please try again later", Doc, "documented with its header"),
		apiRow("api_internal_error", http.StatusInternalServerError, "internal_server_error", "Internal Server Error", Doc, "documented"),
		apiRow("api_bad_gateway", http.StatusBadGateway, "bad_gateway", "Bad Gateway", Doc, "documented"),
		apiRow("api_unavailable", http.StatusServiceUnavailable, "unavailable", "Unavailable", Doc, "documented; a write may have been stored all the same"),
		{Name: "api_out_of_space", Surface: SurfaceAPI, Status: http.StatusInsufficientStorage, Grade: SDK, Reason: "an SDK names the status and doesn't try again"},
	}
	for i := range rows {
		switch r := &rows[i]; r.Name {
		case "api_not_found":
			r.Context = contextErrors("invalid_parameter", "folder", "Invalid value 'd_1'. 'folder' with value 'd_1' not found")
		case "api_bad_request":
			r.Context = contextErrors("missing_parameter", "parent", "'parent' is required")
		case "api_terms_of_service":
			r.Context = map[string]any{"tos_id": 261346614, "tos_user_status_id": 4562456}
		case "api_rate_limited":
			r.Headers = map[string]string{"retry-after": "100"}
		case "api_unavailable":
			r.Headers = map[string]string{"retry-after": "5"}
		}
	}
	return rows
}

// webRows are pages of Box's web tier and of proxies, at any endpoint.
func webRows() []Row {
	html := func(title string) string {
		return "<!DOCTYPE html><html><head><title>" + title + "</title></head><body><h1>" + title + "</h1></body></html>\n"
	}
	return []Row{
		{Name: "web_internal_error", Surface: SurfaceWeb, Status: http.StatusInternalServerError, Body: html("500 Internal Server Error"), Grade: Inferred, Reason: "a front server's page in place of JSON"},
		{Name: "web_bad_gateway", Surface: SurfaceWeb, Status: http.StatusBadGateway, Body: html("502 Bad Gateway"), Grade: Inferred, Reason: "a front server's page in place of JSON"},
		{Name: "web_unavailable", Surface: SurfaceWeb, Status: http.StatusServiceUnavailable, Body: html("503 Service Temporarily Unavailable"), Headers: map[string]string{"retry-after": "5"}, Grade: Inferred, Reason: "a front server's page in place of JSON"},
		{Name: "web_gateway_timeout", Surface: SurfaceWeb, Status: http.StatusGatewayTimeout, Body: html("504 Gateway Time-out"), Grade: Inferred, Reason: "a front server's page in place of JSON"},
		{Name: "authorize_address_forbidden", Surface: SurfaceAuthorize, Status: http.StatusForbidden, Body: html("403 Forbidden"), Grade: Field, Reason: "reported in 2023 for a state or redirect URI with an IP address"},
		{Name: "authorize_disabled_by_admin", Surface: SurfaceAuthorize, Status: http.StatusForbidden, Body: html("Disabled by Administrator"), Grade: Doc, Reason: "the page is documented, its status not"},
		{Name: "proxy_unauthorized", Surface: SurfaceProxy, Status: http.StatusUnauthorized, Body: html("Access Denied"), Headers: map[string]string{"www-authenticate": `NTLM, BASIC realm="proxy"`}, Grade: Field, Reason: "a corporate proxy that asks for its own credentials"},
		{Name: "proxy_authentication_required", Surface: SurfaceProxy, Status: http.StatusProxyAuthRequired, Body: html("407 Proxy Authentication Required"), Headers: map[string]string{"proxy-authenticate": `Basic realm="proxy"`}, Grade: Inferred, Reason: "what an intercepting proxy may answer"},
		{Name: "proxy_login_page", Surface: SurfaceProxy, Status: http.StatusOK, Body: html("Sign in to the network"), Grade: Inferred, Reason: "a captive portal: status 200 with a page"},
	}
}
