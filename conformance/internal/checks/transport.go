package checks

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/boxconnection/connector/conformance/internal/check"
	"github.com/boxconnection/connector/conformance/internal/rawclient"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// transportChecks judge TLS and the limits of messages.
func transportChecks() []*check.Check {
	return []*check.Check{
		{
			ID: "transport.tls-version", Level: check.Must, Clauses: []string{"P-9"}, Needs: check.Process,
			Title: "It serves TLS 1.2 or later only.",
			Run:   oldTLS,
		},
		{
			ID: "transport.certificate", Level: check.Must, Clauses: []string{"P-9"}, Needs: check.Process,
			Title: "Its certificate is its own, made for this process, in the form that hosts take.",
			Run:   ownCertificate,
		},
		{
			ID: "transport.stranger-bare", Level: check.Must, Clauses: []string{"P-10"}, Needs: check.Process,
			Title: "A client without a certificate, or without TLS, is refused.",
			Run: func(t *check.T) {
				c := t.Start()
				stranger(t, c.Process, "a client without a certificate", rawclient.Anonymous(c.Process.Line.DER))
				stranger(t, c.Process, "a client without TLS", nil)
			},
		},
		{
			ID: "transport.stranger-other", Level: check.Must, Clauses: []string{"P-10"}, Needs: check.Process,
			Title: "A client with another certificate is refused.",
			Run: func(t *check.T) {
				c := t.Start()
				other, err := rawclient.NewIdentity()
				if err != nil {
					t.Brokenf("%v", err)
				}
				stranger(t, c.Process, "a client with another certificate", other.Config(c.Process.Line.DER))
			},
		},
		{
			ID: "transport.accepts-4MiB", Level: check.Must, Clauses: []string{"P-18"},
			Title: "Messages of 4 MiB are accepted.",
			Run: func(t *check.T) {
				_, err := t.Start().ValidateSettings(t.Call(), sized(handshake.MaxMessageBytes))
				// A refusal by the connector itself comes with its diagnostic.
				if f := check.Failed(err); f != nil && len(f.Diagnostics) == 0 {
					t.Errorf("a message of 4194304 bytes is answered with %s", check.Brief(err))
				}
			},
		},
		{
			ID: "transport.refuses-larger", Level: check.Must, Clauses: []string{"P-18"},
			Title: "Larger messages are refused with RESOURCE_EXHAUSTED, and it goes on.",
			Run: func(t *check.T) {
				c := t.Start()
				_, err := c.ValidateSettings(t.Call(), sized(handshake.MaxMessageBytes+64<<10))
				if got := status.Code(err); got != codes.ResourceExhausted {
					t.Errorf("a message of 4 MiB and 64 KiB is answered with %s", check.Brief(err))
				}
				if _, err := c.Describe(t.Call(), &connectorv1.DescribeRequest{}); err != nil {
					t.Errorf("afterwards Describe fails: %s", check.Brief(err))
				}
			},
		},
		{
			ID: "transport.answers", Level: check.Must, Clauses: []string{"P-19"},
			Title: "No answer is larger than 4 MiB, however much is wrong with a request.",
			Run: func(t *check.T) {
				answer, err := t.Start().ValidateSettings(t.Call(), &connectorv1.ValidateSettingsRequest{Settings: manyUnknown()})
				if err == nil && sizeOf(answer) > handshake.MaxMessageBytes {
					t.Errorf("an answer has %d bytes", sizeOf(answer))
				}
			},
		},
	}
}

func oldTLS(t *check.T) {
	c := t.Start()
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		raw, err := c.Process.Raw(t.Call())
		if err != nil {
			t.Blockf("no connection: %v", err)
		}
		config := c.Process.Identity().Config(c.Process.Line.DER)
		config.MinVersion, config.MaxVersion = version, version
		client := tls.Client(raw, config)
		_ = raw.SetDeadline(time.Now().Add(check.CallLimit))
		if client.HandshakeContext(t.Call()) == nil {
			t.Errorf("it serves %s", tls.VersionName(version))
		}
		_ = raw.Close()
	}
}

func ownCertificate(t *check.T) {
	first, second := t.Start(), t.Start()
	if bytes.Equal(first.Process.Line.DER, second.Process.Line.DER) {
		t.Errorf("two processes have the same certificate")
	}
	c := first.Process.Line.Certificate
	if c == nil {
		t.Blockf("the handshake line holds no certificate")
	}
	raw, err := first.Process.Raw(t.Call())
	if err != nil {
		t.Blockf("no connection: %v", err)
	}
	defer func() { _ = raw.Close() }()
	// Taken whatever it is; it is compared below.
	config := first.Process.Identity().Config(first.Process.Line.DER)
	config.VerifyConnection = nil
	client := tls.Client(raw, config)
	if err := client.HandshakeContext(t.Call()); err != nil {
		t.Fatalf("TLS fails: %v", err)
	}
	if !bytes.Equal(client.ConnectionState().PeerCertificates[0].Raw, c.Raw) {
		t.Errorf("it shows another certificate than the handshake line")
	}
	if !slices.Contains(c.DNSNames, "localhost") {
		t.Errorf("the alternative names are %q, without localhost", c.DNSNames)
	}
	if len(c.ExtKeyUsage) > 0 && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
		t.Errorf("the extended key usage is without serverAuth")
	}
	if now := time.Now(); now.Before(c.NotBefore) || now.After(c.NotAfter) {
		t.Errorf("the certificate is valid from %v to %v", c.NotBefore, c.NotAfter)
	}
	if problem := keyProblem(c.PublicKey); problem != "" {
		t.Errorf("the key %s", problem)
	}
}

func keyProblem(key any) string {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if !slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, k.Curve) {
			return "is on another curve than P-256, P-384 and P-521"
		}
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return "has fewer than 2048 bits"
		}
	case ed25519.PublicKey:
	default:
		return "is of a kind that hosts don't take"
	}
	return ""
}

// stranger fails if a client gets an answer.
func stranger(t *check.T, p *rawclient.Process, who string, config *tls.Config) {
	conn, err := p.Dial(config)
	if err != nil {
		t.Brokenf("%v", err)
	}
	if _, err := connectorv1.NewConnectorServiceClient(conn).Describe(t.CallWithin(3*time.Second), &connectorv1.DescribeRequest{}); err == nil {
		t.Errorf("%s gets answers", who)
	}
}

// sized is a request of exactly n bytes.
func sized(n int) *connectorv1.ValidateSettingsRequest {
	r := &connectorv1.ValidateSettingsRequest{Settings: bytes.Repeat([]byte(" "), n)}
	for sizeOf(r) > n {
		r.Settings = r.Settings[:len(r.Settings)-(sizeOf(r)-n)]
	}
	return r
}

// manyUnknown are settings just below the limit with very many problems.
func manyUnknown() []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := 0; b.Len() < handshake.MaxSettingsBytes-16; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		b.WriteString(name(i))
		b.WriteString(`":1`)
	}
	b.WriteByte('}')
	return b.Bytes()
}

func name(i int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	text := []byte("u0")
	for ; i > 0; i /= len(letters) {
		text = append(text, letters[i%len(letters)])
	}
	return string(text)
}
