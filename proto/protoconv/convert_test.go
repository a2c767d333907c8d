package protoconv_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

var (
	noon    = time.Date(2026, 3, 4, 12, 0, 0, 123, time.UTC)
	badTime = &timestamppb.Timestamp{Seconds: 1, Nanos: -1}
	secrets = cmp.Comparer(func(a, b connector.Secret) bool { return a == b })
	noCause = cmp.Comparer(func(a, b *connector.Diagnostic) bool {
		if a == nil || b == nil {
			return a == b
		}
		return cmp.Equal(exported(a), exported(b))
	})
)

// exported is a diagnostic without its cause.
func exported(d *connector.Diagnostic) any {
	return struct {
		A connector.Severity
		B connector.Code
		C [4]string
		D *connector.Fix
		E time.Duration
		F connector.Disposition
		G connector.Origin
	}{d.Severity, d.Code, [4]string{d.Pointer, d.Summary, d.Detail, d.Suggestion}, d.Fix, d.RetryAfter, d.Disposition, d.Origin}
}

// overWire sends a message through its encoding.
func overWire[M proto.Message](t interface{ Fatal(...any) }, m M) M {
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	c := m.ProtoReflect().New().Interface().(M)
	if err := proto.Unmarshal(data, c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNilAndZero(t *testing.T) {
	t.Parallel()
	if a, err := protoconv.AccessFromProto(nil); a != nil || err != nil {
		t.Errorf("access: %v, %v", a, err)
	}
	if protoconv.AccessToProto(nil) != nil || protoconv.DiagnosticToProto(nil) != nil || protoconv.DiagnosticFromProto(nil) != nil {
		t.Error("nil doesn't stay nil")
	}
	if a, err := protoconv.AccessFromProto(&connectorv1.Access{}); err != nil || !cmp.Equal(a, &connector.Access{}, secrets) {
		t.Errorf("zero access: %+v, %v", a, err)
	}
	if c, err := protoconv.CredentialFromProto(nil); err != nil || !c.IsZero() || protoconv.CredentialToProto(c) != nil {
		t.Errorf("credential: %+v, %v", c, err)
	}
	if a := protoconv.AccountFromProto(nil); a != (connector.Account{}) {
		t.Errorf("account: %+v", a)
	}
	if n := protoconv.NetworkFromProto(nil); !n.ProxyURL.IsZero() || n.NoProxy != nil || n.ExtraCAs != nil || protoconv.NetworkToProto(n) != nil {
		t.Errorf("network: %+v", n)
	}
	if c := protoconv.CheckFromProto(nil); !cmp.Equal(c, connector.Check{}) {
		t.Errorf("check: %+v", c)
	}
	if d := protoconv.CheckDeclarationFromProto(nil); !cmp.Equal(d, connector.CheckDeclaration{}) {
		t.Errorf("declaration: %+v", d)
	}
	if ds := protoconv.DiagnosticsFromProto([]*connectorv1.Diagnostic{nil}); ds != nil {
		t.Errorf("diagnostics: %v", ds)
	}
	if list := protoconv.DiagnosticsToProto(connector.Diagnostics{nil}); list != nil {
		t.Errorf("diagnostics: %v", list)
	}
	if protoconv.Timestamp(time.Time{}) != nil || protoconv.DurationToProto(0) != nil {
		t.Error("zero times and durations aren't absent")
	}
}

// The service not telling its scopes and granting none are different things.
func TestUnknownScopesStayUnknown(t *testing.T) {
	t.Parallel()
	for _, want := range []connector.Scopes{{}, {Known: true}, {Known: true, Values: []string{"a"}}} {
		got, err := protoconv.AccessFromProto(overWire(t, protoconv.AccessToProto(&connector.Access{Scopes: want})))
		if err != nil || got.Scopes.Known != want.Known || len(got.Scopes.Values) != len(want.Values) {
			t.Errorf("%+v became %+v, %v", want, got.Scopes, err)
		}
	}
}

func TestTimesThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	zero := timestamppb.New(time.Time{})
	for field, f := range map[string]func(*timestamppb.Timestamp) error{
		"access.issued_at": func(ts *timestamppb.Timestamp) error {
			_, err := protoconv.AccessFromProto(&connectorv1.Access{IssuedAt: ts})
			return err
		},
		"access.expires_at": func(ts *timestamppb.Timestamp) error {
			_, err := protoconv.AccessFromProto(&connectorv1.Access{ExpiresAt: ts})
			return err
		},
		"access.renew_at": func(ts *timestamppb.Timestamp) error {
			_, err := protoconv.AccessFromProto(&connectorv1.Access{RenewAt: ts})
			return err
		},
		"credential.access_expires_at": func(ts *timestamppb.Timestamp) error {
			_, err := protoconv.CredentialFromProto(&connectorv1.Credential{AccessExpiresAt: ts})
			return err
		},
		"credential.lapses_at": func(ts *timestamppb.Timestamp) error {
			_, err := protoconv.CredentialFromProto(&connectorv1.Credential{LapsesAt: ts})
			return err
		},
	} {
		for _, ts := range []*timestamppb.Timestamp{badTime, zero, {Seconds: 1 << 60}} {
			err := f(ts)
			m, ok := errors.AsType[*protoconv.MalformedError](err)
			if !ok || m.Field != field || !errors.Is(err, connector.PluginContractBroken) {
				t.Errorf("%s: %v", field, err)
			}
		}
		if err := f(timestamppb.New(noon)); err != nil {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, d := range []*durationpb.Duration{{Seconds: -1}, {Seconds: 1, Nanos: -1}, {Seconds: 1 << 60}} {
		if _, err := protoconv.Duration(d, "wait"); err == nil {
			t.Errorf("duration %v was taken", d)
		}
		if got := protoconv.DiagnosticFromProto(&connectorv1.Diagnostic{RetryAfter: d}); got.RetryAfter != 0 {
			t.Errorf("wait %v became %v", d, got.RetryAfter)
		}
	}
}

func TestUnknownNumbers(t *testing.T) {
	t.Parallel()
	d := protoconv.DiagnosticFromProto(&connectorv1.Diagnostic{Severity: 99, Code: 9999, Disposition: 99, Origin: 99})
	if d.Severity != connector.SeverityError || d.Code != connector.Internal || d.Disposition != "" || d.Origin != "" {
		t.Errorf("diagnostic: %+v", d)
	}
	if c := protoconv.CheckFromProto(&connectorv1.Check{Status: 99, SideEffect: 99}); c.Status != "" || c.SideEffect != "" {
		t.Errorf("check: %+v", c)
	}
	got, err := protoconv.DescriptionFromProto(&connectorv1.DescribeResponse{
		Id: "x", ContractVersion: handshake.Version, RenewalReplay: 99,
		Capabilities: []connectorv1.Capability{99, connectorv1.Capability_CAPABILITY_REVOKE}, SignIns: []connectorv1.SignIn{99},
	})
	if err != nil || got.RenewalReplay != connector.ReplayUnknown || len(got.Capabilities) != 1 || len(got.SignIns) != 0 {
		t.Errorf("description: %+v, %v", got, err)
	}
	if p := protoconv.DiagnosticToProto(&connector.Diagnostic{Code: "NO_SUCH", Severity: "huge"}); p.GetCode() != connectorv1.Code_CODE_INTERNAL || p.GetSeverity() != connectorv1.Severity_SEVERITY_ERROR {
		t.Errorf("diagnostic: %v", p)
	}
}

// Every word must have a number: one that was forgotten would change its
// meaning on the way.
func TestEveryCodeTravels(t *testing.T) {
	t.Parallel()
	for number, name := range connectorv1.Code_name {
		if number == 0 {
			continue
		}
		code := connector.Code(strings.TrimPrefix(name, "CODE_"))
		got := protoconv.DiagnosticFromProto(protoconv.DiagnosticToProto(&connector.Diagnostic{Code: code}))
		if got.Code != code {
			t.Errorf("%s became %s", code, got.Code)
		}
	}
	for _, code := range []connector.Code{connector.SettingRequired, connector.RenewalRequired, connector.ClockSkewed, connector.PluginRestartLimit, connector.UsageWrong} {
		if protoconv.DiagnosticToProto(&connector.Diagnostic{Code: code}).GetCode().String() != "CODE_"+string(code) {
			t.Errorf("%s has no number", code)
		}
	}
}

func TestDescriptionOfAnotherContract(t *testing.T) {
	t.Parallel()
	for _, p := range []*connectorv1.DescribeResponse{nil, {Id: "x"}, {Id: "x", ContractVersion: 2}, {ContractVersion: 1}, {Id: "X\n", ContractVersion: 1}} {
		if _, err := protoconv.DescriptionFromProto(p); !errors.Is(err, connector.PluginContractBroken) {
			t.Errorf("%v: %v", p, err)
		}
	}
}

// Texts from a peer end on a terminal, in a log and on a page.
func TestTextsAreCleaned(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"plain":                      "plain",
		"two\nlines\r\n":             "two lines  ",
		"\x1b[31mred\x1b[0m\x07":     "[31mred[0m",
		"right\u202eto left\u200b":   "rightto left",
		"bad \xff\xfe bytes":         "bad \uFFFD bytes",
		"C1 \u0085 and line \u2028.": "C1  and line  .",
	}
	for in, want := range cases {
		p := protoconv.DiagnosticToProto(&connector.Diagnostic{Summary: in, Detail: in, Suggestion: in, Code: connector.Internal})
		overWire(t, p)
		for _, got := range []string{p.GetSummary(), p.GetDetail(), p.GetSuggestion()} {
			if got != want {
				t.Errorf("%q became %q, want %q", in, got, want)
			}
		}
	}
	long := strings.Repeat("ä", 1<<20)
	d := protoconv.DiagnosticFromProto(&connectorv1.Diagnostic{
		Summary: long, Pointer: "/" + long, Fix: &connectorv1.Fix{Pointer: "/a", Value: []byte(`"` + long + `"`)},
	})
	if len(d.Summary) > 1024 || !utf8.ValidString(d.Summary) || !strings.HasSuffix(d.Summary, "…") || d.Pointer != "" || d.Fix != nil {
		t.Errorf("summary of %d bytes, pointer %q, fix %v", len(d.Summary), d.Pointer, d.Fix)
	}
	for _, bad := range []string{"no slash", "/a\nb", "/\xff"} {
		if d := protoconv.DiagnosticFromProto(&connectorv1.Diagnostic{Pointer: bad}); d.Pointer != "" {
			t.Errorf("pointer %q became %q", bad, d.Pointer)
		}
	}
	if d := protoconv.DiagnosticFromProto(&connectorv1.Diagnostic{Fix: &connectorv1.Fix{Pointer: "/a", Value: []byte("{")}}); d.Fix != nil {
		t.Errorf("fix %v isn't JSON", d.Fix)
	}
}

func anyTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.Unix(rapid.Int64Range(-1<<33, 1<<36).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).UTC()
	})
}

// texts are short, so that nothing is cut, and clean.
func texts() *rapid.Generator[string] { return rapid.StringMatching(`[a-zä€ ]{0,20}`) }

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(texts(), 1, 3)
		access := &connector.Access{
			Token: connector.NewSecret(rapid.String().Draw(t, "token")), Type: texts().Draw(t, "type"),
			IssuedAt: anyTime().Draw(t, "issued"), ExpiresAt: anyTime().Draw(t, "expires"), RenewAt: anyTime().Draw(t, "renew"),
			Endpoints:  map[string]string{"api": texts().Draw(t, "api")},
			Headers:    map[string]string{"h": texts().Draw(t, "header")},
			Scopes:     connector.Scopes{Known: true, Values: list.Draw(t, "scopes")},
			Refusal:    connector.TokenRefusal{ChallengeErrors: list.Draw(t, "errors"), EmptyBody: rapid.Bool().Draw(t, "empty")},
			Generation: rapid.Uint64().Draw(t, "generation"),
		}
		gotAccess, err := protoconv.AccessFromProto(overWire(t, protoconv.AccessToProto(access)))
		if diff := cmp.Diff(access, gotAccess, secrets); diff != "" || err != nil {
			t.Fatalf("access: %s %v", diff, err)
		}
		credential := connector.Credential{
			Format: rapid.Uint32().Draw(t, "format"), Data: connector.NewSecret(string(rapid.SliceOf(rapid.Byte()).Draw(t, "data"))),
			AccessExpiresAt: anyTime().Draw(t, "access expires"), LapsesAt: anyTime().Draw(t, "lapses"),
		}
		gotCredential, err := protoconv.CredentialFromProto(overWire(t, protoconv.CredentialToProto(credential)))
		if diff := cmp.Diff(credential, gotCredential, secrets); diff != "" || err != nil {
			t.Fatalf("credential: %s %v", diff, err)
		}
		account := connector.Account{ID: texts().Draw(t, "id"), Login: texts().Draw(t, "login"), Name: texts().Draw(t, "name"), EnterpriseID: texts().Draw(t, "eid"), EnterpriseName: texts().Draw(t, "ename")}
		if got := protoconv.AccountFromProto(overWire(t, protoconv.AccountToProto(account))); got != account {
			t.Fatalf("account: %+v", got)
		}
		network := connector.Network{ProxyURL: connector.NewSecret("http://p" + texts().Draw(t, "proxy")), NoProxy: list.Draw(t, "no proxy"), ExtraCAs: []byte("pem")}
		if diff := cmp.Diff(network, protoconv.NetworkFromProto(overWire(t, protoconv.NetworkToProto(network))), secrets); diff != "" {
			t.Fatal(diff)
		}
		check := connector.Check{
			ID: texts().Draw(t, "id"), Title: texts().Draw(t, "title"), Message: texts().Draw(t, "message"),
			Status: rapid.SampledFrom([]connector.CheckStatus{
				connector.CheckPassed, connector.CheckFailed, connector.CheckWarning, connector.CheckSkipped, connector.CheckNotSupported, connector.CheckNotRun,
			}).Draw(t, "status"),
			Diagnostic: anyDiagnostic(t), Duration: time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "duration")), DependsOn: list.Draw(t, "parents"),
			SideEffect: rapid.SampledFrom([]connector.SideEffect{connector.SideEffectNone, connector.SideEffectRead, connector.SideEffectWrite}).Draw(t, "effect"),
		}
		if diff := cmp.Diff(check, protoconv.CheckFromProto(overWire(t, protoconv.CheckToProto(check))), noCause); diff != "" {
			t.Fatal(diff)
		}
		description := connector.Description{
			ID: "id", Title: texts().Draw(t, "title"), Version: texts().Draw(t, "version"),
			SignIns:      []connector.SignIn{connector.SignInAuthorizationCode, connector.SignInNone},
			Capabilities: []connector.Capability{connector.CapabilityAuthorize, connector.CapabilityIdentify, connector.CapabilityNarrow, connector.CapabilityRevoke},
			Schema:       []byte(`{}`), Layout: []byte(`[]`),
			Checks:          []connector.CheckDeclaration{{ID: check.ID, Title: check.Title, DependsOn: check.DependsOn, SideEffect: check.SideEffect}},
			CredentialReads: []uint32{1, 2}, CredentialWrites: 2,
			RenewalReplay: rapid.SampledFrom([]connector.RenewalReplay{connector.ReplayUnknown, connector.ReplayUntilUsed, connector.ReplayNever}).Draw(t, "replay"),
		}
		gotDescription, err := protoconv.DescriptionFromProto(overWire(t, protoconv.DescriptionToProto(description)))
		if diff := cmp.Diff(description, gotDescription); diff != "" || err != nil {
			t.Fatal(diff, err)
		}
	})
}

func anyDiagnostic(t *rapid.T) *connector.Diagnostic {
	var codes []connector.Code
	for number := range int32(200) {
		if name, ok := connectorv1.Code_name[number]; ok && number > 0 {
			codes = append(codes, connector.Code(strings.TrimPrefix(name, "CODE_")))
		}
	}
	d := &connector.Diagnostic{
		Severity: rapid.SampledFrom([]connector.Severity{connector.SeverityError, connector.SeverityWarning, connector.SeverityInfo}).Draw(t, "severity"),
		Code:     rapid.SampledFrom(codes).Draw(t, "code"),
		Summary:  texts().Draw(t, "summary"), Detail: texts().Draw(t, "detail"), Suggestion: texts().Draw(t, "suggestion"),
		Pointer: rapid.SampledFrom([]string{"", "/a", "/a~1b/0"}).Draw(t, "pointer"), RetryAfter: time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "wait")),
		Disposition: rapid.SampledFrom([]connector.Disposition{"", connector.Retry, connector.FixSettings, connector.AskAdministrator, connector.SignInAgain}).Draw(t, "disposition"),
		Origin: rapid.SampledFrom([]connector.Origin{
			connector.OriginSettings, connector.OriginService, connector.OriginNetwork, connector.OriginConnector, connector.OriginHost,
		}).Draw(t, "origin"),
	}
	if rapid.Bool().Draw(t, "fix") {
		d.Fix = &connector.Fix{Pointer: "/a", Value: []byte(`"b"`)}
	}
	return d
}
