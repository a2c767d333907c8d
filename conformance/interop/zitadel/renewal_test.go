package opserver_test

import (
	"errors"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxconnection/connector/conformance/interop/authrig"
	opserver "github.com/boxconnection/connector/conformance/interop/zitadel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Connections are renewed a hundred times at a provider that takes each refresh
// token once.
func TestRenewals(t *testing.T) {
	t.Parallel()
	authrig.Renew(t, start(t))
}

// What TestRenewals holds against the connector can go wrong, and is seen: a
// second holder of the same refresh token ends the family, and the connection
// says that a sign-in is needed.
func TestReuseEndsTheFamily(t *testing.T) {
	t.Parallel()
	server := start(t)
	r := authrig.New(t, server)
	r.Create("strict")
	r.Want(authrig.ExitDone, r.SignIn("strict"))
	first := r.Access("strict")
	r.Rest()
	last := r.Access("strict", "--refused", strconv.FormatUint(first.Generation, 10))
	if err := server.Check(); err != nil {
		t.Fatalf("before the reuse: %v", err)
	}
	name, err := server.Reuse(t.Context(), server)
	if err != nil || name != "invalid_grant" {
		t.Fatalf("the server answers %q (%v) to the spent token", name, err)
	}
	if err := server.Check(); !errors.Is(err, authrig.ErrReused) || server.Alive() != 0 {
		t.Fatalf("the check says %v of a reuse, and %d tokens are alive", err, server.Alive())
	}
	r.Rest()
	r.Want(authrig.ExitSignIn, r.Ctl("", "access", "strict", "--refused", strconv.FormatUint(last.Generation, 10)))
}

// start starts a server that ends with the test.
func start(t *testing.T) *opserver.Server {
	t.Helper()
	server, err := opserver.Start(authrig.AccessLife)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}
