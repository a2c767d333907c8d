package plugin_test

import (
	"context"
	"encoding/json"
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
	"google.golang.org/protobuf/types/known/durationpb"
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

// Connectors see settings that follow the schema, and a person reads which
// setting to mend.
func TestBadSettingsDoNotReachTheConnector(t *testing.T) {
	t.Parallel()
	f := &full{}
	f.open = func(context.Context, plugin.OpenRequest) (plugin.Opened, error) {
		t.Error("the connector was called")
		return plugin.Opened{}, nil
	}
	c := dial(t, f)
	for _, bad := range []struct {
		settings, pointer string
		code              connector.Code
	}{
		{``, "", connector.SettingsUnreadable},
		{`[]`, "", connector.SettingsUnreadable},
		{`{"client_secret": "` + secret + `",`, "", connector.SettingsUnreadable},
		{`{"base_url": "ftp://x"}`, "/base_url", connector.SettingInvalid},
		{`{"base_ur": "` + secret + `"}`, "/base_ur", connector.SettingUnknown},
		{`{"client_secret": {"a": "` + secret + `"}}`, "/client_secret", connector.SettingInvalid},
		{`{"mode": "` + strings.Repeat("x", handshake.MaxSettingsBytes) + `"}`, "", connector.LimitExceeded},
	} {
		for call, err := range everyCall(t.Context(), c, []byte(bad.settings)) {
			d := diagnose(err)
			if d.Code != bad.code || d.Pointer != bad.pointer || d.Disposition != connector.FixSettings || strings.Contains(d.Error(), secret) {
				t.Errorf("%s with %.60s: %v", call, bad.settings, d)
			}
		}
		resp, err := c.ValidateSettings(t.Context(), &connectorv1.ValidateSettingsRequest{Settings: []byte(bad.settings)})
		if err != nil || len(resp.GetDiagnostics()) == 0 || protoconv.DiagnosticFromProto(resp.GetDiagnostics()[0]).Code != bad.code {
			t.Errorf("ValidateSettings with %.60s: %v, %v", bad.settings, resp, err)
		}
	}
}

func TestSettingsAreNormalised(t *testing.T) {
	t.Parallel()
	f := &full{}
	var got map[string]string
	f.open = func(_ context.Context, req plugin.OpenRequest) (plugin.Opened, error) {
		got = nil
		return plugin.Opened{Access: goodAccess()}, req.Settings.Decode(&got)
	}
	_, err := dial(t, f).OpenSession(t.Context(), &connectorv1.OpenSessionRequest{Settings: []byte(`{"client_secret": " s \n", "base_url": ""}`)})
	if err != nil || got["client_secret"] != "s" || got["base_url"] != "https://api.example.com" || got["mode"] != "plain" {
		t.Errorf("settings: %v, %v", got, err)
	}
}

func TestValidatorAddsRules(t *testing.T) {
	t.Parallel()
	f := &full{}
	f.validate = func(s plugin.Settings) connector.Diagnostics {
		if !json.Valid(s) {
			t.Errorf("settings: %s", s)
		}
		warning := connector.Errorf(connector.SettingInvalid, connector.OriginSettings, "hm")
		warning.Severity = connector.SeverityWarning
		return connector.Diagnostics{warning, connector.Errorf(connector.SettingInvalid, connector.OriginSettings, "no").At("/mode").With(connector.FixSettings)}
	}
	c := dial(t, f)
	resp, err := c.ValidateSettings(t.Context(), &connectorv1.ValidateSettingsRequest{Settings: settings})
	if err != nil || len(resp.GetDiagnostics()) != 2 {
		t.Errorf("%v, %v", resp, err)
	}
	if _, err := c.OpenSession(t.Context(), &connectorv1.OpenSessionRequest{Settings: settings}); diagnose(err).Pointer != "/mode" {
		t.Errorf("open: %v", err)
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	c := dial(t, &full{})
	ctx := t.Context()
	big := strings.Repeat("x", handshake.MaxCredentialBytes+1)
	open := func(r *connectorv1.OpenSessionRequest) error {
		r.Settings = settings
		_, err := c.OpenSession(ctx, r)
		return err
	}
	begin := func(uri, state string) error {
		_, err := c.BeginAuthorization(ctx, &connectorv1.BeginAuthorizationRequest{Settings: settings, RedirectUri: uri, State: state})
		return err
	}
	complete := func(callback, pending string) error {
		_, err := c.CompleteAuthorization(ctx, &connectorv1.CompleteAuthorizationRequest{Settings: settings, CallbackUrl: callback, Pending: []byte(pending)})
		return err
	}
	revoke := func(cred *connectorv1.Credential) error {
		_, err := c.RevokeAuthorization(ctx, &connectorv1.RevokeAuthorizationRequest{Settings: settings, Credential: cred})
		return err
	}
	narrow := func(r *connectorv1.NarrowAccessRequest) error {
		r.Settings = settings
		_, err := c.NarrowAccess(ctx, r)
		return err
	}
	identify := func(a *connectorv1.Access) error {
		_, err := c.Identify(ctx, &connectorv1.IdentifyRequest{Settings: settings, Access: a})
		return err
	}
	cases := []struct {
		name string
		err  error
		code connector.Code
	}{
		{"renewal without deadline", open(&connectorv1.OpenSessionRequest{AllowRenew: true}), connector.UsageWrong},
		{"bad deadline", open(&connectorv1.OpenSessionRequest{Deadline: &timestamppb.Timestamp{Nanos: -1}}), connector.UsageWrong},
		{"bad clock", open(&connectorv1.OpenSessionRequest{Now: &timestamppb.Timestamp{Nanos: -1}}), connector.UsageWrong},
		{"negative validity", open(&connectorv1.OpenSessionRequest{MinimumValidity: durationpb.New(-1)}), connector.UsageWrong},
		{"bad credential time", open(&connectorv1.OpenSessionRequest{Credential: &connectorv1.Credential{Format: 1, Data: []byte("x"), LapsesAt: &timestamppb.Timestamp{Nanos: -1}}}), connector.UsageWrong},
		{"newer credential", open(&connectorv1.OpenSessionRequest{Credential: &connectorv1.Credential{Format: 3, Data: []byte("x")}}), connector.CredentialUnreadable},
		{"credential without format", open(&connectorv1.OpenSessionRequest{Credential: &connectorv1.Credential{Data: []byte("x")}}), connector.CredentialUnreadable},
		{"large credential", open(&connectorv1.OpenSessionRequest{Credential: &connectorv1.Credential{Format: 1, Data: []byte(big)}}), connector.LimitExceeded},
		{"revocation of nothing", revoke(nil), connector.UsageWrong},
		{"revocation of a newer one", revoke(&connectorv1.Credential{Format: 9, Data: []byte("x")}), connector.CredentialUnreadable},
		{"no state", begin("https://x.example/cb", ""), connector.UsageWrong},
		{"relative redirect URI", begin("/cb", "st"), connector.UsageWrong},
		{"redirect URI without host", begin("https:///cb", "st"), connector.UsageWrong},
		{"redirect URI with fragment", begin("https://x.example/cb#f", "st"), connector.UsageWrong},
		{"huge redirect URI", begin("https://x.example/"+big, "st"), connector.LimitExceeded},
		{"callback that is no URL", complete("code=1", "p"), connector.AuthorizationInvalid},
		{"huge callback", complete("https://x.example/"+big, "p"), connector.LimitExceeded},
		{"huge pending blob", complete("https://x.example/", big), connector.LimitExceeded},
		{"narrowing to nothing less", narrow(&connectorv1.NarrowAccessRequest{Access: wireAccess}), connector.UsageWrong},
		{"narrowing of nothing", narrow(&connectorv1.NarrowAccessRequest{Scopes: []string{"a"}}), connector.SignInRequired},
		{"identification of nobody", identify(nil), connector.SignInRequired},
		{"bad access", identify(&connectorv1.Access{Token: "t", ExpiresAt: &timestamppb.Timestamp{Nanos: -1}}), connector.UsageWrong},
	}
	for _, x := range cases {
		if d := diagnose(x.err); d.Code != x.code || d.Origin != connector.OriginHost || strings.Contains(d.Error(), "xxxx") {
			t.Errorf("%s: %.300v", x.name, x.err)
		}
	}
	if err := begin("myapp:/callback", "st"); err != nil {
		t.Errorf("a redirect URI of an app's own scheme: %v", err)
	}
}

func TestRequestsReachTheConnectorWhole(t *testing.T) {
	t.Parallel()
	f := &full{}
	var got plugin.OpenRequest
	f.open = func(_ context.Context, req plugin.OpenRequest) (plugin.Opened, error) {
		got = req
		return plugin.Opened{Access: goodAccess(), Credential: &connector.Credential{Format: 2, Data: connector.NewSecret("new")}}, nil
	}
	resp, err := dial(t, f).OpenSession(t.Context(), &connectorv1.OpenSessionRequest{
		Settings: settings, Credential: credential, MinimumValidity: durationpb.New(time.Minute), AllowRenew: true, AccessRefused: true,
		Deadline: deadline, Now: now, Network: &connectorv1.Network{ProxyUrl: "http://proxy"},
	})
	if err != nil || resp.GetAccess().GetToken() != "token-1" || string(resp.GetCredential().GetData()) != "new" {
		t.Fatalf("%v, %v", resp, err)
	}
	if got.MinValidity != time.Minute || !got.AllowRenew || !got.AccessRefused || !got.Deadline.Equal(deadline.AsTime()) || !got.Now.Equal(issued) ||
		got.Network.ProxyURL.Reveal() != "http://proxy" || got.Credential.Data.Reveal() != "old" {
		t.Errorf("request: %+v", got)
	}
}

// What a connector gets wrong shows as its own fault, not as bad data in a
// store.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	access := func(change func(*connector.Access)) func(plugin.OpenRequest) plugin.Opened {
		return func(plugin.OpenRequest) plugin.Opened {
			a := goodAccess()
			change(a)
			return plugin.Opened{Access: a}
		}
	}
	renewed := func(c connector.Credential) func(plugin.OpenRequest) plugin.Opened {
		return func(plugin.OpenRequest) plugin.Opened { return plugin.Opened{Access: goodAccess(), Credential: &c} }
	}
	fresh := connector.Credential{Format: 2, Data: connector.NewSecret("new")}
	cases := map[string]struct {
		answer func(plugin.OpenRequest) plugin.Opened
		renew  bool
	}{
		"no access":            {func(plugin.OpenRequest) plugin.Opened { return plugin.Opened{} }, true},
		"no token":             {access(func(a *connector.Access) { a.Token = connector.Secret{} }), false},
		"token with line end":  {access(func(a *connector.Access) { a.Token = connector.NewSecret("a\r\nX: y") }), false},
		"no type":              {access(func(a *connector.Access) { a.Type = "" }), false},
		"type of two words":    {access(func(a *connector.Access) { a.Type = "a b" }), false},
		"not issued":           {access(func(a *connector.Access) { a.IssuedAt = time.Time{} }), false},
		"expires before":       {access(func(a *connector.Access) { a.ExpiresAt = a.IssuedAt }), false},
		"far future":           {access(func(a *connector.Access) { a.ExpiresAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }), false},
		"plain endpoint":       {access(func(a *connector.Access) { a.Endpoints["api"] = "http://api.example.com" }), false},
		"endpoint with query":  {access(func(a *connector.Access) { a.Endpoints["api"] = "https://api.example.com?x" }), false},
		"relative endpoint":    {access(func(a *connector.Access) { a.Endpoints["api"] = "/2.0" }), false},
		"endpoint with a user": {access(func(a *connector.Access) { a.Endpoints["api"] = "https://u@api.example.com" }), false},
		"its own token header": {access(func(a *connector.Access) { a.Headers = map[string]string{"authorization": "x"} }), false},
		"header that splits":   {access(func(a *connector.Access) { a.Headers = map[string]string{"X-A": "a\nb"} }), false},
		"renewal not allowed":  {renewed(fresh), false},
		"empty credential":     {renewed(connector.Credential{Format: 2}), true},
		"other format":         {renewed(connector.Credential{Format: 1, Data: fresh.Data}), true},
		"large credential":     {renewed(connector.Credential{Format: 2, Data: connector.NewSecret(strings.Repeat("x", handshake.MaxCredentialBytes+1))}), true},
	}
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &full{}
			f.open = func(_ context.Context, req plugin.OpenRequest) (plugin.Opened, error) { return x.answer(req), nil }
			_, err := dial(t, f).OpenSession(t.Context(), &connectorv1.OpenSessionRequest{Settings: settings, AllowRenew: x.renew, Deadline: deadline})
			if d := diagnose(err); d.Code != connector.Internal || d.Origin != connector.OriginConnector {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Loopback endpoints are fine: emulators and test servers.
func TestLoopbackEndpoints(t *testing.T) {
	t.Parallel()
	f := &full{}
	f.open = func(context.Context, plugin.OpenRequest) (plugin.Opened, error) {
		a := goodAccess()
		a.Endpoints = map[string]string{"a": "http://localhost:8080", "b": "http://127.0.0.1/x", "c": "http://[::1]:1"}
		a.Generation = 7
		return plugin.Opened{Access: a}, nil
	}
	resp, err := dial(t, f).OpenSession(t.Context(), &connectorv1.OpenSessionRequest{Settings: settings})
	if err != nil || resp.GetAccess().GetGeneration() != 0 {
		t.Errorf("%v, %v", resp, err)
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

// The old credential is spent, so a new one must reach the store even if
// what came with it is unusable.
func TestRenewedCredentialIsNeverWithheld(t *testing.T) {
	t.Parallel()
	f := &full{}
	f.open = func(context.Context, plugin.OpenRequest) (plugin.Opened, error) {
		a := goodAccess()
		a.Type = ""
		return plugin.Opened{Access: a, Credential: &connector.Credential{Format: 2, Data: connector.NewSecret("new")}}, nil
	}
	resp, err := dial(t, f).OpenSession(t.Context(), &connectorv1.OpenSessionRequest{Settings: settings, AllowRenew: true, Deadline: deadline})
	if err != nil || string(resp.GetCredential().GetData()) != "new" || resp.GetAccess() != nil {
		t.Errorf("%v, %v", resp, err)
	}
}

func TestOtherBadAnswers(t *testing.T) {
	t.Parallel()
	good := func(req plugin.BeginRequest) plugin.Begun {
		return plugin.Begun{URL: "https://login.example.com/?state=" + req.State.Reveal(), ExpiresAt: req.Now.Add(time.Minute)}
	}
	begun := func(change func(*plugin.Begun)) func(*full) {
		return func(f *full) {
			f.begin = func(req plugin.BeginRequest) (plugin.Begun, error) {
				b := good(req)
				change(&b)
				return b, nil
			}
		}
	}
	for name, x := range map[string]struct {
		call  string
		spoil func(*full)
	}{
		"URL over http":     {"BeginAuthorization", begun(func(b *plugin.Begun) { b.URL = "http://login.example.com/?state=st" })},
		"URL without state": {"BeginAuthorization", begun(func(b *plugin.Begun) { b.URL = "https://login.example.com/" })},
		"script":            {"BeginAuthorization", begun(func(b *plugin.Begun) { b.URL = "javascript:alert('st')" })},
		"no end":            {"BeginAuthorization", begun(func(b *plugin.Begun) { b.ExpiresAt = time.Time{} })},
		"large pending blob": {"BeginAuthorization", begun(func(b *plugin.Begun) {
			b.Pending = connector.NewSecret(strings.Repeat("x", handshake.MaxPendingBytes+1))
		})},
		"no credential": {"CompleteAuthorization", func(f *full) {
			f.complete = func(plugin.CompleteRequest) (plugin.Completed, error) { return plugin.Completed{}, nil }
		}},
		"no account": {"Identify", func(f *full) {
			f.identify = func(plugin.IdentifyRequest) (connector.Account, error) { return connector.Account{}, nil }
		}},
		"account of controls": {"Identify", func(f *full) {
			f.identify = func(plugin.IdentifyRequest) (connector.Account, error) { return connector.Account{ID: "a\nb"}, nil }
		}},
		"not narrowed": {"NarrowAccess", func(f *full) {
			f.narrow = func(req plugin.NarrowRequest) (*connector.Access, error) { return req.Access, nil }
		}},
		"nothing narrowed": {"NarrowAccess", func(f *full) { f.narrow = func(plugin.NarrowRequest) (*connector.Access, error) { return nil, nil } }},
	} {
		f := &full{}
		x.spoil(f)
		if d := diagnose(everyCall(t.Context(), dial(t, f), settings)[x.call]); d.Code != connector.Internal || d.Origin != connector.OriginConnector {
			t.Errorf("%s: %v", name, d)
		}
	}
}

func TestNarrowedAccessEndsWithItsParent(t *testing.T) {
	t.Parallel()
	for _, ends := range []time.Time{{}, expires.Add(time.Hour), expires.Add(-time.Minute)} {
		f := &full{narrow: func(plugin.NarrowRequest) (*connector.Access, error) {
			a := goodAccess()
			a.Token, a.ExpiresAt = connector.NewSecret("narrow"), ends
			return a, nil
		}}
		resp, err := dial(t, f).NarrowAccess(t.Context(), &connectorv1.NarrowAccessRequest{Settings: settings, Access: wireAccess, Resource: "https://api.example.com/2.0/files/1"})
		if err != nil || resp.GetAccess().GetExpiresAt().AsTime().After(expires) {
			t.Errorf("ends %v: %v, %v", ends, resp, err)
		}
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

func TestDescriptionsThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*connector.Description){
		"no ID":               func(d *connector.Description) { d.ID = "" },
		"bad ID":              func(d *connector.Description) { d.ID = "Box" },
		"no title":            func(d *connector.Description) { d.Title = "" },
		"no version":          func(d *connector.Description) { d.Version = "" },
		"no sign-in":          func(d *connector.Description) { d.SignIns = nil },
		"sign-in not offered": func(d *connector.Description) { d.SignIns = []connector.SignIn{connector.SignInNone} },
		"no schema":           func(d *connector.Description) { d.Schema = nil },
		"no format":           func(d *connector.Description) { d.CredentialWrites = 0 },
		"can't read its own":  func(d *connector.Description) { d.CredentialReads = []uint32{1} },
		"check without title": func(d *connector.Description) { d.Checks[0].Title = "" },
		"check twice":         func(d *connector.Description) { d.Checks[1].ID = d.Checks[0].ID },
		"later parent":        func(d *connector.Description) { d.Checks[0].DependsOn = []string{"token"} },
		"too many checks":     func(d *connector.Description) { d.Checks = make([]connector.CheckDeclaration, handshake.MaxChecks+1) },
	} {
		d := (&full{}).Describe()
		change(&d)
		if _, err := plugin.NewServer(&full{describe: func() connector.Description { return d }}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// A schema outside the subset is the author's fault and not the person's.
func TestBrokenSchema(t *testing.T) {
	t.Parallel()
	d := (&full{}).Describe()
	d.Schema = []byte(`{"type": "array"}`)
	c := dial(t, &full{describe: func() connector.Description { return d }})
	_, err := c.ValidateSettings(t.Context(), &connectorv1.ValidateSettingsRequest{Settings: settings})
	if got := diagnose(err); got.Code != connector.PluginContractBroken || got.Origin != connector.OriginConnector {
		t.Errorf("got %v", got)
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
