package box

import (
	"context"
	"fmt"
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

// check is a declared check with its work. The work returns a check with
// status, message and diagnostic.
type check struct {
	declaration connector.CheckDeclaration
	run         func(*checkup, context.Context) connector.Check
}

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

// checks are the checks of a connection test in their order.
func checks() []check {
	none, read := connector.SideEffectNone, connector.SideEffectRead
	return []check{
		{connector.CheckDeclaration{ID: "settings", Title: "Settings are complete", SideEffect: none}, (*checkup).complete},
		{connector.CheckDeclaration{ID: "authorization_host", Title: "Sign-in page can be reached", DependsOn: []string{"settings"}, SideEffect: none},
			(*checkup).authorizationHost},
		{connector.CheckDeclaration{ID: "api_reachable", Title: "API can be reached", DependsOn: []string{"settings"}, SideEffect: none},
			(*checkup).apiReachable},
		{connector.CheckDeclaration{ID: "clock", Title: "Clocks agree", DependsOn: []string{"api_reachable"}, SideEffect: none}, (*checkup).clock},
		{connector.CheckDeclaration{ID: "token_accepted", Title: "Access token is accepted", DependsOn: []string{"api_reachable"}, SideEffect: read},
			(*checkup).tokenAccepted},
		{connector.CheckDeclaration{ID: "account_active", Title: "Account is active", DependsOn: []string{"token_accepted"}, SideEffect: none},
			(*checkup).accountActive},
		{connector.CheckDeclaration{ID: "root_folder", Title: "Root folder can be read", DependsOn: []string{"token_accepted"}, SideEffect: read},
			(*checkup).rootFolder},
		{connector.CheckDeclaration{ID: "scopes", Title: "Needed scopes are granted", DependsOn: []string{"token_accepted"}, SideEffect: none},
			(*checkup).scopes},
	}
}

func declaredChecks() []connector.CheckDeclaration {
	all := checks()
	declared := make([]connector.CheckDeclaration, len(all))
	for i, c := range all {
		declared[i] = c.declaration
	}
	return declared
}

// Test runs the checks. Without access, those of the token are skipped.
func (c *Connector) Test(ctx context.Context, req plugin.TestRequest) iter.Seq[connector.Check] {
	return func(yield func(connector.Check) bool) {
		up := &checkup{Connector: c, req: req}
		passed := map[string]bool{}
		for _, k := range checks() {
			d := k.declaration
			begun := time.Now()
			result := connector.Check{Status: connector.CheckSkipped}
			if !slices.ContainsFunc(d.DependsOn, func(id string) bool { return !passed[id] }) {
				result = k.run(up, ctx)
			}
			passed[d.ID] = result.Status == connector.CheckPassed || result.Status == connector.CheckWarning
			result.ID, result.Title, result.DependsOn, result.SideEffect = d.ID, d.Title, d.DependsOn, d.SideEffect
			result.Duration = time.Since(begun)
			if !yield(result) {
				return
			}
		}
	}
}

func (u *checkup) complete(context.Context) connector.Check {
	s, err := load(u.req.Settings)
	if err != nil {
		return failed(connector.Diagnose(err, connector.OriginConnector))
	}
	base, err := u.transports.get(u.req.Network)
	if err != nil {
		return failed(connector.Diagnose(err, connector.OriginConnector))
	}
	u.settings, u.base = s, base
	return passed("All values are there.")
}

// authorizationHost looks whether the sign-in page's host answers. Any answer
// will do: the page itself needs a person.
func (u *checkup) authorizationHost(ctx context.Context) connector.Check {
	a, _, d := u.knock(ctx, u.settings.AuthorizeURL)
	if d != nil {
		return failed(d.At("/authorize_url"))
	}
	return passed(a.host + " answers.")
}

func (u *checkup) apiReachable(ctx context.Context) connector.Check {
	a, took, d := u.knock(ctx, u.settings.APIURL)
	if d != nil {
		return failed(d.At("/api_url"))
	}
	u.served, u.took = a, took
	return passed(a.host + " answers.")
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
	if a.status == http.StatusProxyAuthRequired || a.foreignChallenge() || a.status >= 500 {
		return nil, 0, a.common("")
	}
	return a, took, nil
}

// clock compares this machine's clock with the service's, which wrote its
// answer about half of the time that it took ago.
func (u *checkup) clock(context.Context) connector.Check {
	served, err := http.ParseTime(u.served.header.Get("Date"))
	if err != nil {
		return connector.Check{Status: connector.CheckSkipped, Message: u.served.host + " doesn't tell its time."}
	}
	off := u.served.now.Sub(served) - u.took/2
	amount := off.Abs().Round(time.Second)
	if amount <= skewWarning {
		return passed("This machine's clock agrees with the service's to within a minute.")
	}
	direction := "ahead of"
	if off < 0 {
		direction = "behind"
	}
	d := connector.Errorf(connector.ClockSkewed, connector.OriginConnector, "This machine's clock is %s %s the service's.", amount, direction).
		Suggest("Set the date and time of the machine where the connector runs, and let it synchronise them (NTP).")
	if amount > skewFailure {
		return failed(d)
	}
	return warning(d)
}

func (u *checkup) tokenAccepted(ctx context.Context) connector.Check {
	if u.req.Access == nil {
		return connector.Check{Status: connector.CheckSkipped, Message: "Nobody has signed in yet."}
	}
	who, d := u.me(ctx, u.base, u.settings, u.req.Access)
	if d != nil {
		return failed(d)
	}
	u.account = who
	return passed("The service accepts the access token.")
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
		return passed("Signed in as " + who + ".")
	case "cannot_delete_edit", "cannot_delete_edit_upload":
		return warning(connector.Errorf(connector.PermissionDenied, connector.OriginService, "The account %s may not change everything at Box.", who).
			WithDetail("status %s", u.account.Status).
			Suggest("Ask the company's Box administrator to lift the account's restriction if the connection has to write."))
	}
	return failed(connector.Errorf(connector.AccountInactive, connector.OriginService, "The account %s isn't active.", who).
		With(connector.AskAdministrator).Suggest("%s", inactiveAdvice))
}

func (u *checkup) rootFolder(ctx context.Context) connector.Check {
	if _, d := u.get(ctx, u.base, u.settings, u.req.Access, "folders/0/items?limit=1"); d != nil {
		return failed(d)
	}
	return passed("The account's root folder can be read.")
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
		d.Severity = connector.SeverityWarning
		return warning(d)
	}
	var lacking []string
	for _, scope := range u.req.RequiredScopes {
		if !slices.Contains(granted.Values, scope) {
			lacking = append(lacking, scope)
		}
	}
	if len(lacking) > 0 {
		return failed(connector.Errorf(connector.ScopeMissing, connector.OriginService, "The access lacks: %s.", strings.Join(lacking, " ")).
			With(connector.AskAdministrator).
			Suggest("Enable the scopes on the app's Configuration page in the Box developer console (Application Scopes), and in the connection's scopes if any are listed there; then sign in again."))
	}
	return passed(fmt.Sprintf("%d needed, all granted.", len(u.req.RequiredScopes)))
}

func passed(message string) connector.Check {
	return connector.Check{Status: connector.CheckPassed, Message: message}
}

func failed(d *connector.Diagnostic) connector.Check {
	return connector.Check{Status: connector.CheckFailed, Diagnostic: d}
}

func warning(d *connector.Diagnostic) connector.Check {
	w := *d
	w.Severity = connector.SeverityWarning
	return connector.Check{Status: connector.CheckWarning, Diagnostic: &w}
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
