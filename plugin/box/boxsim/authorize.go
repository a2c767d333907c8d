package boxsim

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ticketLifetime is how long a consent page may stay open.
const ticketLifetime = 10 * time.Minute

// consent is an authorization request that waits for the person.
type consent struct {
	redirectURI     string
	state           string
	hasState        bool
	scopes          []string
	challenge       string
	challengeMethod string
	missing         bool // no redirect URI, though several are registered
	expiresAt       time.Time
}

// authorize answers GET /api/oauth2/authorize: with the consent page, with an
// error page, or with the redirect at once.
func (s *Server) authorize(c *call) answer {
	q := c.r.URL.Query()
	details := [][2]string{
		{"response_type", q.Get("response_type")}, {"redirect_uri", q.Get("redirect_uri")},
		{"state", q.Get("state")}, {"client_id", q.Get("client_id")},
	}
	if s.knobs.RefuseAddresses && (holdsAddress(q.Get("state")) || holdsAddress(q.Get("redirect_uri"))) {
		return rowByName("authorize_address_forbidden").answer()
	}
	if q.Get("client_id") != s.clientID {
		return pageError(http.StatusBadRequest, "invalid_client", "No application is registered with this client ID.", details...)
	}
	pending := &consent{
		redirectURI: q.Get("redirect_uri"), state: q.Get("state"), hasState: q.Has("state"),
		challenge: q.Get("code_challenge"), challengeMethod: q.Get("code_challenge_method"),
		expiresAt: s.clock.now().Add(ticketLifetime),
	}
	if pending.challenge != "" {
		if pending.challengeMethod == "" {
			pending.challengeMethod = "plain" // as RFC 7636 says
		}
		c.entry.PKCE = clip(pending.challengeMethod)
	}
	switch {
	case pending.redirectURI == "" && len(s.redirectURIs) == 1:
		pending.redirectURI = s.redirectURIs[0]
	case pending.redirectURI == "":
		pending.missing = true
	case !redirectMatches(s.redirectURIs, pending.redirectURI):
		return pageError(http.StatusBadRequest, "redirect_uri_mismatch",
			"The redirect URI of the request is not one of those registered with the application.", details...)
	}
	if q.Get("response_type") != "code" {
		return pageError(http.StatusBadRequest, "unsupported_response_type", "Only the response type “code” is supported.", details...)
	}
	pending.scopes = s.scopes
	if wanted := strings.Fields(q.Get("scope")); len(wanted) > 0 {
		for _, scope := range wanted {
			if !slices.Contains(s.scopes, scope) {
				return pageError(http.StatusBadRequest, "invalid_scope", "The application isn't configured for a scope that it asks for.", details...)
			}
		}
		pending.scopes = wanted
	}
	login := q.Get("box_login")
	if s.knobs.AutoConsent {
		if login == "" {
			login = s.users[0].Login
		}
		return s.allow(pending, login)
	}
	return s.askConsent(pending, login)
}

func (s *Server) askConsent(pending *consent, login string) answer {
	s.sweepConsents()
	if len(s.consents) >= s.limits.codes {
		return pageError(http.StatusServiceUnavailable, "busy", "Too many sign-ins are open in this emulator.")
	}
	ticket := randomString(32, alphanumeric)
	s.consents[ticket] = pending
	users := make([]User, len(s.users))
	for i, u := range s.users {
		users[i] = *u
	}
	return page(http.StatusOK, consentPage, pageData{
		Title: "Grant access to Box", Ticket: ticket, Login: login, Users: users, Scopes: pending.scopes,
	})
}

// decide answers POST /api/oauth2/authorize, the consent page's buttons. The
// ticket is known only to who was shown the page, and works once.
func (s *Server) decide(c *call) answer {
	if err := s.sameOrigin.Check(c.r); err != nil {
		return pageError(http.StatusForbidden, "cross_origin", "The decision has to come from the consent page.")
	}
	pending := s.consents[c.form.Get("ticket")]
	delete(s.consents, c.form.Get("ticket"))
	if !c.formOK || pending == nil || !s.clock.now().Before(pending.expiresAt) {
		return pageError(http.StatusBadRequest, "consent_expired", "This page was used before, or stood open for too long. Begin the sign-in again.")
	}
	switch c.form.Get("decision") {
	case "allow":
		return s.allow(pending, c.form.Get("login"))
	case "deny":
		s.counters.Denied++
		if pending.missing {
			return missingRedirect()
		}
		q := url.Values{"error": {"access_denied"}}
		if s.knobs.DenyDescription != "" {
			q.Set("error_description", s.knobs.DenyDescription)
		}
		return pending.callback(q)
	default:
		return pageError(http.StatusBadRequest, "invalid_request", "The decision is neither allow nor deny.")
	}
}

func (s *Server) allow(pending *consent, login string) answer {
	if pending.missing {
		return missingRedirect()
	}
	u := s.user(login)
	if u == nil {
		return pageError(http.StatusBadRequest, "unknown_account", "This emulator has no such account.")
	}
	if u.Deactivated {
		return pageError(http.StatusForbidden, "account_deactivated", "This account has been deactivated.")
	}
	s.sweepCodes()
	if len(s.codes) >= s.limits.codes {
		return pageError(http.StatusServiceUnavailable, "busy", "Too many sign-ins are open in this emulator.")
	}
	value := randomString(32, alphanumeric)
	s.codes[value] = &code{
		user: u, scopes: pending.scopes, redirectURI: pending.redirectURI,
		challenge: pending.challenge, challengeMethod: pending.challengeMethod,
		expiresAt: s.clock.now().Add(time.Duration(s.knobs.CodeLifetime)),
	}
	s.counters.Allowed++
	return pending.callback(url.Values{"code": {value}})
}

// callback sends the browser back to the client.
func (p *consent) callback(q url.Values) answer {
	if p.hasState {
		q.Set("state", p.state)
	}
	sep := "?"
	if strings.Contains(p.redirectURI, "?") {
		sep = "&"
	}
	return answer{status: http.StatusFound, header: map[string]string{
		"location": p.redirectURI + sep + q.Encode(), "cache-control": "no-store",
	}}
}

func missingRedirect() answer {
	return pageError(http.StatusBadRequest, "redirect_uri_missing",
		"Several redirect URIs are registered with the application, and the request names none.")
}

// holdsAddress finds an IPv4 address anywhere in the text, or an IPv6 one as
// the host of a URL.
func holdsAddress(text string) bool {
	if u, err := url.Parse(text); err == nil {
		if _, err := netip.ParseAddr(u.Hostname()); err == nil {
			return true
		}
	}
	words := strings.FieldsFunc(text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	return slices.ContainsFunc(words, func(w string) bool {
		_, err := netip.ParseAddr(w)
		return err == nil
	})
}

func (s *Server) sweepConsents() {
	now := s.clock.now()
	for ticket, p := range s.consents {
		if !now.Before(p.expiresAt) {
			delete(s.consents, ticket)
		}
	}
}

// sweepCodes forgets codes an hour after they expired. Until then they are
// kept to tell an expired or reused code from an unknown one.
func (s *Server) sweepCodes() {
	if len(s.codes) < s.limits.codes/2 {
		return
	}
	limit := s.clock.now().Add(-time.Hour)
	for value, cd := range s.codes {
		if cd.spent || cd.expiresAt.Before(limit) {
			delete(s.codes, value)
		}
	}
}
