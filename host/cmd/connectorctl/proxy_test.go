package main_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// elsewhere is a name of this machine that only the proxy and the browser know.
const elsewhere = "box.test"

// resolved is an address that can be dialled.
func resolved(host string) string { return strings.Replace(host, elsewhere, "localhost", 1) }

// proxy is an HTTP proxy that writes down what it was asked for.
type proxy struct {
	server *httptest.Server
	user   *url.Userinfo // nil: it serves everybody

	mu     sync.Mutex
	record []string
}

// startProxy starts a proxy, the world's from now on.
func (w *world) startProxy(user *url.Userinfo) (*proxy, error) {
	p := &proxy{user: user}
	p.server = httptest.NewServer(p)
	w.onClose(func() {
		p.server.CloseClientConnections()
		p.server.Close()
	})
	w.proxy = p
	return p, nil
}

func (p *proxy) host() string { return p.server.Listener.Addr().String() }

func (p *proxy) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.record = append(p.record, line)
}

// lines is the record, emptied if clear is set.
func (p *proxy) lines(empty bool) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := strings.Join(p.record, "\n")
	if empty {
		p.record = nil
	}
	return text
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.user != nil {
		asked := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
		password, _ := p.user.Password()
		if name, given, _ := asked.BasicAuth(); name != p.user.Username() || given != password {
			p.note("407 " + r.Method + " " + r.Host)
			w.Header().Set("Proxy-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
	}
	if r.Method == http.MethodConnect {
		p.note("CONNECT " + r.Host)
		tunnel(w, r.Host)
		return
	}
	p.note(r.Method + " " + r.URL.Scheme + "://" + r.URL.Host + r.URL.Path)
	out := r.Clone(r.Context())
	out.RequestURI = ""
	out.Header.Del("Proxy-Authorization")
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(out)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // who went away misses the rest
}

// tunnel joins a client with a host until one of them hangs up.
func tunnel(w http.ResponseWriter, host string) {
	there, err := net.DialTimeout("tcp", resolved(host), patience)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = there.Close() }()
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = here.Close() }()
	if _, err := io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(there, buffered)
		_ = there.Close()
	})
	both.Go(func() {
		_, _ = io.Copy(here, there)
		_ = here.Close()
	})
	both.Wait()
}

// issue makes a CA and a certificate of it for localhost, in files whose names
// begin with prefix, and lets the browser trust it.
func (w *world) issue(prefix string) error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		DNSNames: []string{"localhost", elsewhere}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	caPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(caPEM)
	dialer := &net.Dialer{Timeout: patience}
	w.http.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, resolved(addr))
	}, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	return errors.Join(
		os.WriteFile(prefix+".pem", caPEM, 0o600),
		os.WriteFile(prefix+"-server.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER}), 0o600),
		os.WriteFile(prefix+"-key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600),
	)
}
