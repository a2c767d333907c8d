package plugin_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

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
		{"a format that isn't written", open(&connectorv1.OpenSessionRequest{CredentialFormat: 3}), connector.UsageWrong},
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

// The format before the newest is written where the host asks for it, and no
// other one is taken for it.
func TestTheFormatThatIsAskedForIsWritten(t *testing.T) {
	t.Parallel()
	f := &full{}
	f.open = func(_ context.Context, req plugin.OpenRequest) (plugin.Opened, error) {
		return plugin.Opened{Access: goodAccess(), Credential: &connector.Credential{Format: req.Format, Data: connector.NewSecret("new")}}, nil
	}
	client := dial(t, f)
	for asked, want := range map[uint32]uint32{0: 2, 1: 1, 2: 2} {
		resp, err := client.OpenSession(t.Context(), &connectorv1.OpenSessionRequest{
			Settings: settings, Credential: credential, AllowRenew: true, Deadline: deadline, CredentialFormat: asked,
		})
		if err != nil || resp.GetCredential().GetFormat() != want {
			t.Errorf("asked for %d: format %d, %v; want %d", asked, resp.GetCredential().GetFormat(), err, want)
		}
	}
}
