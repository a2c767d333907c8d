//go:build unix

package launch_test

import (
	"context"
	"crypto/tls"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/boxconnection/connector/host/launch"
)

// Somebody of the same user who finds the socket gets nothing from the plugin
// without the host's own certificate. (That the host refuses a stranger in the
// plugin's place is among the failed starts.)
func TestPluginRefusesStrangers(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	p := load(t, launcher(t, launch.Options{RuntimeDir: dir}), "good")
	must(t, p, "echo x")
	sockets, err := filepath.Glob(filepath.Join(dir, "bc-*", "plugin-dir*", "plugin*"))
	if err != nil || len(sockets) != 1 {
		t.Fatalf("sockets: %v, %v", sockets, err)
	}
	anyServer := func(certificates ...tls.Certificate) credentials.TransportCredentials {
		return credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, Certificates: certificates})
	}
	for name, creds := range map[string]credentials.TransportCredentials{
		"no TLS": insecure.NewCredentials(), "no certificate": anyServer(), "another certificate": anyServer(certificate()),
	} {
		conn, err := grpc.NewClient("unix:"+sockets[0], grpc.WithTransportCredentials(creds))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if out, err := do(ctx, conn, "echo secret"); err == nil {
			t.Errorf("%s: answered %q", name, out)
		}
		cancel()
		_ = conn.Close()
	}
	must(t, p, "echo still here")
}
