package host_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

// in is the rig's tenant of an environment.
func (r *rig) in(environment string) *host.Tenant { return r.Tenant("local", environment, "tester") }

// override saves what differs in an environment.
func (r *rig) override(environment, name string, e host.Edit) *host.Connection {
	r.t.Helper()
	c, err := r.in(environment).Override(r.t.Context(), name, e)
	if err == nil {
		err = c.Save(r.t.Context(), "")
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// edit saves a change.
func edit(t *testing.T, c *host.Connection, e host.Edit) {
	t.Helper()
	d, err := c.Edit(t.Context(), e)
	if err == nil {
		err = d.Save(t.Context(), "")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// setting is what counts in a connection.
func setting(t *testing.T, c *host.Connection, name string) any {
	t.Helper()
	s, _, err := c.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s[name]
}

const elsewhere = "https://elsewhere.example"

// Environments of one connection share its ID and settings, and nothing of its
// sign-in: each has a credential, an account and generations of its own.
func TestEnvironmentsHaveTheirOwnSignIn(t *testing.T) {
	t.Parallel()
	svc := newService()
	r := newRig(t, newPlace(t), svc)
	base := r.ready("sales")
	svc.account = connector.Account{ID: "8", Login: "bob@example.com"}
	production := r.override("production", "sales", host.Edit{Settings: descriptor.Settings{"client_id": "other"}})
	if production.ID() != base.ID() || r.info(production).State != host.StateNotSignedIn || !r.info(production).Inherits {
		t.Fatalf("%+v", r.info(production))
	}
	_, err := access(t, production, connector.AccessRequest{})
	wantCode(t, err, connector.SignInRequired)
	if err := r.signIn(production); err != nil {
		t.Fatal(err)
	}
	wantAccess(t, production, "access-2")
	wantAccess(t, base, "access-1")
	if a, b := r.info(production).Account.ID, r.info(base).Account.ID; a != "8" || b != "7" {
		t.Fatalf("accounts %s and %s", a, b)
	}
	if err := production.SignOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantAccess(t, base, "access-1")
	if !slices.Equal(svc.revoked, []int{2}) {
		t.Fatalf("revoked %v", svc.revoked)
	}
}

// A draft of a new environment can be signed in to before it is saved, and its
// sign-in becomes the environment's.
func TestDraftOfAnEnvironment(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPlace(t), newService())
	base := r.ready("sales")
	draft, err := r.in("production").Override(t.Context(), "sales", host.Edit{Settings: descriptor.Settings{"url": elsewhere, "client_secret": "own"}})
	if err != nil {
		t.Fatal(err)
	}
	// It doesn't use the base's credential, which belongs to another place.
	_, err = access(t, draft, connector.AccessRequest{})
	wantCode(t, err, connector.SignInRequired)
	if err := r.signIn(draft); err != nil {
		t.Fatal(err)
	}
	wantCode(t, draft.Save(t.Context(), "another name"), connector.UsageWrong)
	if err := draft.Save(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wantAccess(t, draft, "access-2")
	wantAccess(t, base, "access-1")
	c, err := r.in("production").Connection(t.Context(), "sales")
	if err != nil {
		t.Fatal(err)
	}
	wantAccess(t, c, "access-2")
}

// A base that is edited on one host counts on another, where the environment is
// in use, even if the first host ended before it could tell the environment:
// the next use merges anew, and what was signed in to at the old destination
// ends there.
func TestEnvironmentFollowsItsBase(t *testing.T) {
	t.Parallel()
	p, svc := newPlace(t), newService()
	editor := newRig(t, p, svc)
	base := editor.ready("sales")
	user := newRig(t, p, svc)
	inherits := user.override("staging", "sales", host.Edit{})
	own := user.override("production", "sales", host.Edit{Settings: descriptor.Settings{"client_secret": "own"}})
	for _, c := range []*host.Connection{inherits, own} {
		if err := user.signIn(c); err != nil {
			t.Fatal(err)
		}
	}
	down := connector.Errorf(connector.StoreUnavailable, connector.OriginHost, "No store.")
	editor.store.fails("Update", nil, down, down, down, down) // the base's own is the first
	edit(t, base, host.Edit{Settings: descriptor.Settings{"url": elsewhere, "client_secret": "new"}})
	editor.store.heal()

	for name, want := range map[string]struct {
		c    *host.Connection
		code connector.Code
		at   string
		then connector.Disposition
	}{
		"inherits": {inherits, connector.DestinationChanged, "", connector.SignInAgain},
		"own":      {own, connector.DestinationChanged, "/client_secret", connector.FixSettings},
	} {
		c, err := user.in(user.info(want.c).Environment).Connection(t.Context(), "sales")
		if err != nil {
			t.Fatal(err)
		}
		_, err = access(t, c, connector.AccessRequest{})
		if d := wantCode(t, err, want.code); d.Pointer != want.at || d.Disposition != want.then {
			t.Errorf("%s: %v", name, d)
		}
		if got := setting(t, c, "url"); got != elsewhere {
			t.Errorf("%s: the URL is %v", name, got)
		}
	}
	slices.Sort(svc.revoked)
	if !slices.Equal(svc.revoked, []int{1, 2, 3}) {
		t.Fatalf("revoked %v", svc.revoked)
	}
	if n := svc.renewals(); n != 0 {
		t.Fatalf("%d renewals were sent", n)
	}
	_, err := own.BeginSignIn(t.Context(), redirectURI)
	wantCode(t, err, connector.DestinationChanged)
	edit(t, own, host.Edit{Inherit: []string{"client_secret"}})
	for i, c := range []*host.Connection{inherits, own} {
		if err := user.signIn(c); err != nil {
			t.Fatal(err)
		}
		wantAccess(t, c, []string{"access-4", "access-5"}[i])
	}
}

// A change of the base that an environment overrides changes nothing there: a
// sign-in that is under way goes on, and access isn't renewed for a test.
func TestOverriddenChangeIsNone(t *testing.T) {
	t.Parallel()
	svc := newService()
	r := newRig(t, newPlace(t), svc)
	base := r.ready("sales")
	c := r.override("production", "sales", host.Edit{Settings: descriptor.Settings{"client_id": "mine"}})
	s, err := c.BeginSignIn(t.Context(), redirectURI)
	if err != nil {
		t.Fatal(err)
	}
	edit(t, base, host.Edit{Settings: descriptor.Settings{"client_id": "other"}})
	if _, err := r.CompleteSignIn(t.Context(), callback(t, s), s.Binding); err != nil {
		t.Fatal(err)
	}
	if checks := runTest(t, c); !host.Passed(checks) || svc.renewals() != 0 {
		t.Fatalf("%+v, %d renewals", checks, svc.renewals())
	}
	// One that counts there does.
	edit(t, base, host.Edit{Settings: descriptor.Settings{"client_secret": "new"}})
	if checks := runTest(t, c); !host.Passed(checks) || svc.renewals() != 1 {
		t.Fatalf("%+v, %d renewals", checks, svc.renewals())
	}
	var sent map[string]any
	if err := json.Unmarshal([]byte(svc.secrets[0]), &sent); err != nil || sent["client_id"] != "mine" || sent["client_secret"] != "new" {
		t.Fatalf("the renewal was sent with %v, %v", sent, err)
	}
}

// A base that doesn't suit an environment isn't saved, and the problem names
// the environment; the values of secrets are in no message.
func TestBaseMustSuitItsEnvironments(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPlace(t), newService())
	base := r.create("sales")
	r.override("production", "sales", host.Edit{})
	_, err := base.Edit(t.Context(), host.Edit{Settings: descriptor.Settings{"client_id": nil}})
	if d := wantCode(t, err, connector.SettingRequired); strings.Contains(d.Summary, "production") {
		t.Errorf("the base's own problem names an environment: %v", d)
	}
	_, err = r.in("production").Override(t.Context(), "sales", host.Edit{Settings: descriptor.Settings{"client_id": nil, "client_secret": "hush"}})
	invalid, ok := errors.AsType[*host.InvalidSettings](err)
	if !ok || !strings.Contains(invalid.Problems[0].Summary, "production") || invalid.Problems[0].Pointer != "/client_id" || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v", err)
	}
	// Production hasn't the base's secret any more once it has its own URL.
	r.override("production", "sales", host.Edit{Settings: descriptor.Settings{"url": elsewhere, "client_secret": "own"}})
	_, err = r.in("production").Override(t.Context(), "sales", host.Edit{Inherit: []string{"client_secret"}})
	wantCode(t, err, connector.SettingRequired)
	// The base moves to where production was: the overridden URL is no other
	// one any more, but production's secret stays its own.
	edit(t, base, host.Edit{Settings: descriptor.Settings{"url": elsewhere, "client_secret": "new"}})
	edit(t, base, host.Edit{Settings: descriptor.Settings{"client_id": "other"}})
}

// An environment that was deleted can be made again, without its old sign-in;
// the base is deleted after its environments.
func TestEnvironmentIsMadeAgain(t *testing.T) {
	t.Parallel()
	svc := newService()
	r := newRig(t, newPlace(t), svc)
	base := r.ready("sales")
	c := r.override("production", "sales", host.Edit{})
	if err := r.signIn(c); err != nil {
		t.Fatal(err)
	}
	generation := r.info(c).Generation
	wantCode(t, base.Delete(t.Context()), connector.UsageWrong)
	svc.fails("RevokeAuthorization", retryable(connector.ServiceUnavailable))
	if err := c.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := r.in("production").Connection(t.Context(), "sales")
	wantCode(t, err, connector.ConnectionNotFound)
	c = r.override("production", "sales", host.Edit{})
	if i := r.info(c); i.State != host.StateNotSignedIn || i.Generation <= generation || i.Account != nil {
		t.Fatalf("%+v", i)
	}
	if err := r.signIn(c); err != nil {
		t.Fatal(err)
	}
	wantAccess(t, c, "access-3")
	// What couldn't be revoked is still due.
	r.store.advance(24 * 60 * 60 * 1e9)
	if _, err := r.KeepAlive(t.Context(), 0); err != nil || !slices.Equal(svc.revoked, []int{2}) {
		t.Fatalf("revoked %v, %v", svc.revoked, err)
	}
	for _, c := range []*host.Connection{c, base} {
		if err := c.Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Names are the base's everywhere, and one name is one connection.
func TestNamesOfEnvironments(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPlace(t), newService())
	base := r.create("sales")
	r.override("production", "sales", host.Edit{})
	draft, err := r.in("production").Draft(t.Context(), r.box, settings("x"), host.DraftOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, draft.Save(t.Context(), "sales"), connector.ConnectionExists)
	if err := draft.Save(t.Context(), "here only"); err != nil {
		t.Fatal(err)
	}
	_, err = r.in("production").Override(t.Context(), "here only", host.Edit{})
	wantCode(t, err, connector.ConnectionExists)
	_, err = r.tenant.Override(t.Context(), "sales", host.Edit{})
	wantCode(t, err, connector.UsageWrong)

	d, err := base.Edit(t.Context(), host.Edit{})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, d.Save(t.Context(), "here only"), connector.ConnectionExists)
	if err := d.Save(t.Context(), "box sales"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.in("production").Connection(t.Context(), "box sales"); err != nil {
		t.Fatal(err)
	}
	_, err = r.in("production").Connection(t.Context(), "sales")
	wantCode(t, err, connector.ConnectionNotFound)
}
