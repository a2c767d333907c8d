package box

import (
	"context"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
)

// Differences of the clocks that matter. Tokens last an hour and are renewed
// three minutes early, so five minutes are too much.
const (
	skewWarning = time.Minute
	skewFailure = 5 * time.Minute
)

// checkup is one run of a connection test, with what earlier checks found.
type checkup struct {
	*Connector
	req      plugin.TestRequest
	settings *settings
	base     http.RoundTripper
	served   *reply        // the API's answer to a request without a token
	took     time.Duration // how long it took
	account  *account
}

// declaredChecks are the checks of a connection test in their order.
func declaredChecks() []connector.CheckDeclaration {
	none, read := connector.SideEffectNone, connector.SideEffectRead
	return []connector.CheckDeclaration{
		{ID: "settings", Title: "Settings are complete", SideEffect: none},
		{ID: "authorization_host", Title: "Sign-in page can be reached", DependsOn: []string{"settings"}, SideEffect: none},
		{ID: "api_reachable", Title: "API can be reached", DependsOn: []string{"settings"}, SideEffect: none},
		{ID: "clock", Title: "Clocks agree", DependsOn: []string{"api_reachable"}, SideEffect: none},
		{ID: "token_accepted", Title: "Access token is accepted", DependsOn: []string{"api_reachable"}, SideEffect: read},
		{ID: "account_active", Title: "Account is active", DependsOn: []string{"token_accepted"}, SideEffect: none},
		{ID: "root_folder", Title: "Root folder can be read", DependsOn: []string{"token_accepted"}, SideEffect: read},
		{ID: "scopes", Title: "Needed scopes are granted", DependsOn: []string{"token_accepted"}, SideEffect: none},
	}
}

// Test runs the checks. Without access, those of the token are skipped.
func (c *Connector) Test(ctx context.Context, req plugin.TestRequest) iter.Seq[connector.Check] {
	up := &checkup{Connector: c, req: req}
	return plugin.RunChecks(ctx, declaredChecks(), map[string]plugin.CheckFunc{
		"settings":           up.complete,
		"authorization_host": up.authorizationHost,
		"api_reachable":      up.apiReachable,
		"clock":              up.clock,
		"token_accepted":     up.tokenAccepted,
		"account_active":     up.accountActive,
		"root_folder":        up.rootFolder,
		"scopes":             up.scopes,
	})
}

func (u *checkup) complete(context.Context) connector.Check {
	s, err := load(u.req.Settings)
	if err != nil {
		return plugin.Failed(err)
	}
	base, err := u.transports.get(u.req.Network)
	if err != nil {
		return plugin.Failed(err)
	}
	u.settings, u.base = s, base
	return plugin.Passed("All values are there.")
}

// authorizationHost looks whether the sign-in page's host answers, and that of
// the tokens, unless another check asks it. Any answer will do: the page needs
// a person, and the token endpoint a grant.
func (u *checkup) authorizationHost(ctx context.Context) connector.Check {
	a, _, d := u.knock(ctx, u.settings.AuthorizeURL)
	if d != nil {
		return plugin.Failed(d.At("/authorize_url"))
	}
	if host := hostOf(u.settings.TokenURL); host != a.host && host != hostOf(u.settings.APIURL) {
		if _, _, d := u.knock(ctx, u.settings.TokenURL); d != nil {
			return plugin.Failed(d.At("/token_url"))
		}
	}
	return plugin.Passed("%s answers.", a.host)
}

func (u *checkup) apiReachable(ctx context.Context) connector.Check {
	a, took, d := u.knock(ctx, u.settings.APIURL)
	if d != nil {
		return plugin.Failed(d.At("/api_url"))
	}
	u.served, u.took = a, took
	return plugin.Passed("%s answers.", a.host)
}

// knock sends a request without a token. Only the failures of the way there,
// or of the service as a whole, count.
func (u *checkup) knock(ctx context.Context, target string) (*reply, time.Duration, *connector.Diagnostic) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, target, nil)
	if err != nil {
		return nil, 0, wrong("", "The URL can't be used.", "Correct it.").Because(err)
	}
	a, took, d := send(ctx, u.base, req, u.now)
	if d != nil {
		return nil, 0, d
	}
	down := a.status >= 500 && a.status != http.StatusNotImplemented // which is about HEAD
	if a.status == http.StatusProxyAuthRequired || a.foreignChallenge() || down {
		return nil, 0, a.common("")
	}
	return a, took, nil
}

// clock compares this machine's clock with the service's, which wrote its
// answer about half of the time that it took ago.
func (u *checkup) clock(context.Context) connector.Check {
	served, err := http.ParseTime(u.served.header.Get("Date"))
	if err != nil {
		return plugin.Skipped("%s doesn't tell its time.", u.served.host)
	}
	off := u.served.now.Sub(served) - u.took/2
	amount := off.Abs().Round(time.Second)
	if amount <= skewWarning {
		return plugin.Passed("This machine's clock agrees with the service's to within a minute.")
	}
	direction := "ahead of"
	if off < 0 {
		direction = "behind"
	}
	d := connector.Errorf(connector.ClockSkewed, connector.OriginConnector, "This machine's clock is %s %s the service's.", amount, direction).
		Suggest("Set the date and time of the machine where the connector runs, and let it synchronise them (NTP).")
	if amount > skewFailure {
		return plugin.Failed(d)
	}
	return warned(d)
}

func (u *checkup) tokenAccepted(ctx context.Context) connector.Check {
	if u.req.Access == nil {
		return plugin.Skipped("Nobody has signed in yet.")
	}
	who, d := u.me(ctx, u.base, u.settings, u.req.Access)
	if d != nil {
		return plugin.Failed(d)
	}
	u.account = who
	return plugin.Passed("The service accepts the access token.")
}

func (u *checkup) accountActive(context.Context) connector.Check {
	who := shown(u.account.Login)
	if who == "" {
		who = shown(u.account.ID)
	}
	if e := u.account.Enterprise; e != nil {
		who += " of " + shown(e.Name)
	}
	switch u.account.Status {
	case "", "active":
		return plugin.Passed("Signed in as %s.", who)
	case "cannot_delete_edit", "cannot_delete_edit_upload":
		return warned(connector.Errorf(connector.PermissionDenied, connector.OriginService, "The account %s may not change everything at Box.", who).
			WithDetail("status %s", u.account.Status).
			Suggest("Ask the company's Box administrator to lift the account's restriction if the connection has to write."))
	}
	return plugin.Failed(connector.Errorf(connector.AccountInactive, connector.OriginService, "The account %s isn't active.", who).
		With(connector.AskAdministrator).Suggest("%s", inactiveAdvice))
}

func (u *checkup) rootFolder(ctx context.Context) connector.Check {
	if _, d := u.get(ctx, u.base, u.settings, u.req.Access, "folders/0/items?limit=1"); d != nil {
		return plugin.Failed(d)
	}
	return plugin.Passed("The account's root folder can be read.")
}

// scopes compares what is needed with what is granted. Box doesn't tell what
// it granted, which is never taken for a match.
func (u *checkup) scopes(context.Context) connector.Check {
	granted := u.req.Access.Scopes
	if !granted.Known {
		d := connector.Errorf(connector.ScopesUnknown, connector.OriginService, "The service doesn't tell which scopes it granted.").
			Suggest("Compare the scopes on the app's Configuration page in the Box developer console with what the connection is used for.")
		if len(u.req.RequiredScopes) > 0 {
			d = d.WithDetail("needed: %s", strings.Join(u.req.RequiredScopes, " "))
		}
		return warned(d)
	}
	var lacking []string
	for _, scope := range u.req.RequiredScopes {
		if !slices.Contains(granted.Values, scope) {
			lacking = append(lacking, scope)
		}
	}
	if len(lacking) > 0 {
		return plugin.Failed(connector.Errorf(connector.ScopeMissing, connector.OriginService, "The access lacks: %s.", strings.Join(lacking, " ")).
			With(connector.AskAdministrator).
			Suggest("Enable the scopes on the app's Configuration page in the Box developer console (Application Scopes), and in the connection's scopes if any are listed there; then sign in again."))
	}
	return plugin.Passed("%d needed, all granted.", len(u.req.RequiredScopes))
}

// warned is a result of a check whose diagnostic is no more than a warning.
func warned(d *connector.Diagnostic) connector.Check {
	w := *d
	w.Severity = connector.SeverityWarning
	return plugin.Warned(&w)
}

// shown is a name of the service's, fit for a line of text.
func shown(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, name)
	if runes := []rune(name); len(runes) > 100 {
		name = string(runes[:100]) + "…"
	}
	return name
}
