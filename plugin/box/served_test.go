package box_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/plugin"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// serve serves the connector as the SDK does and returns a host's client.
func serve(t *testing.T, c plugin.Connector) connectorv1.ConnectorServiceClient {
	t.Helper()
	s, err := plugin.NewServer(c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(s.Options()...)
	s.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return connectorv1.NewConnectorServiceClient(conn)
}

// The life of a connection over the wire: the SDK holds every answer of the
// connector against the contract.
func TestServedByTheSDK(t *testing.T) {
	t.Parallel()
	e := emulate(t, nil)
	client := serve(t, e.Connector)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	settings, now := []byte(e.settings), timestamppb.Now()
	begun, err := client.BeginAuthorization(ctx, &connectorv1.BeginAuthorizationRequest{
		Settings: settings, RedirectUri: redirectURI, State: "state-of-the-host", Now: now,
	})
	must(err)
	browser := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := browser.Get(begun.GetAuthorizationUrl())
	must(err)
	_ = resp.Body.Close()
	done, err := client.CompleteAuthorization(ctx, &connectorv1.CompleteAuthorizationRequest{
		Settings: settings, Pending: begun.GetPending(), CallbackUrl: resp.Header.Get("Location"), Now: now,
	})
	must(err)
	opened, err := client.OpenSession(ctx, &connectorv1.OpenSessionRequest{
		Settings: settings, Credential: done.GetCredential(), AllowRenew: true, AccessRefused: true,
		Deadline: timestamppb.New(time.Now().Add(time.Minute)), Now: now,
	})
	must(err)
	who, err := client.Identify(ctx, &connectorv1.IdentifyRequest{Settings: settings, Access: opened.GetAccess()})
	must(err)
	if who.GetAccount().GetLogin() != "ada@acme.example" {
		t.Errorf("account: %v", who)
	}
	results, err := client.TestConnection(ctx, &connectorv1.TestConnectionRequest{Settings: settings, Access: opened.GetAccess()})
	must(err)
	n := 0
	for {
		result, err := results.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		must(err)
		if s := result.GetCheck().GetStatus(); s != connectorv1.CheckStatus_CHECK_STATUS_PASSED && s != connectorv1.CheckStatus_CHECK_STATUS_WARNING {
			t.Errorf("%v", result)
		}
		n++
	}
	if n != len(e.Describe().Checks) {
		t.Errorf("%d results", n)
	}
	narrowed, err := client.NarrowAccess(ctx, &connectorv1.NarrowAccessRequest{
		Settings: settings, Access: opened.GetAccess(), Scopes: []string{"item_preview"}, Resource: e.sim.BaseURL() + "/2.0/folders/0",
	})
	must(err)
	if narrowed.GetAccess().GetToken() == opened.GetAccess().GetToken() {
		t.Error("the access wasn't narrowed")
	}
	_, err = client.RevokeAuthorization(ctx, &connectorv1.RevokeAuthorizationRequest{Settings: settings, Credential: opened.GetCredential()})
	must(err)
}
