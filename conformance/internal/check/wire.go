package check

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

const (
	// wireDomain is where the service seems to be, a name that nothing but the
	// proxy knows.
	wireDomain = ".conformance.test"
	// Elsewhere is a host of that kind that isn't the service's.
	Elsewhere = "elsewhere" + wireDomain

	proxyUser     = "suite"
	proxyPassword = "pr0xy-p@ss/w+rd"
	// maxSeen bounds what is kept of a request's body.
	maxSeen = 1 << 20
)

// Seen is a request as it came through the proxy.
type Seen struct {
	Host, Method, Target string
	Header               http.Header
	Body                 []byte
	Plain                bool // not inside TLS
}

// Wire is an HTTP proxy through which a connector reaches the service, and
// which sees all that is sent: it ends TLS with certificates of its own.
type Wire struct {
	t       *T
	forward *http.Transport
	origins map[string]string // host behind the proxy -> the peer's origin
	ca      *authority
	proxy   net.Listener
	inner   net.Listener

	// Stranger makes the server show certificates of another authority,
	// Misnamed ones for another host. Set before use.
	Stranger, Misnamed bool
	// Hold delays the answer to CONNECT.
	Hold atomic.Int64
	// Answer, if set, answers in place of the service. Set before use.
	Answer func(w http.ResponseWriter, r *http.Request) bool

	mu         sync.Mutex
	seen       []Seen
	connects   []string
	authorized int
}

// Wire opens one for the time of the check.
func (t *T) Wire() *Wire {
	w := &Wire{t: t, origins: map[string]string{}, forward: &http.Transport{DisableKeepAlives: true}}
	w.ca = newAuthority(t)
	i := 0
	vars := t.Service().Vars
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		u, err := url.Parse(vars[name])
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			continue
		}
		origin := u.Scheme + "://" + u.Host
		if !slices.Contains(slices.Collect(maps.Values(w.origins)), origin) {
			w.origins[fmt.Sprintf("service%d%s", i, wireDomain)] = origin
			i++
		}
	}
	w.inner, w.proxy = listen(t), listen(t)
	servers := []*http.Server{
		{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.serve(rw, r, false) }), ErrorLog: quiet()},
		{Handler: http.HandlerFunc(w.serveProxy), ErrorLog: quiet()},
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: w.certificate}
	var serving sync.WaitGroup
	serving.Go(func() { _ = servers[0].Serve(tls.NewListener(w.inner, config)) })
	serving.Go(func() { _ = servers[1].Serve(w.proxy) })
	t.Cleanup(func() {
		for _, s := range servers {
			_ = s.Close()
		}
		serving.Wait()
		w.forward.CloseIdleConnections()
	})
	return w
}

func listen(t *T) net.Listener {
	l, err := (&net.ListenConfig{}).Listen(t.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Brokenf("%v", err)
	}
	return l
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// Network is what a host sends to lead a connector through the proxy.
func (w *Wire) Network() *connectorv1.Network {
	u := url.URL{Scheme: "http", Host: w.proxy.Addr().String(), User: url.UserPassword(proxyUser, proxyPassword)}
	return &connectorv1.Network{ProxyUrl: u.String(), ExtraCas: w.ca.pem}
}

// Authority is the certificate, in PEM, of those who sign for the service.
func (w *Wire) Authority() []byte { return w.ca.pem }

// Settings are the profile's, with the service behind the proxy.
func (w *Wire) Settings() []byte { return []byte(w.Hide(string(w.t.Good()))) }

// PlainSettings are the same with http in place of https.
func (w *Wire) PlainSettings() []byte {
	return []byte(strings.ReplaceAll(string(w.Settings()), "https://service", "http://service"))
}

// Hide puts the service behind the proxy in a text.
func (w *Wire) Hide(text string) string {
	for host, origin := range w.origins {
		text = strings.ReplaceAll(text, origin, "https://"+host)
	}
	return text
}

// Unhide undoes Hide, for the person's browser, which uses no proxy.
func (w *Wire) Unhide(text string) string {
	for host, origin := range w.origins {
		text = strings.ReplaceAll(text, "https://"+host, origin)
		text = strings.ReplaceAll(text, url.QueryEscape("https://"+host), url.QueryEscape(origin))
	}
	return text
}

// Seen lists the requests that came through.
func (w *Wire) Seen() []Seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

// Connects counts who asked for a connection, and who among them had the
// proxy's credentials.
func (w *Wire) Connects() (all, authorized int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.connects), w.authorized
}

func (w *Wire) serveProxy(rw http.ResponseWriter, r *http.Request) {
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(proxyUser+":"+proxyPassword))
	allowed := r.Header.Get("Proxy-Authorization") == want
	w.mu.Lock()
	w.connects = append(w.connects, r.Host)
	if allowed {
		w.authorized++
	}
	w.mu.Unlock()
	if !allowed {
		rw.Header().Set("Proxy-Authenticate", `Basic realm="suite"`)
		rw.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		w.serve(rw, r, true)
		return
	}
	if hold := time.Duration(w.Hold.Load()); hold > 0 {
		timer := time.NewTimer(hold)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-w.t.ctx.Done():
		}
	}
	inner, err := (&net.Dialer{}).DialContext(w.t.ctx, "tcp", w.inner.Addr().String())
	if err != nil {
		rw.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = inner.Close() }()
	outer, buffered, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = outer.Close() }()
	stop := context.AfterFunc(w.t.ctx, func() { _, _ = outer.Close(), inner.Close() })
	defer stop()
	if _, err := io.WriteString(outer, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	done := make(chan struct{}, 2)
	go func() {
		_, _ = io.Copy(inner, buffered)
		_ = inner.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // dialled above
		done <- struct{}{}
	}()
	go func() {
		_, _ = io.Copy(outer, inner)
		done <- struct{}{}
	}()
	<-done
}

// serve notes a request and hands it on to the service.
func (w *Wire) serve(rw http.ResponseWriter, r *http.Request, plain bool) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxSeen))
	target := r.URL.RequestURI()
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	w.mu.Lock()
	w.seen = append(w.seen, Seen{Host: host, Method: r.Method, Target: target, Header: r.Header.Clone(), Body: body, Plain: plain})
	w.mu.Unlock()
	if w.Answer != nil && w.Answer(rw, r) {
		return
	}
	origin, ok := w.origins[host]
	if !ok {
		rw.WriteHeader(http.StatusNotFound)
		return
	}
	out, err := http.NewRequestWithContext(r.Context(), r.Method, origin+target, bytes.NewReader(body))
	if err != nil {
		rw.WriteHeader(http.StatusBadGateway)
		return
	}
	out.Header = r.Header.Clone()
	resp, err := w.forward.RoundTrip(out)
	if err != nil {
		// The connection breaks, as that to the service did.
		if conn, _, err := http.NewResponseController(rw).Hijack(); err == nil {
			_ = conn.Close()
		}
		return
	}
	defer func() { _ = resp.Body.Close() }()
	maps.Copy(rw.Header(), resp.Header)
	rw.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(rw, resp.Body)
}

// authority signs certificates.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  []byte
}

func newAuthority(t *T) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Brokenf("%v", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "conformance suite"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Brokenf("%v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Brokenf("%v", err)
	}
	return &authority{key, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

var errNoName = errors.New("the client names no host")

func (w *Wire) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if hello.ServerName == "" {
		return nil, errNoName
	}
	ca, name := w.ca, hello.ServerName
	if w.Stranger {
		ca = newAuthority(w.t)
	}
	if w.Misnamed {
		name = "another.example"
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// SignInThrough signs in with all traffic of the connector's going through the
// wire, and opens a session.
func (w *Wire) SignInThrough(c *Conn) (*connectorv1.Credential, error) {
	t := w.t
	if !t.SignsIn() {
		return nil, nil
	}
	settings, now := w.Settings(), After(0)
	begun, err := c.BeginAuthorization(t.Call(), &connectorv1.BeginAuthorizationRequest{
		Settings: settings, RedirectUri: t.Profile().RedirectURI, State: State, Now: now,
	})
	if err != nil {
		return nil, err
	}
	callback, err := t.Service().Consent(t.ctx, w.Unhide(begun.GetAuthorizationUrl()), "allow", t.Profile().Person)
	if err != nil {
		t.Blockf("the service doesn't take the authorization URL: %v", err)
	}
	done, err := c.CompleteAuthorization(t.Call(), &connectorv1.CompleteAuthorizationRequest{
		Settings: settings, Network: w.Network(), Pending: begun.GetPending(), CallbackUrl: callback, Now: now,
	})
	return done.GetCredential(), err
}

// Secrets are the texts of settings, credentials and tokens that must not be
// seen where they don't belong.
func (t *T) Secrets(more ...string) []string {
	var out []string
	for _, s := range t.Profile().Secrets {
		out = append(out, s)
	}
	return append(out, more...)
}

// Strings are the opaque texts in a credential's data, if it is JSON, and the
// data as a whole.
func Strings(data []byte) []string {
	const opaque = 16
	out := []string{string(data)}
	var object map[string]any
	if json.Unmarshal(data, &object) != nil {
		return out
	}
	for _, value := range object {
		text, ok := value.(string)
		_, notTime := time.Parse(time.RFC3339Nano, text)
		if ok && len(text) >= opaque && notTime != nil && !strings.ContainsAny(text, " :") {
			out = append(out, text)
		}
	}
	return out
}
