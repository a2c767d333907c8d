package rawclient

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	// backdated allows for clocks that differ.
	backdated = 10 * time.Minute
	validFor  = 24 * time.Hour
	// maxAnswer is far above the contract's limit, so that a larger answer is
	// seen and not only refused.
	maxAnswer     = 64 << 20
	maxHeaderList = 16 << 20
)

// Identity is a host's certificate.
type Identity struct {
	PEM  []byte
	cert tls.Certificate
}

// NewIdentity makes a key and a self-signed certificate.
func NewIdentity() (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: now.Add(-backdated), NotAfter: now.Add(validFor),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IsCA:        true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &Identity{
		PEM:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
	}, nil
}

// errOtherCertificate says that the connector showed another certificate than
// its handshake line.
var errOtherCertificate = errors.New("the connector shows another certificate than its handshake line")

// Config is TLS with this identity that takes the one server certificate.
func (id *Identity) Config(server []byte) *tls.Config {
	c := Anonymous(server)
	c.Certificates = []tls.Certificate{id.cert}
	return c
}

// Anonymous is TLS without a certificate of the client's.
func Anonymous(server []byte) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: "localhost", NextProtos: []string{"h2"},
		// The one certificate is compared instead, byte for byte.
		InsecureSkipVerify: true, //nolint:gosec // see VerifyConnection
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || !bytes.Equal(s.PeerCertificates[0].Raw, server) {
				return errOtherCertificate
			}
			return nil
		},
	}
}

// Dial makes a connection to the line's address; without a configuration in
// plain text. The process closes it.
func (p *Process) Dial(config *tls.Config) (*grpc.ClientConn, error) {
	conn, err := DialAddress(p.Line.Network, p.Line.Address, config)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conn)
	return conn, nil
}

// Raw opens the connection below gRPC.
func (p *Process) Raw(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, p.Line.Network, p.Line.Address)
}

// DialAddress makes a connection to a connector's address.
func DialAddress(network, address string, config *tls.Config) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if config != nil {
		transport = credentials.NewTLS(config)
	}
	return grpc.NewClient("passthrough:///localhost",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}),
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer), grpc.MaxCallSendMsgSize(maxAnswer)),
		grpc.WithMaxHeaderListSize(maxHeaderList),
		grpc.WithDisableRetry(), grpc.WithIdleTimeout(0), grpc.WithNoProxy(),
	)
}
