package authserver_test

import (
	"testing"

	"github.com/boxconnection/connector/conformance/interop/authrig"
	authserver "github.com/boxconnection/connector/conformance/interop/fosite"
)

// Connections are renewed a hundred times at a service that forgives nothing:
// no refresh token is sent twice, and the families of tokens live to the end.
func TestRenewals(t *testing.T) {
	t.Parallel()
	server := start(t)
	server.Consent(true)
	authrig.Renew(t, server)
}

// start starts a server that ends with the test.
func start(t *testing.T) *authserver.Server {
	t.Helper()
	server, err := authserver.Start(authrig.AccessLife)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}
