package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

// dial serves a connector in this process and returns a client of it.
func dial(t testing.TB, c plugin.Connector) connectorv1.ConnectorServiceClient {
	t.Helper()
	s, err := plugin.NewServer(c)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(s.Options()...)
	s.Register(g)
	lis := bufconn.Listen(1 << 20)
	go func() { _ = g.Serve(lis) }()
	conn, err := grpc.NewClient("passthrough:///bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		g.Stop()
	})
	return connectorv1.NewConnectorServiceClient(conn)
}

// diagnose returns what a host reads from a call's error.
func diagnose(err error) *connector.Diagnostic {
	d, _ := errors.AsType[*connector.Diagnostic](protoconv.ErrorFromStatus(err))
	if d == nil {
		return &connector.Diagnostic{}
	}
	return d
}

var (
	settings   = []byte(`{}`)
	credential = &connectorv1.Credential{Format: 1, Data: []byte("old")}
	wireAccess = protoconv.AccessToProto(goodAccess())
	deadline   = timestamppb.New(time.Now().Add(time.Minute))
	now        = timestamppb.New(issued)
)

// everyCall makes each call that takes settings.
func everyCall(ctx context.Context, c connectorv1.ConnectorServiceClient, s []byte) map[string]error {
	failures := map[string]error{}
	_, failures["BeginAuthorization"] = c.BeginAuthorization(ctx, &connectorv1.BeginAuthorizationRequest{Settings: s, RedirectUri: "https://engine.example.com/callback", State: "st", Now: now})
	_, failures["CompleteAuthorization"] = c.CompleteAuthorization(ctx, &connectorv1.CompleteAuthorizationRequest{Settings: s, CallbackUrl: "https://engine.example.com/callback?code=x&state=st", Pending: []byte("p"), Now: now})
	_, failures["Identify"] = c.Identify(ctx, &connectorv1.IdentifyRequest{Settings: s, Access: wireAccess})
	_, failures["OpenSession"] = c.OpenSession(ctx, &connectorv1.OpenSessionRequest{Settings: s, Credential: credential, Now: now})
	_, failures["NarrowAccess"] = c.NarrowAccess(ctx, &connectorv1.NarrowAccessRequest{Settings: s, Access: wireAccess, Scopes: []string{"read"}})
	_, failures["RevokeAuthorization"] = c.RevokeAuthorization(ctx, &connectorv1.RevokeAuthorizationRequest{Settings: s, Credential: credential})
	_, failures["TestConnection"] = testAll(ctx, c, &connectorv1.TestConnectionRequest{Settings: s, Access: wireAccess})
	return failures
}

func testAll(ctx context.Context, c connectorv1.ConnectorServiceClient, req *connectorv1.TestConnectionRequest) ([]connector.Check, error) {
	stream, err := c.TestConnection(ctx, req)
	if err != nil {
		return nil, err
	}
	var checks []connector.Check
	for {
		resp, err := stream.Recv()
		if err != nil {
			if err.Error() == "EOF" {
				return checks, nil
			}
			return checks, err
		}
		checks = append(checks, protoconv.CheckFromProto(resp.GetCheck()))
	}
}

func TestEveryCallWorks(t *testing.T) {
	t.Parallel()
	c := dial(t, &full{})
	for call, err := range everyCall(t.Context(), c, settings) {
		if err != nil {
			t.Errorf("%s: %v", call, err)
		}
	}
	d, err := c.Describe(t.Context(), &connectorv1.DescribeRequest{})
	if err != nil || len(d.GetCapabilities()) != 4 {
		t.Errorf("description: %v, %v", d, err)
	}
}

func TestUndeclaredCalls(t *testing.T) {
	t.Parallel()
	failures := everyCall(t.Context(), dial(t, &bare{}), settings)
	for _, call := range []string{"BeginAuthorization", "CompleteAuthorization", "Identify", "NarrowAccess", "RevokeAuthorization"} {
		err := failures[call]
		if status.Code(err) != codes.Unimplemented || diagnose(err).Code != connector.Unsupported {
			t.Errorf("%s: %v", call, err)
		}
	}
	if failures["OpenSession"] != nil || failures["TestConnection"] != nil {
		t.Errorf("declared calls fail: %v", failures)
	}
}

// The documentation's connector must be one that works.
func TestExampleWorks(t *testing.T) {
	t.Parallel()
	c := dial(t, keyed{})
	resp, err := c.OpenSession(t.Context(), &connectorv1.OpenSessionRequest{Settings: []byte(`{"api_key":"k"}`), Now: now})
	if err != nil || resp.GetAccess().GetToken() != "k" {
		t.Errorf("%v, %v", resp, err)
	}
}

// Neither a library's error nor a panic may carry a secret to the host.
func TestErrorsAndPanicsShowNoText(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func() (plugin.Opened, error){
		"error": func() (plugin.Opened, error) { return plugin.Opened{}, errPlain },
		"panic": func() (plugin.Opened, error) { panic(errPlain) },
	} {
		f := &full{}
		f.open = func(context.Context, plugin.OpenRequest) (plugin.Opened, error) { return open() }
		_, err := dial(t, f).OpenSession(t.Context(), &connectorv1.OpenSessionRequest{Settings: settings})
		if d := diagnose(err); d.Code != connector.Internal || strings.Contains(fmt.Sprint(err, d), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := dial(t, &bare{test: func(context.Context, plugin.TestRequest) iter.Seq[connector.Check] { panic(secret) }})
	if _, err := testAll(t.Context(), c, &connectorv1.TestConnectionRequest{Settings: settings}); diagnose(err).Code != connector.Internal {
		t.Errorf("stream: %v", err)
	}
}

func TestLargeErrorsAreCapped(t *testing.T) {
	t.Parallel()
	f := &full{}
	f.open = func(context.Context, plugin.OpenRequest) (plugin.Opened, error) {
		return plugin.Opened{}, connector.Errorf(connector.GrantInvalid, connector.OriginService, "gone").
			With(connector.SignInAgain).WithDetail("%s", strings.Repeat("detail ", 1<<20)).Suggest("%s", strings.Repeat("do ", 1<<20))
	}
	_, err := dial(t, f).OpenSession(t.Context(), &connectorv1.OpenSessionRequest{Settings: settings})
	if d := diagnose(err); d.Code != connector.GrantInvalid || d.Disposition != connector.SignInAgain || d.Summary != "gone" {
		t.Errorf("got %v", d)
	}
	if size := proto.Size(status.Convert(err).Proto()); size > handshake.MaxStatusBytes {
		t.Errorf("a status of %d bytes", size)
	}
}

// A caller without a deadline still gets an answer one day, and a caller that
// goes away is noticed.
func TestCallsHaveDeadlines(t *testing.T) {
	t.Parallel()
	seen := make(chan bool, 1)
	gone := make(chan error, 1)
	f := &full{}
	f.open = func(ctx context.Context, _ plugin.OpenRequest) (plugin.Opened, error) {
		_, ok := ctx.Deadline()
		seen <- ok
		<-ctx.Done()
		gone <- ctx.Err()
		return plugin.Opened{}, ctx.Err()
	}
	c := dial(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := c.OpenSession(ctx, &connectorv1.OpenSessionRequest{Settings: settings})
		failed <- err
	}()
	if !<-seen {
		t.Error("the call has no deadline")
	}
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the handler saw %v", err)
	}
	if d := diagnose(<-failed); d.Code != connector.Canceled {
		t.Errorf("the caller saw %v", d)
	}
}

func TestTestStream(t *testing.T) {
	t.Parallel()
	check := func(id string, s connector.CheckStatus) connector.Check { return connector.Check{ID: id, Status: s} }
	for name, x := range map[string]struct {
		yields []connector.Check
		want   string
		fault  bool
	}{
		"all":        {[]connector.Check{check("reach", "passed"), check("token", "warning"), check("extra", "skipped")}, "reach:passed token:warning extra:skipped", false},
		"none":       {nil, "reach:not_run token:not_run extra:not_run", false},
		"gaps":       {[]connector.Check{check("token", "passed")}, "reach:not_run token:passed extra:not_run", false},
		"undeclared": {[]connector.Check{check("reach", "passed"), check("other", "passed")}, "reach:passed", true},
		"twice":      {[]connector.Check{check("reach", "passed"), check("reach", "passed")}, "reach:passed", true},
		"no status":  {[]connector.Check{check("reach", "")}, "", true},
		"mute":       {[]connector.Check{check("reach", "failed")}, "", true},
	} {
		c := dial(t, &bare{test: func(context.Context, plugin.TestRequest) iter.Seq[connector.Check] {
			return func(yield func(connector.Check) bool) {
				for _, c := range x.yields {
					if !yield(c) {
						return
					}
				}
			}
		}})
		checks, err := testAll(t.Context(), c, &connectorv1.TestConnectionRequest{Settings: settings})
		var got []string
		for _, c := range checks {
			got = append(got, c.ID+":"+string(c.Status))
			if c.Title == "" || c.SideEffect == "" {
				t.Errorf("%s: %+v lacks what was declared", name, c)
			}
		}
		if strings.Join(got, " ") != x.want || (diagnose(err).Code == connector.Internal) != x.fault {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// Who waits for a test that takes too long still reads what was tested.
func TestTimeRunsOut(t *testing.T) {
	t.Parallel()
	c := dial(t, &bare{test: func(ctx context.Context, _ plugin.TestRequest) iter.Seq[connector.Check] {
		return plugin.RunChecks(ctx, description().Checks, map[string]plugin.CheckFunc{
			"reach": pass,
			"token": func(ctx context.Context) connector.Check {
				<-ctx.Done()
				return plugin.Failed(ctx.Err())
			},
			"extra": pass,
		})
	}})
	checks, err := testAll(within(t, 2*time.Second), c, &connectorv1.TestConnectionRequest{Settings: settings})
	if got := outcome(checks); err != nil || got != "reach:passed token:failed extra:not_run" {
		t.Errorf("%s, %v", got, err)
	}
	if d := checks[1].Diagnostic; d.Code != connector.TimedOut {
		t.Errorf("diagnostic: %v", d)
	}
}
