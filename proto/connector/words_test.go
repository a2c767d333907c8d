package connector_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/proto/connector"
)

// A secret ends in no log, error or dump, whatever prints it.
func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	const value = "s3cr3t"
	s := connector.NewSecret(value)
	holder := struct {
		S connector.Secret
		P *connector.Secret
		M map[string]connector.Secret
		A *connector.Access
		C connector.Credential
		N connector.Network
	}{
		s, &s, map[string]connector.Secret{"a": s}, &connector.Access{Token: s},
		connector.Credential{Data: s}, connector.Network{ProxyURL: s},
	}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10.3s"} {
		_, _ = fmt.Fprintf(&out, verb+verb+verb+verb, s, &s, holder, holder.A)
	}
	data, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(data)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s, "h", holder)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s, "h", holder)
	out.Write(log.Bytes())
	for _, form := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value)} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%q shows in %s", form, out.String())
		}
	}
	if s.Reveal() != value || !strings.Contains(out.String(), connector.Redacted) {
		t.Error("the secret is lost")
	}
	if s != connector.NewSecret(strings.Clone(value)) || s == connector.NewSecret("other") || connector.NewSecret("") != (connector.Secret{}) {
		t.Error("secrets aren't equal by their values")
	}
	if zero := (connector.Secret{}); zero.String() != "" || zero.Fingerprint() != "" || !zero.IsZero() {
		t.Error("the empty secret isn't empty")
	}
	if f := s.Fingerprint(); len(f) != 12 || f == connector.NewSecret("other").Fingerprint() {
		t.Errorf("fingerprint %q", f)
	}
}

func TestDiagnosticsAreErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("quotes client_secret=s3cr3t")
	base := connector.Errorf(connector.RateLimited, connector.OriginService, "Too many %s.", "requests")
	full := base.With(connector.Retry).At("/a").WithDetail("detail").Suggest("Wait.").After(time.Second).Because(cause)
	err := fmt.Errorf("call: %w", full)
	if !errors.Is(err, connector.RateLimited) || errors.Is(err, connector.TimedOut) || !errors.Is(err, cause) {
		t.Errorf("%v isn't what it is", err)
	}
	if want := "RATE_LIMITED at /a: Too many requests. (detail) Wait."; full.Error() != want {
		t.Errorf("text: %s", full)
	}
	if base.Disposition != "" || base.Pointer != "" || base.Detail != "" || base.Suggestion != "" || base.RetryAfter != 0 || errors.Is(base, cause) {
		t.Errorf("the original was changed: %+v", base)
	}
	if connector.Diagnose(err, connector.OriginHost) != full {
		t.Error("the diagnostic in the tree isn't found")
	}
	plain := connector.Diagnose(cause, connector.OriginHost)
	if plain.Code != connector.Internal || plain.Origin != connector.OriginHost || strings.Contains(plain.Error(), "s3cr3t") || !errors.Is(plain, cause) {
		t.Errorf("plain: %v", plain)
	}
	for end, code := range map[error]connector.Code{context.Canceled: connector.Canceled, context.DeadlineExceeded: connector.TimedOut} {
		if d := connector.Diagnose(fmt.Errorf("get https://x?key=s3cr3t: %w", end), connector.OriginNetwork); d.Code != code || strings.Contains(d.Error(), "s3cr3t") || !errors.Is(d, end) {
			t.Errorf("%v: %v", end, d)
		}
	}
	if connector.Diagnose(nil, connector.OriginHost) != nil {
		t.Error("nil isn't nil")
	}
}

func TestDiagnosticsErr(t *testing.T) {
	t.Parallel()
	warning := &connector.Diagnostic{Severity: connector.SeverityWarning, Code: connector.ScopesUnknown}
	first := connector.Errorf(connector.SettingRequired, connector.OriginSettings, "first")
	second := connector.Errorf(connector.SettingInvalid, connector.OriginSettings, "second")
	for _, ds := range []connector.Diagnostics{nil, {}, {warning}} {
		if err := ds.Err(); err != nil {
			t.Errorf("%v: %v", ds, err)
		}
	}
	if err := (connector.Diagnostics{warning, first}).Err(); !errors.Is(err, first) {
		t.Errorf("one: %v", err)
	}
	err := (connector.Diagnostics{first, warning, second}).Err()
	if d := connector.Diagnose(err, ""); d.Code != first.Code || !strings.Contains(d.Detail, "1 more") || first.Detail != "" {
		t.Errorf("two: %v", err)
	}
}

func TestHas(t *testing.T) {
	t.Parallel()
	d := connector.Description{Capabilities: []connector.Capability{connector.CapabilityNarrow}}
	if !d.Has(connector.CapabilityNarrow) || d.Has(connector.CapabilityRevoke) {
		t.Error("Has")
	}
}
