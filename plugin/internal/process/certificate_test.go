package process

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// The handshake line carries the certificate that the plugin serves with, and
// nothing else of it changes.
func TestAnnounce(t *testing.T) {
	t.Setenv(clientCertificate, hostCertificate(t))
	id, err := newIdentity(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"\n", "|true\n", ""} {
		line := string(id.announce([]byte("1|1|unix|/tmp/x/plugin1|grpc|" + end)))
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		if !strings.HasPrefix(line, "1|1|unix|/tmp/x/plugin1|grpc|") || !strings.HasSuffix(line, end) {
			t.Fatalf("%q", line)
		}
		der, err := base64.RawStdEncoding.DecodeString(fields[5])
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(cert)
		if _, err := cert.Verify(x509.VerifyOptions{DNSName: "localhost", Roots: roots}); err != nil {
			t.Fatal(err)
		}
		if key, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
			t.Fatalf("%T", cert.PublicKey)
		}
	}
}

func TestHostCertificateIsRead(t *testing.T) {
	t.Setenv(clientCertificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("none")})))
	if _, err := newIdentity(time.Now()); err == nil {
		t.Fatal("a certificate that can't be read was taken")
	}
	t.Setenv(clientCertificate, "")
	if id, err := newIdentity(time.Now()); id != nil || err != nil {
		t.Fatalf("without a host's certificate: %v, %v", id, err)
	}
}

// hostCertificate is what a host would hand over.
func hostCertificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
