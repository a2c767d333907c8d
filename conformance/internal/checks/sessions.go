package checks

import (
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/peer"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

const (
	renewalRequired = connectorv1.Code_CODE_RENEWAL_REQUIRED
	signInRequired  = connectorv1.Code_CODE_SIGN_IN_REQUIRED
	deadlinePassed  = connectorv1.Code_CODE_DEADLINE_PASSED
	clientRejected  = connectorv1.Code_CODE_CLIENT_REJECTED

	retry       = connectorv1.Disposition_DISPOSITION_RETRY
	fixSettings = connectorv1.Disposition_DISPOSITION_FIX_SETTINGS
	signInAgain = connectorv1.Disposition_DISPOSITION_SIGN_IN_AGAIN
)

// sessionChecks judge OpenSession.
func sessionChecks() []*check.Check {
	const need = check.Description | check.Settings | check.Peer
	// Renewals belong to what a person signed in to.
	renewing := func(id, clause, title string, run func(*check.T)) *check.Check {
		return &check.Check{
			ID: "sessions." + id, Level: check.Must, Clauses: []string{clause}, Needs: need, Capability: signsIn, Title: title, Run: run,
		}
	}
	any := func(id, clause, title string, run func(*check.T)) *check.Check {
		c := renewing(id, clause, title, run)
		c.Capability = 0
		return c
	}
	return []*check.Check{
		any("spends-nothing", "O-1", "Without allow_renew no token request is made.", spendsNothing),
		any("answers-alone", "O-2", "Without allow_renew the answer has no credential.", func(t *check.T) {
			c := t.Start()
			credential := t.SignIn(c)
			answer, err := c.OpenSession(t.Call(), t.Open(credential))
			if err != nil {
				t.Blockf("OpenSession fails: %s", check.Brief(err))
			}
			if answer.GetCredential() != nil {
				t.Errorf("the answer has a credential")
			}
		}),
		renewing("renewal-required", "O-3", "Without allow_renew, access that doesn't last fails with CODE_RENEWAL_REQUIRED.", func(t *check.T) {
			c := t.Start()
			credential := t.SignIn(c)
			ended := expired(t, credential)
			ended.AllowRenew, ended.Deadline = false, nil
			long := t.Open(credential)
			long.MinimumValidity = check.Lasting(20 * 365 * 24 * time.Hour)
			if credential.GetAccessExpiresAt() == nil {
				long.AccessRefused = true // of unknown end, it lasts
			}
			for what, r := range map[string]*connectorv1.OpenSessionRequest{"access that has ended": ended, "access for 20 years": long} {
				if _, err := c.OpenSession(t.Call(), r); code(err) != renewalRequired {
					t.Errorf("%s is answered with %s", what, check.Brief(err))
				}
			}
		}),
		any("lasting", "O-4", "Access that lasts is handed out without traffic.", func(t *check.T) {
			c := t.Start()
			credential := t.SignIn(c)
			if !t.SignsIn() {
				t.Access(c, nil) // a sign-in of the settings' own may happen first
				return
			}
			for _, may := range []bool{false, true} {
				r := t.Open(credential)
				r.MinimumValidity = check.Lasting(time.Second)
				if may {
					r.AllowRenew, r.Deadline = true, check.After(renewTime)
				}
				mark := t.Mark()
				if _, err := c.OpenSession(t.Call(), r); err != nil {
					t.Blockf("OpenSession fails: %s", check.Brief(err))
				}
				t.NoTraffic(mark, "handing out access that lasts")
			}
		}),
		renewing("refused", "O-5", "With access_refused the access counts as expired.", func(t *check.T) {
			signedIn(t)
			c := t.Start()
			credential := t.SignIn(c)
			r := t.Open(credential)
			r.AccessRefused = true
			if _, err := c.OpenSession(t.Call(), r); code(err) != renewalRequired {
				t.Errorf("without allow_renew it is answered with %s", check.Brief(err))
			}
			mark := t.Mark()
			if _, err := c.OpenSession(t.Call(), t.Renew(credential)); err == nil {
				if _, successful := tokens(t.Since(mark)); successful == 0 {
					t.Errorf("with allow_renew nothing is renewed")
				}
			}
		}),
		renewing("one-request", "O-6", "A renewal makes at most one successful token request, even if what it gets is short-lived.", func(t *check.T) {
			c := t.Start()
			credential := t.SignIn(c)
			t.Do(t.Service().Lifetime(t.Context(), time.Second))
			mark := t.Mark()
			_, err := c.OpenSession(t.Call(), expired(t, credential))
			if _, successful := tokens(t.Since(mark)); successful > 1 {
				t.Errorf("it makes %d", successful)
			} else if successful == 0 {
				t.Blockf("nothing was renewed: %s", check.Brief(err))
			}
		}),
		renewing("deadline", "O-7", "After the deadline no token request is begun.", func(t *check.T) {
			c := t.Start()
			r := expired(t, t.SignIn(c))
			r.Deadline = check.After(-time.Second)
			mark := t.Mark()
			if _, err := c.OpenSession(t.Call(), r); code(err) != deadlinePassed {
				t.Errorf("it is answered with %s", check.Brief(err))
			}
			t.NoTraffic(mark, "a renewal past its deadline")
		}),
		renewing("deadline-late", "O-7", "The deadline is checked immediately before the token request is written.", lateDeadline),
		any("no-deadline", "O-8", "allow_renew without a deadline fails with INVALID_ARGUMENT.", func(t *check.T) {
			c := t.Start()
			r := t.Open(t.SignIn(c))
			r.AllowRenew = true
			if _, err := c.OpenSession(t.Call(), r); status.Code(err) != codes.InvalidArgument {
				t.Errorf("it is answered with %s", check.Brief(err))
			}
		}),
		renewing("unused", "O-9", "A new access token isn't used.", func(t *check.T) {
			c := t.Start()
			credential := t.SignIn(c)
			mark := t.Mark()
			renew(t, c, credential)
			unused(t, t.Since(mark))
		}),
		renewing("credential", "O-10", "The answer carries a credential if, and only if, it differs from the request's.", carried),
		renewing("unusable", "O-11", "A renewed credential is in the answer even if the access is unusable.", func(t *check.T) {
			c := t.Start()
			credential := t.SignIn(c)
			t.Do(t.Service().Fault(t.Context(), peer.Fault{On: peer.Token, Grant: peer.RefreshGrant, Meaning: peer.UnusableAccess}))
			answer, err := c.OpenSession(t.Call(), expired(t, credential))
			switch {
			case err != nil:
				t.Errorf("a renewal with access that can't be sent is answered with %s, and the credential is lost", check.Brief(err))
			case answer.GetCredential() == nil || same(answer.GetCredential(), credential):
				t.Errorf("a renewal with access that can't be sent is answered without the new credential")
			case answer.GetAccess() != nil:
				t.Errorf("access that can't be sent is handed out")
			}
		}),
		renewing("redirect", "O-12", "Token requests don't follow redirects.", func(t *check.T) {
			c := t.Start()
			credential := t.SignIn(c)
			for _, s := range []int{http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
				t.Do(t.Service().Fault(t.Context(), peer.Fault{On: peer.Token, Status: s, Headers: map[string]string{"Location": "/elsewhere"}}))
				mark := t.Mark()
				_, _ = c.OpenSession(t.Call(), expired(t, credential))
				for _, r := range t.Since(mark) {
					if r.Kind != peer.Token {
						t.Errorf("status %d is followed", s)
					}
				}
			}
		}),
		renewing("once", "O-12", "A token request that may have reached the service isn't repeated.", func(t *check.T) {
			c := t.Start()
			for _, when := range []string{"before", "after"} {
				credential := t.SignIn(c)
				t.Do(t.Service().Fault(t.Context(), peer.Fault{On: peer.Token, Grant: peer.RefreshGrant, Drop: when}))
				mark := t.Mark()
				_, _ = c.OpenSession(t.Call(), expired(t, credential))
				if all, _ := tokens(t.Since(mark)); all > 1 {
					t.Errorf("a request whose connection broke is made %d times", all)
				}
			}
		}),
		any("no-credential", "O-13", "Without a credential it fails with CODE_SIGN_IN_REQUIRED, unless the settings sign in.", func(t *check.T) {
			c := t.Start()
			r := t.Open(nil)
			if t.SignsIn() {
				if _, err := c.OpenSession(t.Call(), r); code(err) != signInRequired {
					t.Errorf("it is answered with %s", check.Brief(err))
				}
				return
			}
			r.AllowRenew, r.Deadline = true, check.After(renewTime)
			if answer, err := c.OpenSession(t.Call(), r); err != nil || answer.GetAccess() == nil {
				t.Errorf("settings that sign in are answered with %s", check.Brief(err))
			}
		}),
		renewing("clock", "O-14", "Times in the answer are on the clock of now.", func(t *check.T) {
			c := t.Start()
			credential := t.SignIn(c)
			now := time.Now().Add(400 * 24 * time.Hour)
			r := expired(t, credential)
			r.Now = timestamppb.New(now)
			answer, err := c.OpenSession(t.Call(), r)
			if err != nil || answer.GetAccess() == nil {
				t.Blockf("OpenSession fails: %s", check.Brief(err))
			}
			a := answer.GetAccess()
			if at := a.GetIssuedAt().AsTime(); at.Before(now.Add(-time.Second)) || at.After(now.Add(time.Minute)) {
				t.Errorf("at %v, it was issued at %v", now.UTC(), at)
			}
			for what, at := range map[string]*timestamppb.Timestamp{"it expires": a.GetExpiresAt(), "its renewal is due": a.GetRenewAt()} {
				if at != nil && (at.AsTime().Before(now) || at.AsTime().After(now.Add(300*24*time.Hour))) {
					t.Errorf("at %v, %s at %v", now.UTC(), what, at.AsTime())
				}
			}
		}),
		renewing("issued-at", "O-14", "issued_at is when the token request was begun.", func(t *check.T) {
			c := t.Start()
			credential := t.SignIn(c)
			const delay = 1500 * time.Millisecond
			t.Do(t.Service().Fault(t.Context(), peer.Fault{On: peer.Token, DelayMS: int(delay / time.Millisecond)}))
			r := expired(t, credential)
			begun := time.Now()
			answer, err := c.OpenSession(t.Call(), r)
			if err != nil || answer.GetAccess() == nil {
				t.Blockf("OpenSession fails: %s", check.Brief(err))
			}
			took := time.Since(begun)
			if after := answer.GetAccess().GetIssuedAt().AsTime().Sub(r.GetNow().AsTime()); after > took-delay+200*time.Millisecond {
				t.Errorf("it was issued %v after now; the service took %v of the call's %v", after, delay, took)
			}
		}),
		renewing("retry", "O-15", "A failure of the network, a 5xx, 409 or 429 is worth a retry.", func(t *check.T) {
			failing(t, []peer.Fault{
				{Status: 500, Body: "<html>"}, {Status: 502, Body: "<html>"}, {Status: 503}, {Status: 504}, {Status: 409}, {Status: 429}, {Drop: "before"},
			}, func(what string, d *connectorv1.Diagnostic) {
				if d.GetDisposition() != retry {
					t.Errorf("%s has %s and %s", what, d.GetCode(), d.GetDisposition())
				}
			})
		}),
		renewing("wait", "O-15", "The wait that the service names is handed on.", func(t *check.T) {
			wait := map[string]string{"Retry-After": "7"}
			failing(t, []peer.Fault{{Status: 503, Headers: wait}, {Status: 429, Headers: wait}}, func(what string, d *connectorv1.Diagnostic) {
				if d.GetRetryAfter().AsDuration() != 7*time.Second {
					t.Errorf("%s with Retry-After: 7 has retry_after %v", what, d.GetRetryAfter().AsDuration())
				}
			})
		}),
		renewing("grant-alive", "O-16", "Only a grant that the service calls dead needs a new sign-in.", func(t *check.T) {
			failing(t, []peer.Fault{
				{Status: 400, Body: "<html>"}, {Status: 401, Body: "<html>"}, {Status: 403, Body: "<html>"}, {Status: 404, Body: "<html>"},
				{Status: 200, Body: "<html>"}, {Status: 200, Body: "{}"}, {Meaning: peer.ClientRejected},
			}, func(what string, d *connectorv1.Diagnostic) {
				if d.GetDisposition() == signInAgain {
					t.Errorf("%s has %s and %s", what, d.GetCode(), d.GetDisposition())
				}
			})
		}),
		func() *check.Check {
			c := renewing("grant-dead", "O-16", "A grant that the service calls dead needs a new sign-in.", func(t *check.T) {
				c := t.Start()
				credential := t.SignIn(c)
				t.Do(t.Service().Kill(t.Context()))
				_, err := c.OpenSession(t.Call(), expired(t, credential))
				if check.Failed(err).Diagnostic().GetDisposition() != signInAgain {
					t.Errorf("it is answered with %s", check.Brief(err))
				}
			})
			c.Level = check.Should
			return c
		}(),
		renewing("client-rejected", "O-17", "A rejected client is told from a dead grant.", func(t *check.T) {
			failing(t, []peer.Fault{{Meaning: peer.ClientRejected}}, func(what string, d *connectorv1.Diagnostic) {
				if d.GetCode() != clientRejected || d.GetDisposition() != fixSettings {
					t.Errorf("%s has %s and %s", what, d.GetCode(), d.GetDisposition())
				}
			})
		}),
		func() *check.Check {
			c := renewing("replay", "H-15", "A renewal whose answer was lost can be sent again as renewal_replay says.", replay)
			c.Level = check.Should
			return c
		}(),
	}
}

// renew renews, and ends the check as not run if that doesn't give a new
// credential.
func renew(t *check.T, c *check.Conn, credential *connectorv1.Credential) *connectorv1.OpenSessionResponse {
	answer, err := c.OpenSession(t.Call(), expired(t, credential))
	if err != nil {
		t.Blockf("a renewal fails: %s", check.Brief(err))
	}
	return answer
}

func spendsNothing(t *check.T) {
	c := t.Start()
	credential := t.SignIn(c)
	mark := t.Mark()
	ended, refused, plain := expired(t, credential), t.Open(credential), t.Open(credential)
	ended.AllowRenew, ended.Deadline = false, nil
	refused.AccessRefused = true
	plain.MinimumValidity = check.Lasting(time.Hour * 24 * 365)
	for _, r := range []*connectorv1.OpenSessionRequest{ended, refused, plain, t.Open(credential)} {
		_, _ = c.OpenSession(t.Call(), r)
	}
	if all, _ := tokens(t.Since(mark)); all > 0 {
		t.Errorf("%d token requests are made", all)
	}
}

func carried(t *check.T) {
	c := t.Start()
	credential := t.SignIn(c)
	lasting := t.Open(credential)
	lasting.AllowRenew, lasting.Deadline = true, check.After(renewTime)
	answer, err := c.OpenSession(t.Call(), lasting)
	if err != nil {
		t.Blockf("OpenSession fails: %s", check.Brief(err))
	}
	if got := answer.GetCredential(); got != nil && string(got.GetData()) == string(credential.GetData()) && got.GetFormat() == credential.GetFormat() {
		t.Errorf("the answer carries the request's own credential")
	}
	mark := t.Mark()
	answer, err = c.OpenSession(t.Call(), expired(t, credential))
	if _, successful := tokens(t.Since(mark)); successful == 0 || err != nil {
		t.Blockf("nothing was renewed: %s", check.Brief(err))
	}
	if answer.GetCredential() == nil {
		t.Errorf("after a renewal the answer carries no credential")
	} else if string(answer.GetCredential().GetData()) == string(credential.GetData()) {
		t.Errorf("after a renewal the answer carries the request's own credential")
	}
}

// failing meets renewals with faults, and hands over what they are answered
// with.
func failing(t *check.T, faults []peer.Fault, judge func(what string, d *connectorv1.Diagnostic)) {
	c := t.Start()
	credential := t.SignIn(c)
	for _, f := range faults {
		f.On, f.Grant, f.Times = peer.Token, peer.RefreshGrant, -1
		t.Do(t.Service().Fault(t.Context(), f))
		what := "status " + http.StatusText(f.Status)
		switch {
		case f.Drop != "":
			what = "a connection that breaks"
		case f.Meaning != "":
			what = "the meaning " + f.Meaning
		}
		_, err := c.OpenSession(t.Call(), expired(t, credential))
		t.Do(t.Service().ClearFaults(t.Context()))
		if err == nil {
			t.Blockf("%s doesn't fail: no token request was made", what)
		}
		judge(what, check.Failed(err).Diagnostic())
	}
}

// replay loses the answer of a renewal, and sends it again.
func replay(t *check.T) {
	declared := t.Described().GetRenewalReplay()
	if declared == 0 {
		t.Errorf("renewal_replay isn't told")
	}
	if declared != connectorv1.RenewalReplay_RENEWAL_REPLAY_UNTIL_USED {
		return
	}
	c := t.Start()
	credential := t.SignIn(c)
	t.Do(t.Service().Fault(t.Context(), peer.Fault{On: peer.Token, Grant: peer.RefreshGrant, Drop: "after"}))
	if _, err := c.OpenSession(t.Call(), expired(t, credential)); err == nil {
		t.Blockf("the answer wasn't lost")
	}
	if _, err := c.OpenSession(t.Call(), expired(t, credential)); err != nil {
		t.Errorf("sent again, it is answered with %s", check.Brief(err))
	}
}
