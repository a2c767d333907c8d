package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	// cookiePrefix begins the name of a sign-in's cookie. The rest follows from
	// the state, so that several sign-ins in one browser don't meet.
	cookiePrefix = "connection-sign-in-"
	// completeWithin bounds a callback. It doesn't end with the request: its
	// code is good for one exchange, whether or not the browser stays.
	completeWithin = 2 * time.Minute
	// comeAgain is what a callback that finds all slots taken waits, in seconds.
	comeAgain = "2"
)

// signIn is a sign-in that has begun, as a script learns of it.
type signIn struct {
	URL         string `json:"url"`
	Host        string `json:"host"`
	RedirectURI string `json:"redirect_uri"`
	// Milliseconds is how long it waits for its callback.
	Milliseconds int64  `json:"milliseconds"`
	Connection   string `json:"connection"`
}

// begin begins a sign-in and binds it to the browser by a cookie that only the
// callback is shown.
func (v *visit) begin(c *host.Connection) (signIn, error) {
	s, err := c.BeginSignIn(v.r.Context(), v.redirectURI(v.who.Owner))
	if err != nil {
		return signIn{}, err
	}
	u, err := url.Parse(s.URL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Query().Get("state") == "" {
		return signIn{}, connector.Errorf(connector.PluginContractBroken, connector.OriginConnector, "The connector's sign-in has no address that a browser can open.").
			Suggest("Report it to the author of the connector.")
	}
	left := time.Until(s.ExpiresAt)
	http.SetCookie(v.w, &http.Cookie{
		Name: cookieName(u.Query().Get("state")), Value: s.Binding.Reveal() + "." + c.ID(),
		Path: v.callbackPath(v.who.Owner), MaxAge: max(int(left.Seconds()), 1),
		HttpOnly: true, Secure: v.base.Scheme == "https", SameSite: http.SameSiteLaxMode,
	})
	return signIn{u.String(), u.Host, s.RedirectURI, left.Milliseconds(), c.ID()}, nil
}

// sendAway sends a browser without a script to the service: by a page, since
// the policy for forms bars a redirect to another site.
func (v *visit) sendAway(s signIn) error {
	v.w.Header().Set("Refresh", "0; url="+s.URL)
	return v.show(v.w, http.StatusOK, "away.html", v.page("Sign in", s))
}

func (p *handler) callbackPath(owner string) string {
	return p.path("account", owner, "oauth2", "callback")
}

func cookieName(state string) string {
	sum := sha256.Sum256([]byte(state))
	return cookiePrefix + hex.EncodeToString(sum[:8])
}

// ending is how a sign-in ended, in fixed words: nothing of the request or of
// the service's answer is in it.
type ending struct {
	// Outcome is a word for the script: ready, denied, mismatch, failed, busy or
	// foreign.
	Outcome    string
	Title      string
	Text       string
	Suggestion string
	// Field is the field that is to be changed, or empty.
	Field string
	// Connection is the connection's ID, and Page its address, if the browser
	// knows it.
	Connection, Page string
}

// callback ends a sign-in. It asks for no principal: the cookie binds it to the
// browser that began.
func (p *handler) callback(w http.ResponseWriter, r *http.Request) {
	// The window that began is of this site, and this one was at the service:
	// the isolation of the other pages would part them.
	w.Header().Set("Cross-Origin-Opener-Policy", "unsafe-none")
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		w.Header().Set("Retry-After", comeAgain)
		p.end(w, http.StatusServiceUnavailable, endings[connector.LimitExceeded])
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if r.Header.Get("Sec-Purpose") != "" || err != nil || len(query["state"]) != 1 {
		p.end(w, http.StatusBadRequest, endings[connector.AuthorizationInvalid])
		return
	}
	name := cookieName(query.Get("state"))
	var binding, id string
	if c, err := r.Cookie(name); err == nil {
		binding, id, _ = strings.Cut(c.Value, ".")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), completeWithin)
	defer cancel()
	uri := p.redirectURI(r.PathValue("owner"))
	_, err = p.host.CompleteSignIn(ctx, uri+"?"+r.URL.RawQuery, connector.NewSecret(binding))
	d := connector.Diagnose(err, connector.OriginHost)
	if d != nil && d.Code == connector.AuthorizationInvalid && d.Origin == connector.OriginHost {
		p.end(w, http.StatusBadRequest, endings[connector.AuthorizationInvalid])
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: name, Path: p.callbackPath(r.PathValue("owner")), MaxAge: -1,
		HttpOnly: true, Secure: p.base.Scheme == "https", SameSite: http.SameSiteLaxMode,
	})
	e := endingOf(d)
	if e.Connection = id; id != "" {
		e.Page = p.path("connections", id)
	}
	p.end(w, http.StatusOK, e)
}

func (p *handler) end(w http.ResponseWriter, status int, e ending) {
	if err := p.show(w, status, "callback.html", p.page(e.Title, e)); err != nil {
		http.Error(w, e.Text, status)
	}
}

// fieldPointer is a pointer to a field of a form.
var fieldPointer = regexp.MustCompile(`^/([a-z][a-z0-9_]{0,63})$`)

func endingOf(d *connector.Diagnostic) ending {
	if d == nil {
		return ending{Outcome: "ready", Title: "Access token received", Text: "The access token was received and generated. You can close this window."}
	}
	e, ok := endings[d.Code]
	if !ok {
		e = ending{Outcome: "failed", Title: "The sign-in failed", Text: "No access token was generated.", Suggestion: dispositions[d.Disposition]}
	}
	if m := fieldPointer.FindStringSubmatch(d.Pointer); m != nil {
		e.Field = m[1]
	}
	return e
}

// endings are the words for what a sign-in can end with.
var endings = map[connector.Code]ending{
	connector.AuthorizationInvalid: {Outcome: "foreign", Title: "Not this sign-in",
		Text: "This answer doesn't belong to a sign-in that waits here.", Suggestion: "Begin the sign-in again, in the same browser."},
	connector.LimitExceeded: {Outcome: "busy", Title: "Busy",
		Text: "Too many answers at once.", Suggestion: "Load this page again in a moment."},
	connector.AuthorizationDenied: {Outcome: "denied", Title: "Access denied",
		Text: "Access was denied at the service, and nothing was changed.", Suggestion: "Begin the sign-in again and choose to allow access."},
	connector.AccountMismatch: {Outcome: "mismatch", Title: "Another account",
		Text: "You signed in to another account than the connection's.", Suggestion: "The connection's page asks what to do."},
	connector.AuthorizationExpired: {Outcome: "failed", Title: "The sign-in took too long",
		Text: "The sign-in took too long, or the settings were changed meanwhile.", Suggestion: "Begin the sign-in again."},
	connector.ClientRejected: {Outcome: "failed", Title: "Client ID or secret rejected",
		Text: "The service rejected the client ID or the client secret.", Suggestion: "Copy both again from the application's page at the service, then begin the sign-in again."},
	connector.ClientUnauthorized: {Outcome: "failed", Title: "Application not allowed",
		Text: "The application isn't allowed to sign people in.", Suggestion: "Use an application for user sign-in (OAuth 2.0)."},
	connector.RedirectURIRejected: {Outcome: "failed", Title: "Redirect URI rejected",
		Text: "The redirect URI isn't registered with the application.", Suggestion: "Register the callback URL byte for byte, then begin the sign-in again."},
	connector.ApplicationBlocked: {Outcome: "failed", Title: "Application blocked",
		Text: "An administrator has blocked the application.", Suggestion: "Ask the service's administrator to allow it."},
	connector.ScopeMissing: {Outcome: "failed", Title: "Scope not allowed",
		Text: "The application may not ask for one of the scopes.", Suggestion: "Correct the scopes, or enable them for the application at the service."},
	connector.GrantNotRenewable: {Outcome: "failed", Title: "No lasting access",
		Text: "The service gave no refresh token, so the connection would end soon.", Suggestion: "Use an application for user sign-in (OAuth 2.0), and the scope for lasting access if the service has one."},
	connector.ConnectionNotFound: {Outcome: "failed", Title: "The connection is gone",
		Text: "The connection was deleted while the sign-in was under way.", Suggestion: "Make a new one."},
}

// dispositions are what to do after failures without words of their own.
var dispositions = map[connector.Disposition]string{
	connector.Retry:            "The service or the way to it has trouble. Wait a little, then begin the sign-in again.",
	connector.FixSettings:      "Check the settings, then begin the sign-in again.",
	connector.AskAdministrator: "Ask the service's administrator.",
	connector.SignInAgain:      "Begin the sign-in again.",
	"":                         "Begin the sign-in again. If it stays, look into the log.",
}
