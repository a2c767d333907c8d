package launch

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"
)

// Plugins check the certificate by their own reading of the same clock; the
// margins are for a clock that is being set.
const (
	backdated = 5 * time.Minute
	validFor  = 10 * 365 * 24 * time.Hour // a process may live as long as its host
)

// clientTLS makes the host's side of the connection to one process: a fresh
// self-signed certificate, which the process is told to accept alone, on the
// curve P-256. go-plugin's own AutoMTLS uses P-521, whose handshake alone
// takes 6 ms longer.
//
// The roots are an empty pool, not the system's: go-plugin replaces it by the
// certificate from the handshake line, and if it ever didn't, no server would
// be accepted.
func clientTLS(now time.Time) (config *tls.Config, certificatePEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: "localhost"},
		DNSNames:              []string{"localhost"},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(validFor),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	config = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      x509.NewCertPool(),
		ServerName:   "localhost",
		MinVersion:   tls.VersionTLS12, // what go-plugin's own servers ask for
	}
	return config, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
