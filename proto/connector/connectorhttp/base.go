package connectorhttp

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/boxconnection/connector/proto/connector"
)

// Limits of the way to a service. A request as a whole is bounded by its
// context; these tell where the time went.
const (
	dialTimeout    = 10 * time.Second
	tlsTimeout     = 10 * time.Second
	idleTimeout    = 90 * time.Second
	maxHeaderBytes = 256 << 10
)

// NewBase returns a transport that takes the way that n describes and nothing
// from the environment: through the proxy with its credentials, trusting the
// extra certificates beside the system's, with TLS 1.2 or later. It fails
// with a *connector.Diagnostic, SettingInvalid, that shows no part of the
// proxy's URL. Close its idle connections when it isn't used any more.
func NewBase(n connector.Network) (*http.Transport, error) {
	proxy, err := proxyFunc(n)
	if err != nil {
		return nil, err
	}
	roots, err := rootCAs(n.ExtraCAs)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy:                  proxy,
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    tlsTimeout,
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    16,
		MaxResponseHeaderBytes: maxHeaderBytes,
		ForceAttemptHTTP2:      true,
	}, nil
}

func proxyFunc(n connector.Network) (func(*http.Request) (*url.URL, error), error) {
	if n.ProxyURL.IsZero() {
		return nil, nil
	}
	u, err := url.Parse(n.ProxyURL.Reveal())
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, connector.Errorf(connector.SettingInvalid, connector.OriginSettings, "The proxy's URL can't be used.").
			With(connector.FixSettings).
			Suggest("Give it as http://user:password@host:port, with special characters of the password in percent encoding.")
	}
	choose := (&httpproxy.Config{
		HTTPProxy: u.String(), HTTPSProxy: u.String(), NoProxy: strings.Join(n.NoProxy, ","),
	}).ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return choose(r.URL) }, nil
}

// rootCAs returns nil for the system's certificates alone.
func rootCAs(extra []byte) (*x509.CertPool, error) {
	if len(extra) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(extra) {
		return nil, connector.Errorf(connector.SettingInvalid, connector.OriginSettings,
			"The extra CA certificates can't be read.").
			With(connector.FixSettings).Suggest("Give them in PEM, as blocks that begin with -----BEGIN CERTIFICATE-----.")
	}
	return pool, nil
}
