package checks

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/conformance/internal/check"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// credentialChecks judge what the host keeps.
func credentialChecks() []*check.Check {
	const need = check.Description | check.Settings | check.Peer
	must := func(id, clause, title string, run func(*check.T)) *check.Check {
		return &check.Check{
			ID: "credential." + id, Level: check.Must, Clauses: []string{clause}, Needs: need, Capability: signsIn, Title: title, Run: run,
		}
	}
	return []*check.Check{
		must("format", "C-1", "Credentials have the format that Describe says is written, which is read.", func(t *check.T) {
			d := t.Described()
			if w := d.GetCredentialWrites(); w < 1 || !slices.Contains(d.GetCredentialReads(), w) {
				t.Errorf("it writes format %d and reads %v", w, d.GetCredentialReads())
			}
			for how, credential := range credentials(t) {
				if credential.GetFormat() != d.GetCredentialWrites() {
					t.Errorf("%s gives format %d, not %d", how, credential.GetFormat(), d.GetCredentialWrites())
				}
			}
		}),
		must("size", "C-2", "A credential holds from 1 byte to 64 KiB.", func(t *check.T) {
			for how, credential := range credentials(t) {
				if n := len(credential.GetData()); n < 1 || n > 64<<10 {
					t.Errorf("%s gives %d bytes", how, n)
				}
			}
		}),
		must("reads", "C-3", "Every format that Describe lists is read.", readsAll),
		must("other-format", "C-4", "Any other format fails with CODE_CREDENTIAL_UNREADABLE, without traffic or disposition.", otherFormat),
		func() *check.Check {
			c := must("asked-format", "C-1", "An answer has the format that the request names, among those that may be named.", askedFormat)
			c.Clauses = append(c.Clauses, "V-7")
			return c
		}(),
		must("wrong-format", "C-7", "To ask for any other format fails with INVALID_ARGUMENT, without traffic.", wrongFormat),
		must("damaged", "C-5", "Damaged data fails with CODE_CREDENTIAL_UNREADABLE, without traffic.", func(t *check.T) {
			c := t.Start()
			whole := t.SignIn(c)
			mark := t.Mark()
			for name, data := range map[string][]byte{"half of it": whole.GetData()[:len(whole.GetData())/2], "garbage": []byte("\x00\x01garbage{")} {
				for _, may := range []bool{false, true} {
					r := t.Open(&connectorv1.Credential{Format: whole.GetFormat(), Data: data})
					if may {
						r.AllowRenew, r.Deadline = true, check.After(renewTime)
					}
					if _, err := c.OpenSession(t.Call(), r); code(err) != credentialUnreadable {
						t.Errorf("%s is answered with %s", name, check.Brief(err))
					}
				}
			}
			t.NoTraffic(mark, "damaged data")
		}),
		must("times", "C-6", "access_expires_at and lapses_at are what the data holds, on the clock of now.", credentialTimes),
	}
}

const credentialUnreadable = connectorv1.Code_CODE_CREDENTIAL_UNREADABLE

// credentials gets them in each way that the connector has.
func credentials(t *check.T) map[string]*connectorv1.Credential {
	return check.Shared(t, "credentials", check.DefaultWatchdog, func(t *check.T) map[string]*connectorv1.Credential {
		c := t.Start()
		first := t.SignIn(c)
		out := map[string]*connectorv1.Credential{"a sign-in": first}
		if answer, err := c.OpenSession(t.Call(), expired(t, first)); err == nil && answer.GetCredential() != nil {
			out["a renewal"] = answer.GetCredential()
		}
		return out
	})
}

func readsAll(t *check.T) {
	c := t.Start()
	own := t.SignIn(c)
	for _, format := range t.Described().GetCredentialReads() {
		credential := &connectorv1.Credential{Format: format}
		if format == own.GetFormat() {
			credential = own
		} else {
			at := -1
			for i, sample := range t.Profile().Credentials {
				if sample.Format == format {
					at = i
				}
			}
			if at < 0 {
				t.Blockf("the profile has no sample of format %d", format)
			}
			credential.Data = t.Profile().Credentials[at].Data
		}
		if _, err := c.OpenSession(t.Call(), t.Open(credential)); code(err) == credentialUnreadable {
			t.Errorf("format %d is answered with %s", format, check.Brief(err))
		}
	}
}

func otherFormat(t *check.T) {
	c := t.Start()
	own := t.SignIn(c)
	mark := t.Mark()
	reads := t.Described().GetCredentialReads()
	for _, format := range []uint32{0, slices.Max(append(reads, 0)) + 1, 4_000_000_000} {
		for _, may := range []bool{false, true} {
			r := t.Open(&connectorv1.Credential{Format: format, Data: own.GetData()})
			if may {
				r.AllowRenew, r.Deadline = true, check.After(renewTime)
			}
			_, err := c.OpenSession(t.Call(), r)
			d := check.Failed(err).Diagnostic()
			if d.GetCode() != credentialUnreadable || d.GetDisposition() != 0 {
				t.Errorf("format %d is answered with %s", format, check.Brief(err))
				continue
			}
			text := d.GetSummary() + d.GetDetail() + d.GetSuggestion()
			for _, n := range reads {
				if !strings.Contains(text, decimal(n)) {
					t.Errorf("the texts about format %d don't say that format %d is read", format, n)
				}
			}
		}
	}
	t.NoTraffic(mark, "a format that isn't read")
}

func credentialTimes(t *check.T) {
	signedIn(t)
	c := t.Start()
	for _, now := range []time.Time{time.Now(), time.Now().Add(500 * 24 * time.Hour)} {
		b := t.Begin(c)
		r := b.Complete(t.Allow(b))
		if d := now.Sub(b.Now); d > time.Hour {
			// Begun and completed on the same clock.
			begin := beginWith(t, check.State, t.Profile().RedirectURI)
			begin.Now = timestamppb.New(now)
			answer, err := c.BeginAuthorization(t.Call(), begin)
			if err != nil {
				t.Blockf("BeginAuthorization fails: %s", check.Brief(err))
			}
			b = &check.Begun{BeginAuthorizationResponse: answer, Settings: begin.GetSettings(), Now: now}
			r = b.Complete(t.Allow(b))
		}
		done, err := c.CompleteAuthorization(t.Call(), r)
		if err != nil {
			t.Blockf("CompleteAuthorization fails: %s", check.Brief(err))
		}
		credential := done.GetCredential()
		open := t.Open(credential)
		open.Now = timestamppb.New(now.Add(2 * time.Second))
		answer, err := c.OpenSession(t.Call(), open)
		if err != nil {
			t.Blockf("OpenSession fails: %s", check.Brief(err))
		}
		if a, b := credential.GetAccessExpiresAt(), answer.GetAccess().GetExpiresAt(); (a == nil) != (b == nil) || a.AsTime().Sub(b.AsTime()).Abs() > time.Second {
			t.Errorf("at %v, the credential says that the access ends at %v, the access %v", now.UTC(), a.AsTime(), b.AsTime())
		}
		if at := credential.GetAccessExpiresAt(); at != nil && (at.AsTime().Before(now) || at.AsTime().After(now.Add(400*24*time.Hour))) {
			t.Errorf("at %v, access_expires_at is %v", now.UTC(), at.AsTime())
		}
		if at := credential.GetLapsesAt(); at != nil && (at.AsTime().Before(now) || at.AsTime().After(now.AddDate(20, 0, 0))) {
			t.Errorf("at %v, lapses_at is %v", now.UTC(), at.AsTime())
		}
	}
}

// formats are those that a request may name: the one that is written, and the
// one before it that is read.
func formats(d *connectorv1.DescribeResponse) []uint32 {
	writes := d.GetCredentialWrites()
	out := []uint32{writes}
	before := uint32(0)
	for _, f := range d.GetCredentialReads() {
		if f < writes && f > before {
			before = f
		}
	}
	if before > 0 {
		out = append(out, before)
	}
	return out
}

func askedFormat(t *check.T) {
	c := t.Start()
	for _, format := range formats(t.Described()) {
		b := t.Begin(c)
		r := b.Complete(t.Allow(b))
		r.CredentialFormat = format
		done, err := c.CompleteAuthorization(t.Call(), r)
		if err != nil {
			t.Blockf("CompleteAuthorization fails: %s", check.Brief(err))
		}
		if got := done.GetCredential().GetFormat(); got != format {
			t.Errorf("a sign-in that asks for format %d gives %d", format, got)
		}
		again := expired(t, done.GetCredential())
		again.CredentialFormat = format
		answer, err := c.OpenSession(t.Call(), again)
		if err != nil || answer.GetCredential() == nil {
			t.Blockf("a renewal fails: %s", check.Brief(err))
		}
		if got := answer.GetCredential().GetFormat(); got != format {
			t.Errorf("a renewal that asks for format %d gives %d", format, got)
		}
	}
}

func wrongFormat(t *check.T) {
	c := t.Start()
	credential := t.SignIn(c)
	b := t.Begin(c)
	complete := b.Complete(t.Allow(b))
	mark := t.Mark()
	for _, format := range []uint32{slices.Max(append(t.Described().GetCredentialReads(), 0)) + 1, 4_000_000_000} {
		complete.CredentialFormat = format
		if _, err := c.CompleteAuthorization(t.Call(), complete); status.Code(err) != codes.InvalidArgument {
			t.Errorf("a sign-in that asks for format %d is answered with %s", format, check.Brief(err))
		}
		r := expired(t, credential)
		r.CredentialFormat = format
		if _, err := c.OpenSession(t.Call(), r); status.Code(err) != codes.InvalidArgument {
			t.Errorf("a renewal that asks for format %d is answered with %s", format, check.Brief(err))
		}
	}
	t.NoTraffic(mark, "to ask for a format that may not be asked for")
}
