package host_test

import (
	"testing"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

// drafted makes a draft.
func (r *rig) drafted() *host.Connection {
	r.t.Helper()
	c, err := r.tenant.Draft(r.t.Context(), r.box, settings("s3cret"), host.DraftOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// TestAmendKeepsSecretsAndSignIn: a change that touches no destination keeps
// what was stored, and the test of before doesn't count any more.
func TestAmendKeepsSecretsAndSignIn(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPlace(t), newService())
	c := r.drafted()
	if err := r.signIn(c); err != nil {
		t.Fatal(err)
	}
	passes(t, c)
	if err := c.Amend(t.Context(), host.Edit{}); err != nil {
		t.Fatal(err)
	}
	if !r.info(c).TestPassed {
		t.Error("a change that changes nothing forgets the test")
	}
	if err := c.Amend(t.Context(), host.Edit{Settings: descriptor.Settings{"client_id": "another"}}); err != nil {
		t.Fatal(err)
	}
	i := r.info(c)
	if i.TestPassed || i.State != host.StateReady {
		t.Errorf("after a change: test passed %t, state %s", i.TestPassed, i.State)
	}
	s, secrets, err := c.Settings(t.Context())
	if err != nil || s["client_id"] != "another" || len(secrets) != 1 {
		t.Errorf("settings %v, secrets %v, %v", s, secrets, err)
	}
}

// TestAmendGuardsDestinations: a draft's secret goes to no new place unless it
// is given again, and then the grant of the old place is taken back.
func TestAmendGuardsDestinations(t *testing.T) {
	t.Parallel()
	svc := newService()
	r := newRig(t, newPlace(t), svc)
	c := r.drafted()
	if err := r.signIn(c); err != nil {
		t.Fatal(err)
	}
	elsewhere := descriptor.Settings{"url": "https://other.example"}
	wantCode(t, c.Amend(t.Context(), host.Edit{Settings: elsewhere}), connector.DestinationChanged)
	if i := r.info(c); i.State != host.StateReady {
		t.Errorf("a refused change leaves the state %s", i.State)
	}
	elsewhere["client_secret"] = "again"
	if err := c.Amend(t.Context(), host.Edit{Settings: elsewhere}); err != nil {
		t.Fatal(err)
	}
	if i := r.info(c); i.State != host.StateNotSignedIn {
		t.Errorf("after a change of the destination the state is %s", i.State)
	}
	svc.mu.Lock()
	defer svc.mu.Unlock()
	if len(svc.revoked) != 1 {
		t.Errorf("%d grants were taken back, want 1", len(svc.revoked))
	}
}

// TestAmendIsForDrafts: a saved connection is changed through a draft.
func TestAmendIsForDrafts(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPlace(t), newService())
	wantCode(t, r.create("sales").Amend(t.Context(), host.Edit{}), connector.UsageWrong)
}

// TestDraftTellsItsConnectionsSignIn: the draft of a saved connection is as
// ready as that one, unless it goes elsewhere; its test becomes the connection's.
func TestDraftTellsItsConnectionsSignIn(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPlace(t), newService())
	base := r.ready("sales")
	draft, err := base.Edit(t.Context(), host.Edit{})
	if err != nil {
		t.Fatal(err)
	}
	if i := r.info(draft); i.State != host.StateReady || i.Account == nil || i.Base != base.ID() || i.SignedInAt.IsZero() {
		t.Errorf("the draft tells %+v", i)
	}
	elsewhere := descriptor.Settings{"url": "https://other.example", "client_secret": "again"}
	if err := draft.Amend(t.Context(), host.Edit{Settings: elsewhere}); err != nil {
		t.Fatal(err)
	}
	if i := r.info(draft); i.State != host.StateNotSignedIn {
		t.Errorf("a draft that goes elsewhere is %s", i.State)
	}
	back := descriptor.Settings{"url": "https://service.example", "client_secret": "s3cret"}
	if err := draft.Amend(t.Context(), host.Edit{Settings: back}); err != nil {
		t.Fatal(err)
	}
	passes(t, draft)
	if err := draft.Save(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if i := r.info(base); !i.TestPassed {
		t.Error("the draft's test isn't the connection's")
	}
}

// TestOtherAccountIsTold: whose sign-in waits for a decision is in the info
// until it is decided.
func TestOtherAccountIsTold(t *testing.T) {
	t.Parallel()
	svc := newService()
	r := newRig(t, newPlace(t), svc)
	c := r.ready("sales")
	svc.mu.Lock()
	svc.account.ID = "other"
	svc.mu.Unlock()
	wantCode(t, r.signIn(c), connector.AccountMismatch)
	if i := r.info(c); i.OtherAccount == nil || i.OtherAccount.ID != "other" {
		t.Errorf("who waits: %+v", i.OtherAccount)
	}
	if err := c.RejectAccount(t.Context()); err != nil {
		t.Fatal(err)
	}
	if i := r.info(c); i.OtherAccount != nil {
		t.Errorf("after the decision still %+v waits", i.OtherAccount)
	}
}

// passes tests a connection and wants it to pass.
func passes(t *testing.T, c *host.Connection) {
	t.Helper()
	for _, err := range c.Test(t.Context(), host.TestOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	i, err := c.Info(t.Context())
	if err != nil || !i.TestPassed {
		t.Fatalf("the test didn't pass: %+v, %v", i, err)
	}
}

// TestAmendInAnEnvironment: a draft of an environment changes what overrides the
// base, and nothing else: what the base changes later still counts there.
func TestAmendInAnEnvironment(t *testing.T) {
	t.Parallel()
	r := newRig(t, newPlace(t), newService())
	base := r.ready("sales")
	draft, err := r.in("production").Override(t.Context(), "sales", host.Edit{Settings: descriptor.Settings{"client_id": "first"}})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, draft.Amend(t.Context(), host.Edit{Settings: descriptor.Settings{"url": elsewhere}}), connector.DestinationChanged)
	if err := draft.Amend(t.Context(), host.Edit{Settings: descriptor.Settings{"client_id": "second"}}); err != nil {
		t.Fatal(err)
	}
	if err := draft.Save(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	edit(t, base, host.Edit{Settings: descriptor.Settings{"client_id": "changed"}})
	production, err := r.in("production").Connection(t.Context(), "sales")
	if err != nil {
		t.Fatal(err)
	}
	if got := setting(t, production, "client_id"); got != "second" {
		t.Errorf("the environment's client ID is %v", got)
	}
	back, err := production.Edit(t.Context(), host.Edit{})
	if err != nil {
		t.Fatal(err)
	}
	if err := back.Amend(t.Context(), host.Edit{Inherit: []string{"client_id"}}); err != nil {
		t.Fatal(err)
	}
	if err := back.Save(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if got := setting(t, production, "client_id"); got != "changed" {
		t.Errorf("after giving the override up the client ID is %v", got)
	}
}
