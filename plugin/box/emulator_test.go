package box_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/plugin/box"
	"github.com/boxconnection/connector/plugin/box/boxsim"
	"github.com/boxconnection/connector/proto/connector"
)

// emulated is the connector against an emulated Box.
type emulated struct {
	*box.Connector
	sim      *boxsim.Instance
	control  boxsim.Control
	settings plugin.Settings
}

func emulate(t *testing.T, change func(*boxsim.Knobs)) *emulated {
	t.Helper()
	knobs := boxsim.DefaultKnobs()
	knobs.AutoConsent, knobs.EnforcePKCE = true, true
	if change != nil {
		change(&knobs)
	}
	sim, err := boxsim.Listen(context.Background(), "localhost:0", boxsim.Options{
		ClientID: clientID, ClientSecret: clientSecret, RedirectURIs: []string{redirectURI}, Knobs: &knobs,
	}, boxsim.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	control := sim.Control()
	control.Client = client
	return &emulated{box.New(), sim, control, settingsFor(sim.BaseURL())}
}

// signIn signs in as the emulator's first user, as a browser would.
func (e *emulated) signIn(t *testing.T) connector.Credential {
	t.Helper()
	begun, err := e.BeginAuthorization(t.Context(), plugin.BeginRequest{
		Settings: e.settings, RedirectURI: redirectURI, State: connector.NewSecret("state-of-the-host"), Now: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := browser.Get(begun.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	done, err := e.CompleteAuthorization(t.Context(), plugin.CompleteRequest{
		Settings: e.settings, Pending: begun.Pending, CallbackURL: connector.NewSecret(resp.Header.Get("Location")), Now: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return done.Credential
}

// renew renews as the holder of a lease would.
func (e *emulated) renew(t *testing.T, c connector.Credential) (plugin.Opened, error) {
	t.Helper()
	now := time.Now()
	return e.Open(t.Context(), plugin.OpenRequest{
		Settings: e.settings, Credential: c, AllowRenew: true, AccessRefused: true, Deadline: now.Add(time.Minute), Now: now,
	})
}

func (e *emulated) access(t *testing.T, c connector.Credential) *connector.Access {
	t.Helper()
	opened, err := e.Open(t.Context(), plugin.OpenRequest{Settings: e.settings, Credential: c, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return opened.Access
}

func (e *emulated) identify(t *testing.T, a *connector.Access) (connector.Account, error) {
	t.Helper()
	return e.Identify(t.Context(), plugin.IdentifyRequest{Settings: e.settings, Access: a})
}

func (e *emulated) counters(t *testing.T) boxsim.Counters {
	t.Helper()
	state, err := e.control.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state.Counters
}

func (e *emulated) fail(t *testing.T, f boxsim.Fault) {
	t.Helper()
	if _, err := e.control.AddFault(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// A sign-in and ten renewals, each used once: no token is ever sent twice.
func TestTenRenewals(t *testing.T) {
	t.Parallel()
	for _, rotation := range []boxsim.Rotation{boxsim.ReplayUntilUsed, boxsim.StrictSingleUse, boxsim.DistinctChildren} {
		t.Run(string(rotation), func(t *testing.T) {
			t.Parallel()
			e := emulate(t, func(k *boxsim.Knobs) { k.Rotation = rotation })
			c := e.signIn(t)
			who, err := e.identify(t, e.access(t, c))
			if err != nil {
				t.Fatal(err)
			}
			if want := (connector.Account{ID: "3300001", Login: "ada@acme.example", Name: "Ada Admin", EnterpriseID: "7700001", EnterpriseName: "Acme Corporation"}); who != want {
				t.Errorf("account is %+v, want %+v", who, want)
			}
			for range 10 {
				opened, err := e.renew(t, c)
				if err != nil {
					t.Fatal(err)
				}
				c = *opened.Credential
				if again, err := e.identify(t, opened.Access); err != nil || !again.Same(who) {
					t.Fatalf("account %+v, %v", again, err)
				}
			}
			if got := e.counters(t); got.Renewals != 10 || got.Replays != 0 || got.ReusedAfterConsumption != 0 || got.TokenRequests != 11 {
				t.Errorf("counters: %+v", got)
			}
		})
	}
}

// A renewal uses nothing that it got: until the host lets the new token be
// used, the same renewal may be made again, and the old token works.
func TestRenewalUsesNothing(t *testing.T) {
	t.Parallel()
	e := emulate(t, nil)
	c := e.signIn(t)
	old := e.access(t, c)
	first, err := e.renew(t, c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.identify(t, old); err != nil {
		t.Errorf("the old token was retired by the renewal: %v", err)
	}
	second, err := e.renew(t, c)
	if err != nil {
		t.Fatal(err)
	}
	if first.Access.Token.Reveal() != second.Access.Token.Reveal() {
		t.Error("the repeated renewal brought another token")
	}
	if _, err := e.identify(t, second.Access); err != nil {
		t.Fatal(err)
	}
	_, err = e.renew(t, c)
	wantDiagnostic(t, err, connector.GrantInvalid, connector.SignInAgain)
}

// An answer that is lost after the service has acted costs nothing where the
// service replays, and is told apart from a dead grant.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for name, action := range map[string]boxsim.Action{
		"dropped":   {When: boxsim.AfterCommit, Drop: true},
		"truncated": {When: boxsim.AfterCommit, Truncate: true},
		"replaced":  {When: boxsim.AfterCommit, Row: "web_bad_gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := emulate(t, nil)
			c := e.signIn(t)
			e.fail(t, boxsim.Fault{Match: boxsim.Match{GrantType: "refresh_token"}, Then: action})
			_, err := e.renew(t, c)
			if d := diagnosticOf(t, err); d.Disposition != connector.Retry {
				t.Errorf("got %v", d)
			}
			opened, err := e.renew(t, c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.identify(t, opened.Access); err != nil {
				t.Error(err)
			}
			if got := e.counters(t); got.Replays != 1 || got.ReusedAfterConsumption != 0 {
				t.Errorf("counters: %+v", got)
			}
		})
	}
}

func TestRevokedAtBox(t *testing.T) {
	t.Parallel()
	e := emulate(t, nil)
	c := e.signIn(t)
	a := e.access(t, c)
	req := plugin.RevokeRequest{Settings: e.settings, Credential: c}
	for range 2 { // the second time there is nothing left
		if err := e.Revoke(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	_, err := e.identify(t, a)
	wantDiagnostic(t, err, connector.AccessRefused, "")
	_, err = e.renew(t, c)
	wantDiagnostic(t, err, connector.GrantInvalid, connector.SignInAgain)
}

func TestSixtyDaysUnused(t *testing.T) {
	t.Parallel()
	e := emulate(t, nil)
	c := e.signIn(t)
	if err := e.control.Advance(t.Context(), 61*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	_, err := e.renew(t, c)
	wantDiagnostic(t, err, connector.GrantInvalid, connector.SignInAgain)
	if d := diagnosticOf(t, err); !strings.Contains(d.Summary, "60 days") {
		t.Errorf("the summary doesn't tell of the 60 days: %s", d.Summary)
	}
}

func TestNarrowAtBox(t *testing.T) {
	t.Parallel()
	e := emulate(t, nil)
	full := e.access(t, e.signIn(t))
	narrow := func(resource string, scopes ...string) (*connector.Access, error) {
		return e.Narrow(t.Context(), plugin.NarrowRequest{Settings: e.settings, Access: full, Scopes: scopes, Resource: resource})
	}
	a, err := narrow(e.sim.BaseURL()+"/2.0/folders/0", "item_preview", "item_download")
	if err != nil {
		t.Fatal(err)
	}
	if !a.Scopes.Known || !slices.Equal(a.Scopes.Values, []string{"item_download", "item_preview"}) {
		t.Errorf("scopes: %+v", a.Scopes)
	}
	if a.Token.Reveal() == full.Token.Reveal() || a.ExpiresAt.After(full.ExpiresAt) || a.ExpiresAt.IsZero() {
		t.Errorf("expires %v, its parent %v", a.ExpiresAt, full.ExpiresAt)
	}
	if _, err := narrow("", "base_preview"); err != nil {
		t.Error(err)
	}
	_, err = narrow("", "manage_webhook")
	wantDiagnostic(t, err, connector.ScopeMissing, connector.AskAdministrator)
	_, err = narrow(e.sim.BaseURL()+"/2.0/folders/999999999", "item_preview")
	wantDiagnostic(t, err, connector.ItemNotFound, "")
	if err := e.control.Advance(t.Context(), 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	_, err = narrow("", "item_preview")
	wantDiagnostic(t, err, connector.AccessRefused, "")
}

// outcome is what a row of the emulator's catalogue must come to.
type outcome struct {
	code        connector.Code
	disposition connector.Disposition
}

// atToken lists the outcome of every row at a renewal, except for those that
// are below.
var atToken = map[string]outcome{
	"token_refresh_invalid":           {connector.GrantInvalid, connector.SignInAgain},
	"token_refresh_expired":           {connector.GrantInvalid, connector.SignInAgain},
	"token_client_invalid":            {connector.ClientRejected, connector.FixSettings},
	"token_request_invalid":           {connector.ServiceRefused, connector.FixSettings},
	"token_refresh_missing":           {connector.ServiceRefused, ""},
	"token_grant_type_unauthorized":   {connector.ClientUnauthorized, connector.FixSettings},
	"token_app_not_authorized":        {connector.ClientUnauthorized, connector.AskAdministrator},
	"token_subject_type_unauthorized": {connector.ClientUnauthorized, connector.FixSettings},
	"token_user_not_obtainable":       {connector.ServiceRefused, ""},
	"token_user_not_obtainable_old":   {connector.ServiceRefused, ""},
	"token_resource_invalid":          {connector.ServiceRefused, ""},
	"token_forbidden":                 {connector.PermissionDenied, connector.AskAdministrator},
	"token_conflict":                  {connector.ServiceConflict, connector.Retry},
	"token_rate_limited":              {connector.RateLimited, connector.Retry},
	"token_password_reset":            {connector.AccountActionRequired, connector.AskAdministrator},
	"token_terms_of_service":          {connector.AccountActionRequired, connector.AskAdministrator},
	"token_account_deactivated":       {connector.AccountInactive, connector.AskAdministrator},
	"token_trial_ended":               {connector.AccountInactive, connector.AskAdministrator},
	"token_service_blocked":           {connector.ApplicationBlocked, connector.AskAdministrator},
	"token_service_blocked_403":       {connector.ApplicationBlocked, connector.AskAdministrator},
	"token_device_unauthorized":       {connector.LocationBlocked, connector.AskAdministrator},
	"token_grace_period_expired":      {connector.AccountInactive, connector.AskAdministrator},
	"token_location_blocked":          {connector.LocationBlocked, connector.AskAdministrator},
	"token_ip_blocked":                {connector.LocationBlocked, connector.AskAdministrator},
	"web_internal_error":              {connector.ServiceUnavailable, connector.Retry},
	"web_bad_gateway":                 {connector.ServiceUnavailable, connector.Retry},
	"web_unavailable":                 {connector.ServiceUnavailable, connector.Retry},
	"web_gateway_timeout":             {connector.ServiceUnavailable, connector.Retry},
	"proxy_unauthorized":              {connector.ProxyFailed, connector.FixSettings},
	"proxy_authentication_required":   {connector.ProxyFailed, connector.FixSettings},
	"proxy_login_page":                {connector.UnexpectedAnswer, connector.Retry},
}

// atExchange lists the rows that are about the code of a sign-in.
var atExchange = map[string]outcome{
	"token_code_expired": {connector.AuthorizationExpired, connector.SignInAgain},
	"token_code_invalid": {connector.AuthorizationInvalid, connector.SignInAgain},
}

// atAPI lists the outcome of every row at a call of the API.
var atAPI = map[string]outcome{
	"api_token_invalid":             {connector.AccessRefused, ""},
	"api_token_missing":             {connector.AccessRefused, ""},
	"api_user_deactivated":          {connector.AccountInactive, connector.AskAdministrator},
	"api_unauthorized":              {connector.AccountInactive, connector.AskAdministrator},
	"api_scope_insufficient":        {connector.ScopeMissing, connector.AskAdministrator},
	"api_scope_insufficient_json":   {connector.ScopeMissing, connector.AskAdministrator},
	"api_permission_denied":         {connector.PermissionDenied, connector.AskAdministrator},
	"api_email_unconfirmed":         {connector.AccountActionRequired, connector.AskAdministrator},
	"api_location_blocked":          {connector.LocationBlocked, connector.AskAdministrator},
	"api_not_found":                 {connector.ServiceRefused, connector.FixSettings},
	"api_bad_request":               {connector.ServiceRefused, ""},
	"api_terms_of_service":          {connector.AccountActionRequired, connector.AskAdministrator},
	"api_method_not_allowed":        {connector.ServiceRefused, ""},
	"api_conflict":                  {connector.ServiceConflict, connector.Retry},
	"api_precondition_failed":       {connector.ServiceRefused, ""},
	"api_rate_limited":              {connector.RateLimited, connector.Retry},
	"api_internal_error":            {connector.ServiceUnavailable, connector.Retry},
	"api_bad_gateway":               {connector.ServiceUnavailable, connector.Retry},
	"api_unavailable":               {connector.ServiceUnavailable, connector.Retry},
	"api_out_of_space":              {connector.ServiceRefused, connector.AskAdministrator},
	"web_internal_error":            {connector.ServiceUnavailable, connector.Retry},
	"web_bad_gateway":               {connector.ServiceUnavailable, connector.Retry},
	"web_unavailable":               {connector.ServiceUnavailable, connector.Retry},
	"web_gateway_timeout":           {connector.ServiceUnavailable, connector.Retry},
	"proxy_unauthorized":            {connector.ProxyFailed, connector.FixSettings},
	"proxy_authentication_required": {connector.ProxyFailed, connector.FixSettings},
	"proxy_login_page":              {connector.UnexpectedAnswer, connector.Retry},
}

// elsewhere are rows of other kinds of sign-in, of pages in the browser and of
// folders and files, which the connector doesn't ask for.
func elsewhere(row boxsim.Row) bool {
	return row.Surface == boxsim.SurfaceAuthorize || row.Surface == boxsim.SurfaceContent || row.Code == "invalid_grant" &&
		(strings.Contains(row.Message, "claim") || strings.Contains(row.Message, "kid") || row.Name == "token_credentials_invalid")
}

// Everything that Box is known to answer comes to the code and the disposition
// that a person or a host can act on, and never ends the grant unless it is
// dead.
func TestEveryKnownFailure(t *testing.T) {
	t.Parallel()
	e := emulate(t, nil)
	c := e.signIn(t)
	a := e.access(t, c)
	for _, row := range boxsim.Catalogue() {
		known := elsewhere(row)
		try := func(table map[string]outcome, path string, call func() error) {
			want, ok := table[row.Name]
			if !ok {
				return
			}
			known = true
			t.Run(row.Name+path, func(t *testing.T) {
				e.fail(t, boxsim.Fault{Match: boxsim.Match{Path: path}, Then: boxsim.Action{Row: row.Name}})
				err := call()
				wantDiagnostic(t, err, want.code, want.disposition)
				d := diagnosticOf(t, err)
				if after := row.Headers["retry-after"]; after != "" && d.RetryAfter == 0 {
					t.Errorf("the service asked to wait %s s, which is lost", after)
				}
				if row.Message != "" && strings.Contains(d.Error(), row.Message) {
					t.Errorf("the service's text is shown as it is: %s", d)
				}
			})
		}
		try(atToken, "/oauth2/token", func() error { _, err := e.renew(t, c); return err })
		try(atExchange, "/oauth2/token", func() error {
			begun := begin(t, e.Connector, e.settings, redirectURI)
			_, err := complete(t, e.Connector, e.settings, begun, goodCallback())
			return err
		})
		try(atAPI, "/2.0/users/me", func() error { _, err := e.identify(t, a); return err })
		if !known {
			t.Errorf("no outcome is written down for row %s", row.Name)
		}
	}
	if _, err := e.renew(t, c); err != nil {
		t.Errorf("after all failures the grant no longer renews: %v", err)
	}
}

// The whole test of a working connection, as a person sees it.
func TestChecksAgainstTheEmulator(t *testing.T) {
	t.Parallel()
	e := emulate(t, nil)
	a := e.access(t, e.signIn(t))
	statuses := map[string]connector.CheckStatus{}
	for c := range e.Test(t.Context(), plugin.TestRequest{Settings: e.settings, Access: a}) {
		statuses[c.ID] = c.Status
		if c.ID == "account_active" && !strings.Contains(c.Message, "ada@acme.example") {
			t.Errorf("it isn't told whose account it is: %q", c.Message)
		}
	}
	for _, d := range e.Describe().Checks {
		want := connector.CheckPassed
		if d.ID == "scopes" {
			want = connector.CheckWarning // Box doesn't tell them
		}
		if statuses[d.ID] != want {
			t.Errorf("%s is %s, want %s", d.ID, statuses[d.ID], want)
		}
	}
}
