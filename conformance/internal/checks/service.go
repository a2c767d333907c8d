package checks

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/peer"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

const accessRefused = connectorv1.Code_CODE_ACCESS_REFUSED

// serviceChecks judge the calls of capabilities that use access.
func serviceChecks() []*check.Check {
	return slices.Concat(identifyChecks(), narrowChecks(), revokeChecks())
}

// capable makes checks of a capability's clauses.
func capable(area string, capability connectorv1.Capability) func(id, clause, title string, run func(*check.T)) *check.Check {
	return func(id, clause, title string, run func(*check.T)) *check.Check {
		return &check.Check{
			ID: area + "." + id, Level: check.Must, Clauses: []string{clause}, Needs: check.Description | check.Settings | check.Peer,
			Capability: capability, Title: title, Run: run,
		}
	}
}

func identifyChecks() []*check.Check {
	must := capable("identify", identifies)
	return []*check.Check{
		must("id", "I-1", "The account's id is 1 to 256 printable ASCII characters, and the same each time.", func(t *check.T) {
			c := t.Start()
			access := t.Access(c, t.SignIn(c))
			first, second := identify(t, c, access), identify(t, t.Start(), access)
			id := first.GetId()
			if id == "" || len(id) > 256 || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("it is %q", short(id))
			}
			if id != second.GetId() {
				t.Errorf("asked twice, it is %q and %q", short(id), short(second.GetId()))
			}
		}),
		must("enterprise", "I-2", "The enterprise is empty for an account that belongs to none.", func(t *check.T) {
			c := t.Start()
			person := t.Profile().WithoutEnterprise
			if person == "" {
				t.Blockf("the profile names nobody who belongs to no enterprise")
			}
			account := identify(t, c, t.Access(c, t.SignInAs(c, person)))
			if account.GetEnterpriseId() != "" {
				t.Errorf("it is %q", short(account.GetEnterpriseId()))
			}
		}),
		must("no-access", "I-3", "Without access it fails with CODE_SIGN_IN_REQUIRED.", func(t *check.T) {
			c := t.Start()
			for _, access := range []*connectorv1.Access{nil, {}} {
				if _, err := c.Identify(t.Call(), &connectorv1.IdentifyRequest{Settings: t.Good(), Access: access}); code(err) != signInRequired {
					t.Errorf("it is answered with %s", check.Brief(err))
				}
			}
		}),
		must("refused", "I-4", "A token that the service refuses fails with CODE_ACCESS_REFUSED.", func(t *check.T) {
			c := t.Start()
			access := t.Access(c, t.SignIn(c))
			t.Do(t.Service().Expire(t.Context()))
			if _, err := c.Identify(t.Call(), &connectorv1.IdentifyRequest{Settings: t.Good(), Access: access}); code(err) != accessRefused {
				t.Errorf("it is answered with %s", check.Brief(err))
			}
		}),
	}
}

func identify(t *check.T, c *check.Conn, access *connectorv1.Access) *connectorv1.Account {
	answer, err := c.Identify(t.Call(), &connectorv1.IdentifyRequest{Settings: t.Good(), Access: access})
	if err != nil {
		t.Blockf("Identify fails: %s", check.Brief(err))
	}
	return answer.GetAccount()
}

func narrowChecks() []*check.Check {
	must := capable("narrow", narrows)
	return []*check.Check{
		must("token", "N-1", "The answer's token is another one.", func(t *check.T) {
			whole, narrowed := narrow(t)
			if narrowed.GetToken() == whole.GetToken() {
				t.Errorf("it is the request's")
			}
		}),
		must("expires", "N-2", "The answer expires no later than the request's access.", func(t *check.T) {
			whole, narrowed := narrow(t)
			if end := whole.GetExpiresAt(); end != nil && (narrowed.GetExpiresAt() == nil || narrowed.GetExpiresAt().AsTime().After(end.AsTime())) {
				t.Errorf("the whole ends at %v, the narrowed at %v", end.AsTime(), narrowed.GetExpiresAt().AsTime())
			}
			// A parent that ends soon.
			whole.ExpiresAt = check.After(90 * time.Second)
			answer, err := t.Start().NarrowAccess(t.Call(), narrowing(t, whole))
			if err != nil {
				t.Blockf("NarrowAccess fails: %s", check.Brief(err))
			}
			if end := answer.GetAccess().GetExpiresAt(); end == nil || end.AsTime().After(whole.GetExpiresAt().AsTime()) {
				t.Errorf("the whole ends at %v, the narrowed at %v", whole.GetExpiresAt().AsTime(), end.AsTime())
			}
		}),
		must("no-more", "N-3", "It fails if the service can't grant what was asked, or grants more.", func(t *check.T) {
			c := t.Start()
			access := t.Access(c, t.SignIn(c))
			if n := t.Profile().Unnarrowable; n == nil {
				t.Blockf("the profile names nothing that can't be granted")
			} else if _, err := c.NarrowAccess(t.Call(), &connectorv1.NarrowAccessRequest{
				Settings: t.Good(), Access: access, Scopes: n.Scopes, Resource: n.Resource, Now: timestamppb.Now(),
			}); err == nil {
				t.Errorf("what can't be granted is")
			}
			t.Do(t.Service().Fault(t.Context(), peer.Fault{On: peer.Token, Meaning: peer.NarrowWider, Times: -1}))
			if _, err := c.NarrowAccess(t.Call(), narrowing(t, access)); err == nil {
				t.Errorf("more than was asked is handed out")
			}
		}),
		must("misuse", "N-4", "With neither scopes nor a resource it fails with INVALID_ARGUMENT.", func(t *check.T) {
			c := t.Start()
			r := &connectorv1.NarrowAccessRequest{Settings: t.Good(), Access: t.Access(c, t.SignIn(c)), Now: timestamppb.Now()}
			if _, err := c.NarrowAccess(t.Call(), r); status.Code(err) != codes.InvalidArgument {
				t.Errorf("it is answered with %s", check.Brief(err))
			}
		}),
		must("scopes", "N-5", "The answer lists the rights of the narrowed token.", func(t *check.T) {
			_, narrowed := narrow(t)
			want := t.Profile().Narrow.Scopes
			got := narrowed.GetScopes().GetValues()
			if narrowed.GetScopes() == nil {
				t.Errorf("it lists none")
			}
			for _, scope := range got {
				if len(want) > 0 && !slices.Contains(want, scope) {
					t.Errorf("asked for %q, it lists %q", want, got)
				}
			}
		}),
		must("clock", "N-6", "Times in the answer are on the clock of now.", func(t *check.T) {
			c := t.Start()
			access := t.Access(c, t.SignIn(c))
			now := time.Now().Add(300 * 24 * time.Hour)
			access.IssuedAt, access.ExpiresAt, access.RenewAt = timestamppb.New(now), timestamppb.New(now.Add(time.Hour)), nil
			r := narrowing(t, access)
			r.Now = timestamppb.New(now)
			answer, err := c.NarrowAccess(t.Call(), r)
			if err != nil {
				t.Blockf("NarrowAccess fails: %s", check.Brief(err))
			}
			a := answer.GetAccess()
			if at := a.GetIssuedAt().AsTime(); at.Before(now.Add(-time.Minute)) || at.After(now.Add(time.Minute)) {
				t.Errorf("at %v, it was issued at %v", now.UTC(), at)
			}
			if at := a.GetExpiresAt(); at != nil && (at.AsTime().Before(now) || at.AsTime().After(now.Add(time.Hour+time.Second))) {
				t.Errorf("at %v, it expires at %v", now.UTC(), at.AsTime())
			}
		}),
	}
}

func narrowing(t *check.T, access *connectorv1.Access) *connectorv1.NarrowAccessRequest {
	n := t.Profile().Narrow
	if n == nil {
		t.Blockf("the profile names nothing to narrow to")
	}
	return &connectorv1.NarrowAccessRequest{Settings: t.Good(), Access: access, Scopes: n.Scopes, Resource: n.Resource, Now: timestamppb.Now()}
}

func narrow(t *check.T) (whole, narrowed *connectorv1.Access) {
	c := t.Start()
	whole = t.Access(c, t.SignIn(c))
	answer, err := c.NarrowAccess(t.Call(), narrowing(t, whole))
	if err != nil {
		t.Blockf("NarrowAccess fails: %s", check.Brief(err))
	}
	return whole, answer.GetAccess()
}

func revokeChecks() []*check.Check {
	must := capable("revoke", revokes)
	return []*check.Check{
		must("both", "R-1", "After it neither the access nor the renewal works at the service.", func(t *check.T) {
			c := t.Start()
			credential := t.SignIn(c)
			t.Access(c, credential)
			if _, err := c.RevokeAuthorization(t.Call(), revocation(t, credential)); err != nil {
				t.Blockf("RevokeAuthorization fails: %s", check.Brief(err))
			}
			alive, err := t.Service().Alive(t.Context())
			t.Do(err)
			if alive.Access > 0 {
				t.Errorf("the access still works")
			}
			if alive.Renewal > 0 {
				t.Errorf("the renewal still works")
			}
		}),
		must("again", "R-2", "What is revoked or expired already is revoked with success.", func(t *check.T) {
			c := t.Start()
			credential := t.SignIn(c)
			if _, err := c.RevokeAuthorization(t.Call(), revocation(t, credential)); err != nil {
				t.Blockf("RevokeAuthorization fails: %s", check.Brief(err))
			}
			if _, err := c.RevokeAuthorization(t.Call(), revocation(t, credential)); err != nil {
				t.Errorf("a second time it is answered with %s", check.Brief(err))
			}
			other := t.SignIn(c)
			t.Do(t.Service().Kill(t.Context()))
			if _, err := c.RevokeAuthorization(t.Call(), revocation(t, other)); err != nil {
				t.Errorf("for a grant that has ended it is answered with %s", check.Brief(err))
			}
		}),
		must("unreachable", "R-3", "A service that can't be reached gives an error that is worth a retry.", func(t *check.T) {
			c := t.Start()
			credential := t.SignIn(c)
			for what, f := range map[string]peer.Fault{"a connection that breaks": {Drop: "before"}, "status 503": {Status: 503}} {
				f.On, f.Times = peer.Any, -1
				t.Do(t.Service().Fault(t.Context(), f))
				_, err := c.RevokeAuthorization(t.Call(), revocation(t, credential))
				if check.Failed(err).Diagnostic().GetDisposition() != retry {
					t.Errorf("%s is answered with %s", what, check.Brief(err))
				}
				t.Do(t.Service().ClearFaults(t.Context()))
			}
		}),
		must("misuse", "R-4", "Without a credential it fails with INVALID_ARGUMENT.", func(t *check.T) {
			if _, err := t.Start().RevokeAuthorization(t.Call(), revocation(t, nil)); status.Code(err) != codes.InvalidArgument {
				t.Errorf("it is answered with %s", check.Brief(err))
			}
		}),
	}
}

func revocation(t *check.T, credential *connectorv1.Credential) *connectorv1.RevokeAuthorizationRequest {
	return &connectorv1.RevokeAuthorizationRequest{Settings: t.Good(), Credential: credential}
}
