package boxsim_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin/box/boxsim"
)

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *syncBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestListensOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "box.example:0"} {
		if _, err := boxsim.Listen(t.Context(), addr, boxsim.Options{}, boxsim.ListenOptions{}); !errors.Is(err, boxsim.ErrNotLoopback) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	in, err := boxsim.Listen(t.Context(), "0.0.0.0:0", boxsim.Options{}, boxsim.ListenOptions{AllowRemote: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
}

func TestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	in, err := boxsim.Listen(ctx, "127.0.0.1:0", boxsim.Options{}, boxsim.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	ctl := in.Control()
	ctl.Client = &http.Client{Transport: transport}
	f, err := ctl.AddFault(t.Context(), boxsim.Fault{Then: boxsim.Action{Hold: true}})
	if err != nil {
		t.Fatal(err)
	}
	// A held request and a wait must not keep it from ending.
	var calls sync.WaitGroup
	calls.Go(func() {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, in.Info().APIURL+"/users/me", http.NoBody)
		if res, err := ctl.Client.Do(req); err == nil {
			_ = res.Body.Close()
		}
	})
	if _, err := ctl.Wait(t.Context(), boxsim.RequestQuery{Stage: boxsim.Held}, 1, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{})
	traced := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) }})
	// Its own connection, since one that was kept may pass for idle.
	waiter := ctl
	fresh := &http.Transport{}
	defer fresh.CloseIdleConnections()
	waiter.Client = &http.Client{Transport: fresh}
	calls.Go(func() { _, _ = waiter.Wait(traced, boxsim.RequestQuery{}, 99, time.Minute) })
	<-sent
	cancel()
	if err := in.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	calls.Wait()
	if err := ctl.Release(t.Context(), f.ID); err == nil {
		t.Error("it still answers")
	}
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	borrowed := httptest.NewUnstartedServer(http.NotFoundHandler())
	borrowed.StartTLS()
	defer borrowed.Close()
	in, err := boxsim.Listen(t.Context(), "127.0.0.1:0", boxsim.Options{}, boxsim.ListenOptions{
		TLS: &tls.Config{Certificates: borrowed.TLS.Certificates, MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctl := in.Control()
	ctl.Client = borrowed.Client()
	ctl.Client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	info, err := ctl.Info(t.Context())
	if err != nil || !strings.HasPrefix(info.TokenURL, "https://127.0.0.1:") || info.ClientSecret != in.Info().ClientSecret {
		t.Errorf("%+v, %v", info, err)
	}
	// A dropped connection must look like one over TLS too, also to a client
	// that would speak HTTP/2.
	if _, err := ctl.AddFault(t.Context(), boxsim.Fault{Then: boxsim.Action{Drop: true}}); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, info.TokenURL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := ctl.Client.Do(req); err == nil {
		t.Errorf("answered with %s", res.Status)
		_ = res.Body.Close()
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
}

// What net/http makes of a header is not what is on the wire, so this looks at
// the bytes.
func TestHeaderNamesOnTheWire(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	s.fault(boxsim.Fault{Match: boxsim.Match{Path: "/2.0/folders/0"}, Then: boxsim.Action{Row: "api_rate_limited", Headers: map[string]string{"X-Other": "1"}}})
	for path, want := range map[string][]string{
		"/2.0/users/me":  {"www-authenticate: Bearer realm=", "box-request-id: ", "Content-Length: 0"},
		"/2.0/folders/0": {"retry-after: 100", "box-request-id: ", "x-other: 1"},
	} {
		head := s.raw(path)
		for _, line := range want {
			if strings.Count(head, "\r\n"+line) != 1 {
				t.Errorf("%s: want %q once in\n%s", path, line, head)
			}
		}
	}
}

// raw returns the head of an answer, byte by byte.
func (s *sim) raw(path string) string {
	s.t.Helper()
	host := strings.TrimPrefix(s.info.BaseURL, "http://")
	var d net.Dialer
	conn, err := d.DialContext(s.t.Context(), "tcp", host)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer x\r\n\r\n", path, host); err != nil {
		s.t.Fatal(err)
	}
	head := "\r\n"
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		if line == "\r\n" {
			return head
		}
		head += line
	}
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	big := s.form(s.info.TokenURL, s.tokenForm("grant_type", "refresh_token", "refresh_token", strings.Repeat("x", 300<<10)))
	if r, err := s.do(big); err == nil && r.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d %s", r.status, r.body)
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	ada := boxsim.User{ID: "1", Login: "ada"}
	for name, opts := range map[string]boxsim.Options{
		"rotation":   {Knobs: &boxsim.Knobs{}},
		"same user":  {Users: []boxsim.User{ada, ada}},
		"no login":   {Users: []boxsim.User{{ID: "1"}}},
		"plain http": {RedirectURIs: []string{"http://app.example/"}},
	} {
		if _, err := boxsim.New(opts); !errors.Is(err, boxsim.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
