package box

import (
	"net/url"
	"strings"

	"github.com/boxconnection/connector/proto/connector"
)

// maxCallback is the longest callback URL that is read, in bytes.
const maxCallback = 16 << 10

// readCallback returns the code in a callback URL. The URL must be the
// redirect URI, byte for byte up to its query, and hold either one code or an
// error. Other parameters, such as Box's base_domain, are ignored.
func readCallback(callback, redirectURI string) (string, error) {
	invalid := func(why string) error {
		return connector.Errorf(connector.AuthorizationInvalid, connector.OriginService, "The callback can't be used: %s.", why).
			With(connector.SignInAgain).Suggest(startAgain)
	}
	if len(callback) > maxCallback {
		return "", invalid("it is too long")
	}
	callback, _, _ = strings.Cut(callback, "#")
	place, query, _ := strings.Cut(callback, "?")
	if want, _, _ := strings.Cut(redirectURI, "?"); place != want {
		return "", invalid("it isn't at the redirect URI that the sign-in was begun with")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", invalid("its parameters can't be read")
	}
	for _, name := range []string{"code", "state", "error"} {
		if len(values[name]) > 1 {
			return "", invalid("it holds " + name + " more than once")
		}
	}
	code, failure := values.Get("code"), values.Get("error")
	switch {
	case code != "" && values.Has("error"):
		return "", invalid("it holds both a code and an error")
	case values.Has("error"):
		return "", callbackRefused(failure)
	case code == "":
		return "", invalid("it holds neither a code nor an error")
	}
	return code, nil
}

// callbackRefusals maps the error parameter of a callback (RFC 6749, section
// 4.1.2.1, and words of Box). Box documents none; a denial is access_denied by
// the standard.
var callbackRefusals = []refusedRow{
	{err: "access_denied", code: connector.AuthorizationDenied, disposition: connector.SignInAgain, origin: connector.OriginService,
		summary: "Access was denied on the Box page.", suggestion: startAgain + " Choose to grant access on the page that opens."},
	{err: "invalid_scope", code: connector.ScopeMissing, disposition: connector.FixSettings, origin: connector.OriginSettings, pointer: "/scopes",
		summary:    "The app may not ask for one of the scopes in the settings.",
		suggestion: "Leave the scopes empty to get all that the app has, or enable the scope on the app's Configuration page in the Box developer console."},
	{err: "unauthorized_client", code: connector.ClientUnauthorized, disposition: connector.FixSettings, origin: connector.OriginSettings, pointer: "/client_id",
		summary:    "The Box app isn't allowed to sign people in.",
		suggestion: "Create an app with User Authentication (OAuth 2.0) in the Box developer console, and use its client ID and secret here."},
	{err: "invalid_client", code: connector.ClientRejected, disposition: connector.FixSettings, origin: connector.OriginSettings, pointer: "/client_id",
		summary: "Box doesn't know the client ID.", suggestion: consoleID},
	{err: "redirect_uri_mismatch", code: connector.RedirectURIRejected, disposition: connector.FixSettings, origin: connector.OriginSettings, pointer: "/callback_url",
		summary: "The callback URL isn't registered with the Box app.", suggestion: redirectAdvice},
	{err: "service_blocked", code: connector.ApplicationBlocked, disposition: connector.AskAdministrator, origin: connector.OriginService,
		summary: "The company's Box administrator has blocked the app.", suggestion: blockedAdvice},
	{err: "temporarily_unavailable", code: connector.ServiceUnavailable, disposition: connector.Retry, origin: connector.OriginService,
		summary: "Box is overloaded at the moment.", suggestion: "Wait a little. " + startAgain},
	{err: "server_error", code: connector.ServiceUnavailable, disposition: connector.Retry, origin: connector.OriginService,
		summary: "Box had a fault of its own.", suggestion: "Wait a little. " + startAgain},
}

func callbackRefused(name string) *connector.Diagnostic {
	for i := range callbackRefusals {
		if r := &callbackRefusals[i]; r.err == name {
			return connector.Errorf(r.code, r.origin, "%s", r.summary).At(r.pointer).With(r.disposition).Suggest("%s", r.suggestion)
		}
	}
	d := connector.Errorf(connector.ServiceRefused, connector.OriginService, "Box ended the sign-in with an error.").
		Suggest("Compare the settings with the app's Configuration page in the Box developer console, and start the sign-in again.")
	if name != "" && len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") == "" {
		d = d.WithDetail("Error %s", name)
	}
	return d
}

// hostOf is a URL's host, for texts.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "the service"
	}
	return u.Host
}
