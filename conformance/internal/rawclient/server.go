package rawclient

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// ServerConfig is TLS of a connector with this identity, which takes the one
// client whose certificate is given in PEM.
func (id *Identity) ServerConfig(client string) (*tls.Config, error) {
	block, _ := pem.Decode([]byte(client))
	if block == nil {
		return nil, errors.New("the host's certificate isn't PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{id.cert},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	}, nil
}

// DER is the certificate.
func (id *Identity) DER() []byte { return id.cert.Certificate[0] }
