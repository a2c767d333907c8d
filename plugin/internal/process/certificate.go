package process

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"os"
	"time"
)

const (
	// clientCertificate names the variable that carries the host's certificate
	// in PEM. The name is go-plugin's.
	clientCertificate = "PLUGIN_CLIENT_CERT"

	// backdated allows for clocks that differ, validFor for a process that
	// runs long.
	backdated = 10 * time.Minute
	validFor  = 30 * 365 * 24 * time.Hour
)

// identity is this process's certificate, which the host pins by the
// handshake line.
type identity struct {
	config *tls.Config
	// der is the certificate.
	der []byte
}

// newIdentity makes the certificate that a host's certificate is answered
// with; nil if the host gave none and wants no TLS. go-plugin would make one on
// the curve P-521, whose making and handshake cost a third of a plugin's start;
// P-256 is as good here and costs little.
func newIdentity(now time.Time) (*identity, error) {
	given := os.Getenv(clientCertificate)
	if given == "" {
		return nil, nil
	}
	host := x509.NewCertPool()
	if !host.AppendCertsFromPEM([]byte(given)) {
		return nil, errors.New("the host's certificate can't be read")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: now.Add(-backdated), NotAfter: now.Add(validFor),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:        true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &identity{der: der, config: &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: host,
		RootCAs: host, ServerName: "localhost",
	}}, nil
}

// announce puts the certificate into the handshake line's sixth field, which
// go-plugin leaves empty for a certificate that isn't its own.
func (id *identity) announce(line []byte) []byte {
	if id == nil {
		return line
	}
	fields := bytes.SplitN(line, []byte("|"), 7)
	const certificate = 5
	if len(fields) <= certificate {
		return line
	}
	end := bytes.TrimLeft(fields[certificate], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
	fields[certificate] = fmt.Appendf(nil, "%s%s", base64.RawStdEncoding.EncodeToString(id.der), end)
	return bytes.Join(fields, []byte("|"))
}
