package connectorhttp_test

import (
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

// API calls must take the connection's proxy, with its credentials, and
// nothing else.
func TestBaseUsesTheProxy(t *testing.T) {
	t.Parallel()
	var asked, auth string
	proxy, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked, auth = r.URL.String(), r.Header.Get("Proxy-Authorization")
		_, _ = io.WriteString(w, "through the proxy")
	})
	base, err := connectorhttp.NewBase(connector.Network{
		ProxyURL: connector.NewSecret(strings.Replace(proxy.URL, "http://", "http://user:p%2Bw@", 1)),
		NoProxy:  []string{"direct.test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer base.CloseIdleConnections()
	_, body := do(t, &http.Client{Transport: base}, http.MethodGet, "http://service.test/x", nil)
	if body != "through the proxy" || asked != "http://service.test/x" || auth != "Basic dXNlcjpwK3c=" {
		t.Errorf("asked for %q with %q: %q", asked, auth, body)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://direct.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := base.Proxy(req); u != nil || err != nil {
		t.Errorf("a host of the no-proxy list goes through %v, %v", u, err)
	}
}

func TestBaseTrustsExtraCertificates(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "private") }))
	defer s.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	base, err := connectorhttp.NewBase(connector.Network{ExtraCAs: ca})
	if err != nil {
		t.Fatal(err)
	}
	defer base.CloseIdleConnections()
	if _, body := do(t, &http.Client{Transport: base}, http.MethodGet, s.URL, nil); body != "private" {
		t.Errorf("got %q", body)
	}
	plain, err := connectorhttp.NewBase(connector.Network{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&http.Client{Transport: plain}).Get(s.URL); err == nil {
		t.Error("an unknown certificate was accepted")
	}
}

func TestBaseRefusesBadNetworks(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]connector.Network{
		"scheme":  {ProxyURL: connector.NewSecret("socks5://user:s3cr3t@proxy.test:1080")},
		"no host": {ProxyURL: connector.NewSecret("http://:8080")},
		"no URL":  {ProxyURL: connector.NewSecret("http://user:s3cr3t@proxy.test:x%")},
		"CA":      {ExtraCAs: []byte("not PEM")},
	} {
		_, err := connectorhttp.NewBase(n)
		if !errors.Is(err, connector.SettingInvalid) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
