package web

import (
	"net/http"
	"slices"

	"github.com/boxconnection/connector/proto/connector"
)

const (
	// maxForm bounds a form that is sent: settings and what is around them.
	maxForm = 1 << 20
	// maxQuery bounds a request's address. Codes and states stay far below.
	maxQuery = 16 << 10
	// maxCallbacks is how many callbacks are worked on at a time; more are told
	// to come again. A refused one ends no sign-in.
	maxCallbacks = 32
)

// policy lets a page use what this handler serves and nothing else. The
// sign-in's page is reached by a link or by script, which form-action and the
// rest don't bar.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard refuses what can't be a person's request on this site, and sets what
// every answer carries.
func (p *handler) guard(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	_ = cross.AddTrustedOrigin(p.base.Scheme + "://" + p.base.Host) // fails for what Handler has refused
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fail(w, r, http.StatusForbidden, connector.Errorf(connector.PermissionDenied, connector.OriginHost, "The request came from another site.").
			Suggest("Open this page itself and repeat it there."))
	}))
	inner := cross.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups") // the sign-in's window is watched
		h.Set("Cache-Control", "no-store")
		switch {
		case r.Host != p.base.Host && !slices.Contains(p.opts.Hosts, r.Host):
			p.fail(w, r, http.StatusMisdirectedRequest, connector.Errorf(connector.PermissionDenied, connector.OriginHost, "This page isn't served under that name.").
				Suggest("Open it as %s.", p.opts.Base))
		case len(r.URL.RawQuery) > maxQuery:
			p.fail(w, r, http.StatusRequestURITooLong, connector.Errorf(connector.LimitExceeded, connector.OriginHost, "The address is too long.").
				Suggest("Begin again from the list of connections."))
		default:
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			inner.ServeHTTP(w, r)
		}
	})
}
