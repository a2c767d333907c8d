package box

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/boxconnection/connector/proto/connector"
)

// Limits of a call. A call ends after callTimeout, or earlier with its
// context; the others tell where the time went.
const (
	callTimeout   = 45 * time.Second
	dialTimeout   = 10 * time.Second
	tlsTimeout    = 10 * time.Second
	headerTimeout = 30 * time.Second
	// maxHeader and maxBody bound an answer, in bytes.
	maxHeader = 64 << 10
	maxBody   = 1 << 20
	// maxTransports bounds the networks that are remembered.
	maxTransports = 16
)

// transports remembers the transports of recently used networks, so that the
// certificates are read once and TLS sessions are resumed. The zero value is
// ready.
type transports struct {
	mu     sync.Mutex
	recent []remembered // the latest last
}

type remembered struct {
	key       [sha256.Size]byte
	transport *http.Transport
}

// get returns the transport for a network.
func (t *transports) get(n connector.Network) (*http.Transport, error) {
	key := networkKey(n)
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.IndexFunc(t.recent, func(r remembered) bool { return r.key == key }); i >= 0 {
		found := t.recent[i]
		t.recent = append(slices.Delete(t.recent, i, i+1), found)
		return found.transport, nil
	}
	made, err := newTransport(n)
	if err != nil {
		return nil, err
	}
	if len(t.recent) == maxTransports {
		t.recent = slices.Delete(t.recent, 0, 1)
	}
	t.recent = append(t.recent, remembered{key, made})
	return made, nil
}

// newTransport makes the one kind of transport that every call uses, with the
// proxy and the certificates of the call and nothing of the environment.
//
// Each request has a connection of its own. A connection that is kept may have
// been closed by the other side just as a one-time token is written to it,
// which leaves open whether it was spent; and nothing is left behind that
// would have to be closed. HTTP/1.1 alone writes a request in one go, so that
// the deadline can be checked right before it (see guardedBody).
func newTransport(n connector.Network) (*http.Transport, error) {
	proxy, err := proxyFunc(n)
	if err != nil {
		return nil, err
	}
	roots, err := rootCAs(n.ExtraCAs)
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:       proxy,
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(8),
		},
		TLSHandshakeTimeout:    tlsTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableKeepAlives:      true,
		Protocols:              protocols,
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, req *http.Request, answer *http.Response) error {
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			return proxyRefused(req.URL.Host, answer.StatusCode)
		},
	}, nil
}

func proxyFunc(n connector.Network) (func(*http.Request) (*url.URL, error), error) {
	if n.ProxyURL.IsZero() {
		return nil, nil
	}
	u, err := url.Parse(n.ProxyURL.Reveal())
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, connector.Errorf(connector.SettingInvalid, connector.OriginSettings, "The proxy's URL can't be used.").
			With(connector.FixSettings).
			Suggest("Give it as http://host:port or https://host:port, with user:password@ before the host if the proxy wants them; write special characters of the password in percent encoding.")
	}
	config := httpproxy.Config{
		HTTPProxy: u.String(), HTTPSProxy: u.String(), NoProxy: strings.Join(n.NoProxy, ","),
	}
	choose := config.ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return choose(r.URL) }, nil
}

// rootCAs is the system's certificates and the given ones; nil means the
// system's.
func rootCAs(extra []byte) (*x509.CertPool, error) {
	if len(extra) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without its own; the extra ones remain
	}
	if !pool.AppendCertsFromPEM(extra) {
		return nil, connector.Errorf(connector.SettingInvalid, connector.OriginSettings,
			"The extra CA certificates hold no certificate that can be read.").
			With(connector.FixSettings).Suggest("Give a file in PEM form: blocks that begin with -----BEGIN CERTIFICATE-----.")
	}
	return pool, nil
}

func networkKey(n connector.Network) (key [sha256.Size]byte) {
	h := sha256.New()
	for _, part := range append([]string{n.ProxyURL.Reveal(), string(n.ExtraCAs)}, n.NoProxy...) {
		sum := sha256.Sum256([]byte(part)) // of fixed length, so that parts can't run together
		_, _ = h.Write(sum[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}
