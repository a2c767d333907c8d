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
	r := newRig(t, accessLife)
	r.server.Consent(true)
	r.want(exitDone, r.signIn())
	first := r.access()
	r.pass(time.Now().Add(restFor))
	last := r.access("--refused", strconv.FormatUint(first.Generation, 10))
	if err := r.server.Check(); err != nil {
		t.Fatalf("before the reuse: %v", err)
	}

	name, err := r.server.Reuse(t.Context())
	if err != nil || name != "invalid_grant" {
		t.Fatalf("the server answers %q (%v) to the spent token", name, err)
	}
	if err := r.server.Check(); !errors.Is(err, authserver.ErrReused) {
		t.Fatalf("the check says %v of a reuse", err)
	}
	if c, alive := r.server.Counts(), r.server.Alive(); c.Reuses != 1 || alive != 0 {
		t.Fatalf("the server counted %+v and has %d refresh tokens alive", c, alive)
	}
	if status := r.api(last.Token); status != http.StatusUnauthorized {
		t.Fatalf("the API answers %d after the family's end", status)
	}

	r.pass(time.Now().Add(restFor))
	asked := r.server.Counts().TokenRequests
	r.wantSignInAgain("--refused", strconv.FormatUint(last.Generation, 10))
	r.wantSignInAgain()
	if more := r.server.Counts().TokenRequests - asked; more != 1 {
		t.Errorf("a dead connection sent %d token requests, want the one that finds it dead", more)
	}

	r.want(exitDone, r.signIn())
	if status := r.api(r.access().Token); status != http.StatusOK {
		t.Errorf("the API answers %d after a new sign-in", status)
	}
}

// A person who doesn't consent is told so, and nothing is issued.
func TestDeniedSignIn(t *testing.T) {
	t.Parallel()
	r := newRig(t, accessLife)
	res := r.signIn()
	r.want(exitSignIn, res)
	if f := r.failed(res); f.Error.Code != "AUTHORIZATION_DENIED" {
		t.Errorf("the error is %+v", f.Error)
	}
	if c := r.server.Counts(); c.TokenRequests != 0 {
		t.Errorf("the server counted %+v", c)
	}
}

// wantSignInAgain asks for access, which must be refused with the advice to
// sign in again.
func (r *rig) wantSignInAgain(args ...string) {
	r.Helper()
	res := r.ctl("", append([]string{"access", name}, args...)...)
	r.want(exitSignIn, res)
	if f := r.failed(res); f.Error.Disposition != "sign_in_again" || f.Error.Suggestion == "" || res.stdout != "" {
		r.Errorf("the error is %+v, and %d bytes went to standard output", f.Error, len(res.stdout))
	}
	r.Logf("connectorctl says: %s", res.stderr)
}
