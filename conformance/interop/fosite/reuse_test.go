package authserver_test

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	authserver "github.com/boxconnection/connector/conformance/interop/fosite"
)

// What TestRenewals holds against the connector can go wrong: a second holder
// of the same refresh token makes the server end the family, and the check
// fails. The connection then says that a sign-in is needed, without asking
// the service again and again, and a sign-in heals it.
func TestReuseEndsTheFamily(t *testing.T) {
	t.Parallel()
	b := newRig(t, accessLife)
	b.server.Consent(true)
	b.want(exitDone, b.signIn())
	first := b.access()
	b.pass(time.Now().Add(restFor))
	last := b.access("--refused", strconv.FormatUint(first.Generation, 10))
	if err := b.server.Check(); err != nil {
		t.Fatalf("before the reuse: %v", err)
	}

	name, err := b.server.Reuse(t.Context())
	if err != nil || name != "invalid_grant" {
		t.Fatalf("the server answers %q (%v) to the spent token", name, err)
	}
	if err := b.server.Check(); !errors.Is(err, authserver.ErrReused) {
		t.Fatalf("the check says %v of a reuse", err)
	}
	if c, alive := b.server.Counts(), b.server.Alive(); c.Reuses != 1 || alive != 0 {
		t.Fatalf("the server counted %+v and has %d refresh tokens alive", c, alive)
	}
	if status := b.api(last.Token); status != http.StatusUnauthorized {
		t.Fatalf("the API answers %d after the family's end", status)
	}

	b.pass(time.Now().Add(restFor))
	asked := b.server.Counts().TokenRequests
	b.wantSignInAgain("--refused", strconv.FormatUint(last.Generation, 10))
	b.wantSignInAgain()
	if more := b.server.Counts().TokenRequests - asked; more != 1 {
		t.Errorf("a dead connection sent %d token requests, want the one that finds it dead", more)
	}

	b.want(exitDone, b.signIn())
	if status := b.api(b.access().Token); status != http.StatusOK {
		t.Errorf("the API answers %d after a new sign-in", status)
	}
}

// A person who doesn't consent is told so, and nothing is issued.
func TestDeniedSignIn(t *testing.T) {
	t.Parallel()
	b := newRig(t, accessLife)
	r := b.signIn()
	b.want(exitSignIn, r)
	if f := b.failed(r); f.Error.Code != "AUTHORIZATION_DENIED" {
		t.Errorf("the error is %+v", f.Error)
	}
	if c := b.server.Counts(); c.TokenRequests != 0 {
		t.Errorf("the server counted %+v", c)
	}
}

// wantSignInAgain asks for access, which must be refused with the advice to
// sign in again.
func (b *rig) wantSignInAgain(args ...string) {
	b.Helper()
	r := b.ctl("", append([]string{"access", name}, args...)...)
	b.want(exitSignIn, r)
	if f := b.failed(r); f.Error.Disposition != "sign_in_again" || f.Error.Suggestion == "" || r.stdout != "" {
		b.Errorf("the error is %+v, and %d bytes went to standard output", f.Error, len(r.stdout))
	}
	b.Logf("connectorctl says: %s", r.stderr)
}
