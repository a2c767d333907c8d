package authserver_test

import (
	"errors"
	"net/http"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxconnection/connector/conformance/interop/authrig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connection is the name of the one connection of a rig.
const connection = "strict"

// What TestRenewals holds against the connector can go wrong: a second holder
// of the same refresh token makes the server end the family, and the check
// fails. The connection then says that a sign-in is needed, without asking
// the service again and again, and a sign-in heals it.
func TestReuseEndsTheFamily(t *testing.T) {
	t.Parallel()
	server := start(t)
	server.Consent(true)
	r := authrig.New(t, server)
	r.Create(connection)
	r.Want(authrig.ExitDone, r.SignIn(connection))
	first := r.Access(connection)
	r.Rest()
	last := r.Access(connection, "--refused", strconv.FormatUint(first.Generation, 10))
	if err := server.Check(); err != nil {
		t.Fatalf("before the reuse: %v", err)
	}

	name, err := server.Reuse(t.Context(), server)
	if err != nil || name != "invalid_grant" {
		t.Fatalf("the server answers %q (%v) to the spent token", name, err)
	}
	if err := server.Check(); !errors.Is(err, authrig.ErrReused) {
		t.Fatalf("the check says %v of a reuse", err)
	}
	if c, alive := server.Counts(), server.Alive(); c.Reuses != 1 || alive != 0 {
		t.Fatalf("the server counted %+v and has %d refresh tokens alive", c, alive)
	}
	if status := r.API(last.Token); status != http.StatusUnauthorized {
		t.Fatalf("the API answers %d after the family's end", status)
	}

	r.Rest()
	asked := server.Counts().TokenRequests
	wantSignInAgain(r, "--refused", strconv.FormatUint(last.Generation, 10))
	wantSignInAgain(r)
	if more := server.Counts().TokenRequests - asked; more != 1 {
		t.Errorf("a dead connection sent %d token requests, want the one that finds it dead", more)
	}

	r.Want(authrig.ExitDone, r.SignIn(connection))
	if status := r.API(r.Access(connection).Token); status != http.StatusOK {
		t.Errorf("the API answers %d after a new sign-in", status)
	}
}

// A person who doesn't consent is told so, and nothing is issued.
func TestDeniedSignIn(t *testing.T) {
	t.Parallel()
	server := start(t)
	r := authrig.New(t, server)
	r.Create(connection)
	res := r.SignIn(connection)
	r.Want(authrig.ExitSignIn, res)
	if f := r.Told(res); f.Error.Code != "AUTHORIZATION_DENIED" {
		t.Errorf("the error is %+v", f.Error)
	}
	if c := server.Counts(); c.TokenRequests != 0 {
		t.Errorf("the server counted %+v", c)
	}
}

// wantSignInAgain asks for access, which must be refused with the advice to
// sign in again.
func wantSignInAgain(r *authrig.Rig, args ...string) {
	r.Helper()
	res := r.Ctl("", append([]string{"access", connection}, args...)...)
	r.Want(authrig.ExitSignIn, res)
	if f := r.Told(res); f.Error.Disposition != "sign_in_again" || f.Error.Suggestion == "" || res.Stdout != "" {
		r.Errorf("the error is %+v, and %d bytes went to standard output", f.Error, len(res.Stdout))
	}
	r.Logf("connectorctl says: %s", res.Stderr)
}
