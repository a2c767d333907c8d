package box_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/plugin/box"
	"github.com/boxconnection/connector/proto/connector"
)

// proxy is an HTTP proxy that keeps the hosts it was asked for, wants a user
// and a password, and leads every tunnel to one address.
type proxy struct {
	*httptest.Server
	mu    sync.Mutex
	hosts []string
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	p := &proxy{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:pass word"))
		if r.Header.Get("Proxy-Authorization") != want {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		if r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		p.mu.Lock()
		p.hosts = append(p.hosts, r.Host)
		p.mu.Unlock()
		tunnel(t, w, to)
	}))
	t.Cleanup(p.Close)
	return p
}

// tunnel joins the client with the address until either side ends.
func tunnel(t *testing.T, w http.ResponseWriter, to string) {
	server, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	client, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Errorf("hijack: %v", err)
		return
	}
	defer func() { _, _ = client.Close(), server.Close() }()
	if _, err := io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
	both.Go(func() { _, _ = io.Copy(client, server); _ = client.Close() })
	both.Wait()
}

func (p *proxy) url(userinfo string) connector.Secret {
	return connector.NewSecret("http://" + userinfo + strings.TrimPrefix(p.URL, "http://"))
}

func certificateOf(s *service) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// likeBox answers each of Box's endpoints well.
func likeBox(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/oauth2/token":
		saysJSON(200, goodPair)(w, r)
	case "/oauth2/revoke":
		says(200, "", "")(w, r)
	case "/2.0/users/me":
		saysJSON(200, `{"type":"user","id":"1","name":"Ada","login":"ada@acme.example","status":"active","enterprise":null}`)(w, r)
	case "/2.0/folders/0/items":
		saysJSON(200, `{"total_count":0,"entries":[]}`)(w, r)
	default:
		says(401, "", "", "WWW-Authenticate", `Bearer realm="Service"`)(w, r)
	}
}

// Every call takes the proxy and trusts the extra authority: sign-in, renewal,
// test, identity and revocation alike.
func TestProxyAndCertificatesForEveryCall(t *testing.T) {
	t.Parallel()
	s := startService(t, likeBox, (*httptest.Server).StartTLS)
	p := newProxy(t, s.Listener.Addr().String())
	network := connector.Network{ProxyURL: p.url("user:pass%20word@"), ExtraCAs: certificateOf(s)}
	const base = "https://example.com" // the certificate's name, which only the proxy leads to
	settings := settingsFor(base)
	c := box.New(at(noon))
	begun := begin(t, c, settings, redirectURI)

	calls := map[string]func() error{
		"sign-in": func() error {
			_, err := c.CompleteAuthorization(t.Context(), plugin.CompleteRequest{
				Settings: settings, Network: network, Pending: begun.Pending, CallbackURL: connector.NewSecret(goodCallback()), Now: noon,
			})
			return err
		},
		"renewal": func() error {
			req := renewRequest(base)
			req.Network = network
			_, err := c.Open(t.Context(), req)
			return err
		},
		"identity": func() error {
			_, err := c.Identify(t.Context(), plugin.IdentifyRequest{Settings: settings, Network: network, Access: testAccess()})
			return err
		},
		"test": func() error {
			for check := range c.Test(t.Context(), plugin.TestRequest{Settings: settings, Network: network, Access: testAccess()}) {
				if check.Status == connector.CheckFailed && check.ID != "clock" {
					return check.Diagnostic
				}
			}
			return nil
		},
		"revocation": func() error {
			return c.Revoke(t.Context(), plugin.RevokeRequest{Settings: settings, Network: network, Credential: spent()})
		},
	}
	want := 0
	for name, requests := range map[string]int{"sign-in": 1, "renewal": 1, "identity": 1, "test": 4, "revocation": 1} {
		if err := calls[name](); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want += requests
		if len(p.hosts) != want || len(s.all()) != want {
			t.Errorf("after %s the proxy got %d requests and the service %d, want %d", name, len(p.hosts), len(s.all()), want)
		}
	}
	if slices.ContainsFunc(p.hosts, func(h string) bool { return h != "example.com:443" }) {
		t.Errorf("hosts: %v", p.hosts)
	}
}

func testAccess() *connector.Access {
	return &connector.Access{Token: connector.NewSecret("AT1"), Type: "Bearer"}
}

// What the no-proxy list names is reached directly.
func TestNoProxy(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "127.0.0.1:1")
	req := renewRequest("https://direct.invalid")
	req.Network = connector.Network{ProxyURL: p.url("user:pass%20word@"), NoProxy: []string{".other.invalid", "direct.invalid"}}
	_, err := box.New(at(noon)).Open(t.Context(), req)
	wantDiagnostic(t, err, connector.NameResolutionFailed, connector.Retry)
	if len(p.hosts) != 0 {
		t.Errorf("the proxy was asked for %v", p.hosts)
	}
}

// The environment's proxy isn't used: a connector has the call's network only.
func TestEnvironmentIsIgnored(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	_, err := box.New(at(noon)).Open(t.Context(), renewRequest("https://nowhere.invalid"))
	wantDiagnostic(t, err, connector.NameResolutionFailed, connector.Retry)
}

func TestProxyFailures(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "127.0.0.1:1") // where nothing listens
	for name, c := range map[string]struct {
		proxy       connector.Secret
		code        connector.Code
		disposition connector.Disposition
	}{
		"no password":    {p.url(""), connector.ProxyFailed, connector.FixSettings},
		"wrong password": {p.url("user:wrong@"), connector.ProxyFailed, connector.FixSettings},
		"no way on":      {p.url("user:pass%20word@"), connector.ProxyFailed, connector.Retry},
		"refused":        {connector.NewSecret("http://user:canary-pw@127.0.0.1:1"), connector.ProxyFailed, connector.Retry},
		"unknown host":   {connector.NewSecret("http://user:canary-pw@proxy.invalid:3128"), connector.ProxyFailed, connector.Retry},
		"not a URL":      {connector.NewSecret("user:canary-pw@proxy"), connector.SettingInvalid, connector.FixSettings},
		"other scheme":   {connector.NewSecret("socks5://user:canary-pw@127.0.0.1:1"), connector.SettingInvalid, connector.FixSettings},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := renewRequest("https://api.example.com")
			req.Network.ProxyURL = c.proxy
			_, err := box.New(at(noon)).Open(t.Context(), req)
			wantDiagnostic(t, err, c.code, c.disposition)
			d := diagnosticOf(t, err)
			for _, secret := range []string{"canary-pw", "pass", "wrong"} {
				if strings.Contains(d.Summary+d.Detail, secret) {
					t.Errorf("the diagnostic shows the password: %s", d)
				}
			}
		})
	}
}

func TestTLSFailures(t *testing.T) {
	t.Parallel()
	s := startService(t, likeBox, (*httptest.Server).StartTLS)
	plain := newService(t, likeBox)
	old := startService(t, likeBox, func(s *httptest.Server) {
		s.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} //nolint:gosec // the fault under test
		s.StartTLS()
	})
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		base        string
		cas         []byte
		code        connector.Code
		disposition connector.Disposition
	}{
		"unknown authority": {s.URL, nil, connector.TLSFailed, connector.FixSettings},
		"other host":        {"https://localhost:" + port, certificateOf(s), connector.TLSFailed, connector.FixSettings},
		"not TLS":           {strings.Replace(plain.URL, "http:", "https:", 1), nil, connector.TLSFailed, connector.FixSettings},
		"old version":       {old.URL, certificateOf(old), connector.TLSFailed, connector.Retry},
		"no certificates":   {s.URL, []byte("no PEM"), connector.SettingInvalid, connector.FixSettings},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := renewRequest(c.base)
			req.Network.ExtraCAs = c.cas
			_, err := box.New(at(noon)).Open(t.Context(), req)
			wantDiagnostic(t, err, c.code, c.disposition)
		})
	}
	if len(s.all())+len(old.all()) != 0 {
		t.Error("a secret was sent over a connection that isn't trusted")
	}
}

// A certificate whose time is over is told apart from one of an unknown
// authority, since the cure is another.
func TestExpiredCertificate(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().AddDate(-2, 0, 0), NotAfter: time.Now().AddDate(-1, 0, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := startService(t, likeBox, func(s *httptest.Server) {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
		s.StartTLS()
	})
	req := renewRequest(s.URL)
	req.Network.ExtraCAs = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	_, err = box.New(at(noon)).Open(t.Context(), req)
	wantDiagnostic(t, err, connector.TLSFailed, connector.Retry)
	if d := diagnosticOf(t, err); !strings.Contains(d.Suggestion, "date and time") {
		t.Errorf("suggestion: %s", d.Suggestion)
	}
}

func TestConnectionFailures(t *testing.T) {
	t.Parallel()
	reset, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reset.Close() })
	go func() {
		for {
			conn, err := reset.Accept()
			if err != nil {
				return
			}
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	}()
	for name, c := range map[string]struct {
		base string
		code connector.Code
	}{
		"unknown host": {"https://nowhere.invalid", connector.NameResolutionFailed},
		"refused":      {"http://127.0.0.1:1", connector.ConnectionFailed},
		"reset":        {"http://" + reset.Addr().String(), connector.ConnectionFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := box.New(at(noon)).Open(t.Context(), renewRequest(c.base))
			wantDiagnostic(t, err, c.code, connector.Retry)
			d := diagnosticOf(t, err)
			host := strings.TrimPrefix(strings.TrimPrefix(c.base, "https://"), "http://")
			if !strings.Contains(d.Summary, host) || d.Origin != connector.OriginNetwork {
				t.Errorf("the summary doesn't name %s, or blames the wrong side: %s", host, d)
			}
		})
	}
}

// A service that accepts and never answers ends with the caller's time, a
// caller that goes away is told apart from it.
func TestTimeAndCancellation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(context.Context) (context.Context, context.CancelFunc)
		code connector.Code
	}{
		"time": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 100*time.Millisecond)
		}, connector.TimedOut},
		"cancellation": {context.WithCancel, connector.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := c.end(t.Context())
			defer cancel()
			s := newService(t, func(_ http.ResponseWriter, r *http.Request) {
				if name == "cancellation" {
					cancel()
				}
				<-r.Context().Done()
			})
			_, err := box.New(at(noon)).Open(ctx, renewRequest(s.URL))
			wantDiagnostic(t, err, c.code, connector.Retry)
			if d := diagnosticOf(t, err); !strings.Contains(d.Detail, "may have arrived") {
				t.Errorf("it isn't told that the request may have arrived: %s", d)
			}
		})
	}
}

// A redirect of a token call is refused, and the secrets don't go with it.
func TestRedirectsAreRefused(t *testing.T) {
	t.Parallel()
	elsewhere := newService(t, saysJSON(200, goodPair))
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := newService(t, says(status, "", "", "Location", elsewhere.URL+"/oauth2/token"))
		_, err := box.New(at(noon)).Open(t.Context(), renewRequest(s.URL))
		wantDiagnostic(t, err, connector.UnexpectedAnswer, connector.Retry)
		_, err = box.New().Identify(t.Context(), plugin.IdentifyRequest{Settings: settingsFor(s.URL), Access: testAccess()})
		wantDiagnostic(t, err, connector.UnexpectedAnswer, connector.Retry)
	}
	if len(elsewhere.all()) != 0 {
		t.Error("the redirect was followed")
	}
}

// What isn't the service's own language isn't believed, and costs no grant.
func TestUnexpectedAnswers(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"a page with 200":  says(200, "text/html", "<html>Sign in to the network</html>"),
		"a page with 400":  says(400, "text/html", `{"error":"invalid_grant"}`),
		"JSON as text":     says(200, "text/plain", goodPair),
		"form":             says(200, "application/x-www-form-urlencoded", "access_token=AT2&refresh_token=RT2"),
		"broken JSON":      saysJSON(200, `{"access_token":"AT2"`),
		"an array":         saysJSON(200, `["AT2"]`),
		"nothing":          saysJSON(200, ``),
		"no token":         saysJSON(200, `{"token_type":"bearer"}`),
		"a number":         saysJSON(200, `{"access_token":17}`),
		"a token of lines": saysJSON(200, `{"access_token":"AT\r\nX: y"}`),
		"too much":         saysJSON(200, `{"access_token":"AT2","x":"`+strings.Repeat("x", 2<<20)+`"}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, answer)
			_, err := box.New(at(noon)).Open(t.Context(), renewRequest(s.URL))
			wantDiagnostic(t, err, connector.UnexpectedAnswer, connector.Retry)
			s.only(t)
		})
	}
}

// The old refresh token is spent by a renewal, whatever the access is that came
// with the new one: the new one is kept, no access is handed out, and the next
// call renews again.
func TestUnusableAccessKeepsTheRefreshToken(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"no token": `{"refresh_token":"RT2"}`, "a number": `{"access_token":17,"refresh_token":"RT2","expires_in":3600}`,
		"a token of lines": `{"access_token":"AT\r\nX: y","refresh_token":"RT2","expires_in":3600}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, saysJSON(200, answer))
			opened, err := box.New(at(noon)).Open(t.Context(), renewRequest(s.URL))
			if err != nil || opened.Credential == nil {
				t.Fatalf("%+v, %v", opened, err)
			}
			if fields := stored(t, opened.Credential); fields["refresh_token"] != "RT2" || opened.Access.Problem() == "" {
				t.Errorf("credential %v, access %v", fields, opened.Access.Problem())
			}
			req := renewRequest(s.URL)
			req.Credential, req.AllowRenew = *opened.Credential, false
			_, err = box.New(at(noon)).Open(t.Context(), req)
			if d := diagnosticOf(t, err); d.Code != connector.RenewalRequired {
				t.Errorf("without a renewal: %s", d)
			}
		})
	}
}

// The wait that a service asks for is heard in seconds and as a date, in any
// case of the header's name, and has a cap.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"":                              0,
		"2":                             2 * time.Second,
		" 100 ":                         100 * time.Second,
		"99999":                         time.Hour,
		"1e300":                         time.Hour,
		"-3":                            0,
		"soon":                          0,
		"Wed, 04 Mar 2026 12:00:30 GMT": 30 * time.Second, // against the service's Date
		"Wed, 04 Mar 2026 11:00:00 GMT": 0,
		"Wed, 04 Mar 2099 12:00:30 GMT": time.Hour,
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			s := newService(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Date", "Wed, 04 Mar 2026 12:00:00 GMT")
				if value != "" {
					w.Header()["retry-after"] = []string{value} // as Box writes it
				}
				w.WriteHeader(http.StatusTooManyRequests)
				_, _ = io.WriteString(w, `{"error":"temporarily_unavailable"}`)
			})
			c := box.New(at(noon.Add(time.Hour))) // this machine's clock is wrong
			req := renewRequest(s.URL)
			req.Deadline = noon.Add(2 * time.Hour)
			_, err := c.Open(t.Context(), req)
			wantDiagnostic(t, err, connector.RateLimited, connector.Retry)
			if d := diagnosticOf(t, err); d.RetryAfter != want {
				t.Errorf("wait is %v, want %v", d.RetryAfter, want)
			}
		})
	}
}

// Many networks leave nothing behind that grows.
func TestNetworksAreForgotten(t *testing.T) {
	t.Parallel()
	s := newService(t, saysJSON(200, goodPair))
	c := box.New(at(noon))
	for i := range 100 {
		req := renewRequest(s.URL)
		req.Network.NoProxy = []string{fmt.Sprint("host", i%40)}
		if _, err := c.Open(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.Remembered(); n == 0 || n > 16 {
		t.Errorf("%d networks are remembered", n)
	}
}
