// Package web is the page on which a person sets connections up: an
// [http.Handler] that an engine mounts in its own site. It draws the form of
// any connector from its descriptor alone, signs in through the person's
// browser, tests as the person watches, and shows what there is.
//
// The handler keeps nothing between requests but bounds: what a person is
// working on is a draft in the store, so that any node of an engine may answer
// any request. It works behind a proxy that ends TLS and below a prefix; all
// its addresses follow from [Options.Base]. Without scripts in the browser it
// works too, except that what happens elsewhere isn't shown by itself.
package web

import (
	"context"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/proto/connector"
)

// Principal is whom a request is made by.
type Principal struct {
	// Owner is the engine's account whose connections these are, and the
	// segment of the callback's path. It is one path segment.
	Owner string
	// Environment is that of the connections; empty for the default.
	Environment string
	// Actor is who the audit names.
	Actor string
}

// Choice is a connector that a new connection can be made with.
type Choice struct {
	// Plugin is the name by which the host's loader, or Options.Load, loads it.
	Plugin string
	// Title is shown until the connector is loaded; empty for Plugin.
	Title string
}

// Options says where the handler is mounted and what it may do. Base,
// Principal, Load and Choices are required.
type Options struct {
	// Base is the address of the handler's root in the browser, with scheme
	// and host and without a slash at the end. The callback URL is Base
	// followed by /account/<owner>/oauth2/callback.
	Base string
	// Principal tells who makes a request, or fails: then the request is
	// answered with 403. An engine looks at its own session here. The callback
	// isn't asked for it: the sign-in's own cookie binds it to the browser.
	Principal func(r *http.Request) (Principal, error)
	// Load loads the connector of a plugin's name.
	Load func(ctx context.Context, plugin string) (*host.Connector, error)
	// Choices are the connectors to offer.
	Choices []Choice
	// Hosts are names, with their ports, that requests may come under beside
	// that of Base, for proxies that change the Host header.
	Hosts []string
	// Audit returns an owner's events, oldest first, or nil for no audit view.
	Audit func(ctx context.Context, owner string) iter.Seq2[audit.Event, error]
	// Logger logs what went wrong inside; the default discards.
	Logger *slog.Logger
}

// handler serves the pages.
type handler struct {
	host  *host.Host
	base  *url.URL
	opts  Options
	log   *slog.Logger
	slots chan struct{}
}

// Handler makes the pages of a host. It fails with connector.UsageWrong if an
// option is missing or can't be meant. The handler is safe for concurrent use
// and starts nothing that outlives a request.
func Handler(h *host.Host, o Options) (http.Handler, error) {
	base, err := url.Parse(o.Base)
	switch {
	case h == nil || o.Principal == nil || o.Load == nil || len(o.Choices) == 0:
		return nil, misuse("it needs a host, a principal, a loader and a connector to offer")
	case err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" || base.RawQuery != "" || base.Fragment != "" || base.User != nil || strings.HasSuffix(o.Base, "/"):
		return nil, misuse("its base must be an http or https URL without query, fragment and a slash at the end")
	}
	p := &handler{host: h, base: base, opts: o, log: o.Logger, slots: make(chan struct{}, maxCallbacks)}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	return p.guard(http.StripPrefix(base.Path, p.routes())), nil
}

func (p *handler) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.as(p.list))
	mux.HandleFunc("GET /new", p.as(p.newForm))
	mux.HandleFunc("GET /drafts/{id}", p.as(p.draftForm))
	mux.HandleFunc("POST /form/keep", p.as(p.keep))
	mux.HandleFunc("POST /form/generate", p.as(p.generate))
	mux.HandleFunc("POST /form/test", p.as(p.test))
	mux.HandleFunc("POST /form/save", p.as(p.save))
	mux.HandleFunc("POST /form/discard", p.as(p.discard))
	mux.HandleFunc("GET /connections/{id}", p.as(p.connection))
	mux.HandleFunc("POST /connections/{id}/edit", p.as(p.edit))
	mux.HandleFunc("POST /connections/{id}/sign-in", p.as(p.signInAgain))
	mux.HandleFunc("POST /connections/{id}/account", p.as(p.account))
	mux.HandleFunc("POST /connections/{id}/test", p.as(p.testSaved))
	mux.HandleFunc("GET /connections/{id}/state", p.as(p.state))
	mux.HandleFunc("GET /connections/{id}/delete", p.as(p.confirmDelete))
	mux.HandleFunc("POST /connections/{id}/delete", p.as(p.delete))
	mux.HandleFunc("GET /audit", p.as(p.audit))
	mux.HandleFunc("GET /account/{owner}/oauth2/callback", p.callback)
	mux.Handle("GET /assets/", assetServer())
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p.fail(w, r, http.StatusNotFound, connector.Errorf(connector.ConnectionNotFound, connector.OriginHost, "There is no such page.").
			Suggest("Go back to the list of connections."))
	})
	return mux
}

// visit is one request of a principal.
type visit struct {
	*handler
	w      http.ResponseWriter
	r      *http.Request
	who    Principal
	tenant *host.Tenant
}

// as runs a page for the request's principal.
func (p *handler) as(page func(v *visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := p.opts.Principal(r)
		if err == nil && !segment(who.Owner) {
			err = misuse("the principal's owner can't be a segment of a path")
		}
		if err != nil {
			p.log.WarnContext(r.Context(), "a request without a principal", "error", err)
			p.fail(w, r, http.StatusForbidden, connector.Errorf(connector.PermissionDenied, connector.OriginHost, "You aren't known here.").
				Suggest("Sign in to the engine first."))
			return
		}
		v := &visit{p, w, r, who, p.host.Tenant(who.Owner, who.Environment, who.Actor)}
		if err := page(v); err != nil {
			d := connector.Diagnose(err, connector.OriginHost)
			p.fail(w, r, statusOf(d), d)
		}
	}
}

// path is an address of the handler for the browser.
func (p *handler) path(elements ...string) string {
	var b strings.Builder
	b.WriteString(p.base.EscapedPath())
	for _, e := range elements {
		b.WriteString("/" + url.PathEscape(e))
	}
	if len(elements) == 0 {
		b.WriteString("/")
	}
	return b.String()
}

// redirectURI is the callback's address for an owner.
func (p *handler) redirectURI(owner string) string {
	return p.opts.Base + "/account/" + url.PathEscape(owner) + "/oauth2/callback"
}

// segment reports whether an owner can be a segment of a path, unescaped.
func segment(owner string) bool {
	return owner != "" && len(owner) <= 64 && owner != "." && owner != ".." && url.PathEscape(owner) == owner
}

func statusOf(d *connector.Diagnostic) int {
	switch d.Code {
	case connector.ConnectionNotFound:
		return http.StatusNotFound
	case connector.ConnectionExists, connector.ConnectionChanged, connector.AccountMismatch:
		return http.StatusConflict
	case connector.PermissionDenied:
		return http.StatusForbidden
	case connector.StoreBusy, connector.StoreUnavailable, connector.RateLimited, connector.ServiceUnavailable:
		return http.StatusServiceUnavailable
	case connector.Internal:
		return http.StatusInternalServerError
	case connector.LimitExceeded:
		return http.StatusRequestEntityTooLarge
	default:
		return http.StatusUnprocessableEntity
	}
}

func misuse(what string) *connector.Diagnostic {
	return connector.Errorf(connector.UsageWrong, connector.OriginHost, "The connection page can't be made: %s.", what).
		Suggest("Correct the options of web.Handler.")
}
