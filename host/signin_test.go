package host_test

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// A callback that doesn't fit is refused and ends nothing: the right one still
// counts afterwards, once.
func TestForeignCallbacksEndNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPlace(t), newService())
	c := r.create("sales")
	s, err := c.BeginSignIn(t.Context(), redirectURI)
	if err != nil {
		t.Fatal(err)
	}
	good := callback(t, s)
	u, _ := url.Parse(good)
	forged := *u
	forged.RawQuery = url.Values{"state": {"forged"}, "code": {"c"}}.Encode()
	for name, bad := range map[string]string{
		"forged state":  forged.String(),
		"no state":      redirectURI + "?code=c",
		"two states":    good + "&state=other",
		"another host":  strings.Replace(good, "localhost", "127.0.0.1", 1),
		"another path":  strings.Replace(good, "/local/", "/other/", 1),
		"another port":  strings.Replace(good, "8085", "8086", 1),
		"no URL":        "http://[::1",
		"a megabyte":    good + "&x=" + strings.Repeat("a", 1<<20),
		"invalid query": good + "&x=%zz",
	} {
		if _, err := r.CompleteSignIn(t.Context(), bad, s.Binding); err == nil {
			t.Errorf("%s was accepted", name)
		} else {
			wantCode(t, err, connector.AuthorizationInvalid)
		}
	}
	if _, err := r.CompleteSignIn(t.Context(), good, connector.NewSecret("another browser")); err == nil {
		t.Error("another browser's callback was accepted")
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	accepted := 0
	for range 8 {
		wg.Go(func() {
			if _, err := r.CompleteSignIn(t.Context(), good, s.Binding); err == nil {
				mu.Lock()
				accepted++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if accepted != 1 {
		t.Fatalf("the callback was accepted %d times", accepted)
	}
	wantAccess(t, c, "access-1")
}

// The callback may land on another node than the one that began.
func TestCallbackOnAnotherNode(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	begins, ends := newRig(t, p, svc), newRig(t, p, svc)
	c := begins.create("sales")
	s, err := c.BeginSignIn(t.Context(), redirectURI)
	if err != nil {
		t.Fatal(err)
	}
	done, err := ends.CompleteSignIn(t.Context(), callback(t, s), s.Binding)
	if err != nil {
		t.Fatal(err)
	}
	if done.Account == nil || done.Account.Login != "ann@example.com" || done.Connection != c.ID() {
		t.Fatalf("%+v", done)
	}
	wantAccess(t, c, "access-1")
}

func TestDenialKeepsTheOldCredential(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	c := r.ready("sales")
	svc.fails("CompleteAuthorization", connector.Errorf(connector.AuthorizationDenied, connector.OriginService, "Denied.").With(connector.SignInAgain))
	wantCode(t, r.signIn(c), connector.AuthorizationDenied)
	wantAccess(t, c, "access-1")
	if got := p.audit.outcomes(audit.ActionSignIn); len(got) != 2 || got[1] != string(connector.AuthorizationDenied) {
		t.Fatalf("audit: %v", got)
	}
}

func TestSignInExpires(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPlace(t), newService())
	c := r.create("sales")
	s, err := c.BeginSignIn(t.Context(), redirectURI)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(s.ExpiresAt); left <= 0 || left > 11*time.Minute {
		t.Fatalf("it waits for %s", left)
	}
}

// Somebody signs in to another account by mistake: the old credential stays,
// both are named, and it takes a confirmation to switch.
func TestAnotherAccountNeedsConfirmation(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	c := r.ready("sales")
	svc.mu.Lock()
	svc.account = connector.Account{ID: "8", Login: "bob@example.com"}
	svc.mu.Unlock()

	d := wantCode(t, r.signIn(c), connector.AccountMismatch)
	if text := d.Error(); !strings.Contains(text, "ann@example.com") || !strings.Contains(text, "bob@example.com") {
		t.Fatal(text)
	}
	wantAccess(t, c, "access-1")
	if err := c.RejectAccount(t.Context()); err != nil {
		t.Fatal(err)
	}
	if svc.alive[2] || !svc.alive[1] {
		t.Fatalf("alive after the rejection: %v", svc.alive)
	}
	_, err := c.ConfirmAccount(t.Context())
	wantCode(t, err, connector.AuthorizationExpired)

	wantCode(t, r.signIn(c), connector.AccountMismatch)
	account, err := c.ConfirmAccount(t.Context())
	if err != nil || account.ID != "8" {
		t.Fatalf("%+v, %v", account, err)
	}
	wantAccess(t, c, "access-3")
	if svc.alive[1] {
		t.Fatal("the old account's grant wasn't revoked")
	}
}

// A sign-in whose account can't be asked for isn't taken, and is revoked.
func TestUnidentifiedSignInIsRevoked(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	c := r.create("sales")
	svc.fails("Identify", retryable(connector.ServiceUnavailable))
	wantCode(t, r.signIn(c), connector.ServiceUnavailable)
	if svc.alive[1] {
		t.Fatal("the sign-in wasn't revoked")
	}
	_, err := access(t, c, connector.AccessRequest{})
	wantCode(t, err, connector.SignInRequired)
	if i := r.info(c); i.State != host.StateNotSignedIn {
		t.Fatalf("%+v", i)
	}
}

func TestDeletedConnectionsNameIsFreeAndItsSessionsEnd(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	old := r.ready("sales")
	wantAccess(t, old, "access-1")
	if err := old.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if svc.alive[1] {
		t.Fatal("the grant wasn't revoked")
	}
	again := r.ready("sales")
	if again.ID() == old.ID() {
		t.Fatal("the ID was used again")
	}
	wantAccess(t, again, "access-2")
	_, err := access(t, old, connector.AccessRequest{})
	wantCode(t, err, connector.ConnectionNotFound)
}

// The service can't be reached when a connection is deleted: the deletion is
// done, and what is left to revoke is kept.
func TestDeletionDoesNotNeedTheService(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	c := r.ready("sales")
	svc.fails("RevokeAuthorization", retryable(connector.ServiceUnavailable))
	if err := c.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := r.tenant.Connection(t.Context(), "sales")
	wantCode(t, err, connector.ConnectionNotFound)
	left, err := r.store.Get(t.Context(), store.Key{Owner: "local", Connection: c.ID(), Environment: host.DefaultEnvironment})
	if err != nil {
		t.Fatal(err)
	}
	if left.State != store.StateTombstone || len(left.Sealed[store.FieldRevocation]) == 0 || left.DueAt.IsZero() || !svc.alive[1] {
		t.Fatalf("%+v", left)
	}
}

func TestSignOutKeepsTheSettings(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	c := r.ready("sales")
	if err := c.SignOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := access(t, c, connector.AccessRequest{})
	wantCode(t, err, connector.SignInRequired)
	s, secrets, err := c.Settings(t.Context())
	if err != nil || s["client_id"] != "id" || len(secrets) != 1 || s["client_secret"] != nil {
		t.Fatalf("%v %v %v", s, secrets, err)
	}
	if err := r.signIn(c); err != nil {
		t.Fatal(err)
	}
}

func TestInvalidSettingsAreToldAllAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPlace(t), newService())
	_, err := r.tenant.Draft(t.Context(), r.box, []byte(`{"url":"ftp://x","clientid":"a"}`), host.DraftOptions{})
	var invalid *host.InvalidSettings
	if !errors.As(err, &invalid) || len(invalid.Problems) != 4 {
		t.Fatalf("%v", err)
	}
	wantCode(t, err, connector.SettingInvalid)
}

// A new destination takes no stored secret along, and no credential.
func TestDestinationChangeAsksForTheSecretAndTheSignIn(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	c := r.ready("sales")
	elsewhere := descriptor.Settings{"url": "https://evil.example"}
	_, err := c.Edit(t.Context(), host.Edit{Settings: elsewhere})
	if d := wantCode(t, err, connector.DestinationChanged); d.Pointer != "/client_secret" {
		t.Fatalf("%+v", d)
	}
	proxy := connector.Network{ProxyURL: connector.NewSecret("http://proxy.example")}
	_, err = c.Edit(t.Context(), host.Edit{Network: &proxy})
	wantCode(t, err, connector.DestinationChanged)
	// The same destination in other words is no change.
	if _, err := c.Edit(t.Context(), host.Edit{Settings: descriptor.Settings{"url": "https://service.example:443/"}}); err != nil {
		t.Fatal(err)
	}

	elsewhere["client_secret"] = "again"
	draft, err := c.Edit(t.Context(), host.Edit{Settings: elsewhere})
	if err != nil {
		t.Fatal(err)
	}
	_, err = access(t, draft, connector.AccessRequest{})
	wantCode(t, err, connector.SignInRequired)
	wantAccess(t, c, "access-1")
	if err := r.signIn(draft); err != nil {
		t.Fatal(err)
	}
	wantAccess(t, draft, "access-2")
	if err := draft.Save(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wantAccess(t, r.open("sales"), "access-2")
	if draft.ID() != c.ID() {
		t.Fatal("the saved draft is another connection")
	}
}

// Saving a new destination without a sign-in drops the old credential, and
// revokes it where it came from.
func TestDestinationChangeWithoutSignInDropsTheCredential(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	c := r.ready("sales")
	draft, err := c.Edit(t.Context(), host.Edit{Settings: descriptor.Settings{"url": "https://other.example", "client_secret": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := draft.Save(t.Context(), "renamed"); err != nil {
		t.Fatal(err)
	}
	_, err = access(t, r.open("renamed"), connector.AccessRequest{})
	wantCode(t, err, connector.SignInRequired)
	if svc.alive[1] {
		t.Fatal("the old grant wasn't revoked")
	}
}

// A draft's wrong secret is found out by its test, under the connection's
// lease, and says nothing of the connection.
func TestDraftTestRenewsWithItsSettings(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	c := r.ready("sales")
	draft, err := c.Edit(t.Context(), host.Edit{Settings: descriptor.Settings{"client_secret": "wrong"}})
	if err != nil {
		t.Fatal(err)
	}
	svc.fails("OpenSession", connector.Errorf(connector.ClientRejected, connector.OriginService, "Wrong secret.").With(connector.FixSettings))
	checks := runTest(t, draft)
	if checks[0].ID != host.CheckSignIn || checks[0].Status != connector.CheckFailed || checks[0].Diagnostic.Code != connector.ClientRejected {
		t.Fatalf("%+v", checks[0])
	}
	if !strings.Contains(svc.secrets[0], "wrong") {
		t.Fatalf("renewed with %s", svc.secrets[0])
	}
	wantAccess(t, c, "access-1")
	// With the right one the renewal lands on the connection.
	checks = runTest(t, draft)
	if !host.Passed(checks) {
		t.Fatalf("%+v", checks)
	}
	if err := draft.Save(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wantAccess(t, r.open("sales"), "access-2")
}

func runTest(t *testing.T, c *host.Connection) []connector.Check {
	t.Helper()
	var checks []connector.Check
	for check, err := range c.Test(t.Context(), host.TestOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		checks = append(checks, check)
	}
	return checks
}

// Settings changed since the access was got: a test proves them.
func TestChangedSettingsAreProven(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	r := newRig(t, p, svc)
	c := r.ready("sales")
	if !host.Passed(runTest(t, c)) || svc.renewals() != 0 {
		t.Fatal("an unchanged connection was renewed, or failed")
	}
	draft, err := c.Edit(t.Context(), host.Edit{Settings: descriptor.Settings{"client_secret": "changed"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := draft.Save(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if !host.Passed(runTest(t, r.open("sales"))) || svc.renewals() != 1 {
		t.Fatalf("%d renewals, want 1", svc.renewals())
	}
}

// A test before the first sign-in doesn't pass, and doesn't call it a failure.
func TestTestBeforeSignIn(t *testing.T) {
	t.Parallel()
	svc := newService()
	svc.checks = func(a *connector.Access) []connector.Check {
		if a != nil {
			t.Error("access from nowhere")
		}
		return []connector.Check{{ID: "reachable", Status: connector.CheckPassed}, {ID: "token", Status: connector.CheckSkipped}}
	}
	r := newRig(t, newPlace(t), svc)
	checks := runTest(t, r.create("sales"))
	if host.Passed(checks) || checks[0].Status != connector.CheckSkipped || len(checks) != 3 {
		t.Fatalf("%+v", checks)
	}
}

// The token was revoked at the service: a session would renew it, so the test
// does, and passes.
func TestTestRenewsARefusedToken(t *testing.T) {
	t.Parallel()
	svc := newService()
	svc.checks = func(a *connector.Access) []connector.Check {
		token := connector.Check{ID: "token", Status: connector.CheckPassed}
		if a.Token.Reveal() == "access-1" {
			token.Status = connector.CheckFailed
			token.Diagnostic = connector.Errorf(connector.AccessRefused, connector.OriginService, "Refused.")
		}
		return []connector.Check{{ID: "reachable", Status: connector.CheckPassed}, token}
	}
	r := newRig(t, newPlace(t), svc)
	c := r.ready("sales")
	r.store.advance(time.Minute)
	if checks := runTest(t, c); !host.Passed(checks) || len(checks) != 3 {
		t.Fatalf("%+v", checks)
	}
	if svc.renewals() != 1 {
		t.Fatalf("%d renewals, want 1", svc.renewals())
	}
}

// Checks that are undeclared, or never come, are the connector's fault and
// nobody's success.
func TestTestHoldsTheConnectorToItsDeclaration(t *testing.T) {
	t.Parallel()
	svc := newService()
	svc.checks = func(*connector.Access) []connector.Check {
		return []connector.Check{{ID: "reachable", Status: connector.CheckPassed}}
	}
	r := newRig(t, newPlace(t), svc)
	c := r.ready("sales")
	checks := runTest(t, c)
	if last := checks[len(checks)-1]; host.Passed(checks) || last.Status != connector.CheckNotRun || last.Diagnostic.Code != connector.PluginContractBroken {
		t.Fatalf("%+v", checks)
	}
	svc.checks = func(*connector.Access) []connector.Check {
		return []connector.Check{{ID: "surprise", Status: connector.CheckPassed}}
	}
	for check, err := range c.Test(t.Context(), host.TestOptions{}) {
		if err != nil {
			wantCode(t, err, connector.PluginContractBroken)
		} else if check.ID == "surprise" {
			t.Fatal("an undeclared check was told")
		}
	}
}

// The audit can't be kept: whoever acts is told.
func TestUnwritableAuditIsTold(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	r := newRig(t, p, newService())
	c := r.create("sales")
	p.audit.mu.Lock()
	p.audit.fail = connector.Errorf(connector.AuditUnwritable, connector.OriginHost, "Full.")
	p.audit.mu.Unlock()
	_, err := c.BeginSignIn(t.Context(), redirectURI)
	wantCode(t, err, connector.AuditUnwritable)
}

// A test's results name the runtime that it ran on, as the engine calls it.
func TestTestNamesItsRuntime(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPlace(t), newService(), host.WithRuntime("edge-1"))
	for _, check := range runTest(t, r.ready("sales")) {
		if check.Runtime != "edge-1" {
			t.Errorf("%s ran on %q", check.ID, check.Runtime)
		}
	}
}
