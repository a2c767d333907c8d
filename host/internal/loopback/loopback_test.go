package loopback_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/boxconnection/connector/host/internal/loopback"
	"github.com/boxconnection/connector/proto/connector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waiting is a server that waits, and what came of it.
type waiting struct {
	*loopback.Server
	mu      sync.Mutex
	seen    []string
	outcome chan error
}

// start waits for a callback with the state "good". Others are foreign;
// "error" in the query denies.
func start(t *testing.T) *waiting {
	t.Helper()
	s, err := loopback.Listen("local", 0)
	if err != nil {
		t.Fatal(err)
	}
	w := &waiting{Server: s, outcome: make(chan error, 1)}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	go func() {
		w.outcome <- s.Wait(ctx, time.Minute, func(_ context.Context, callback string) (bool, error) {
			w.mu.Lock()
			w.seen = append(w.seen, callback)
			w.mu.Unlock()
			q := must(url.Parse(callback)).Query()
			switch {
			case q.Get("state") != "good":
				return false, connector.Errorf(connector.AuthorizationInvalid, connector.OriginHost, "foreign")
			case q.Has("error"):
				return true, connector.Errorf(connector.AuthorizationDenied, connector.OriginService, "denied")
			}
			return true, nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		s.Close()
	})
	return w
}

func (w *waiting) calls() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen)
}

func (w *waiting) do(t *testing.T, method, target string) (int, string) {
	t.Helper()
	req := must(http.NewRequest(method, target, nil))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body := must(io.ReadAll(io.LimitReader(resp.Body, 1<<20)))
	return resp.StatusCode, string(body)
}

func (w *waiting) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.outcome:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("still waiting")
		return nil
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A browser asks for more than the callback: icons, prefetches, the same
// callback twice. None of it ends or breaks the sign-in.
func TestOnlyTheCallbackCounts(t *testing.T) {
	t.Parallel()
	w := start(t)
	base := strings.TrimSuffix(w.RedirectURI(), "/account/local/oauth2/callback")
	for _, c := range []struct {
		method, target string
		status         int
	}{
		{"GET", base + "/favicon.ico", 404},
		{"GET", base + "/", 404},
		{"HEAD", w.RedirectURI() + "?state=good&code=c", 405},
		{"OPTIONS", w.RedirectURI() + "?state=good&code=c", 405},
		{"POST", w.RedirectURI() + "?state=good&code=c", 405},
		{"GET", w.RedirectURI(), 400},
		{"GET", w.RedirectURI() + "/?state=good&code=c", 404},
		{"GET", w.RedirectURI() + "?state=forged&code=c", 400},
	} {
		if status, _ := w.do(t, c.method, c.target); status != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.target, status, c.status)
		}
	}
	if n := w.calls(); n != 1 { // the forged one
		t.Fatalf("%d callbacks were looked at, want 1", n)
	}
	if status, body := w.do(t, "GET", w.RedirectURI()+"?state=good&code=c"); status != 200 || !strings.Contains(body, "was generated") {
		t.Fatalf("the good callback: %d %s", status, body)
	}
	if err := w.end(t); err != nil {
		t.Fatal(err)
	}
	if status, body := w.do(t, "GET", w.RedirectURI()+"?state=good&code=c"); status != 200 || !strings.Contains(body, "answered before") {
		t.Fatalf("the same callback again: %d %s", status, body)
	}
	if n := w.calls(); n != 2 {
		t.Fatalf("%d callbacks were looked at, want 2", n)
	}
}

func TestDenialEndsAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	hostile := "?state=good&error=access_denied&error_description=" + url.QueryEscape("<script>alert(1)</script>")
	_, body := w.do(t, "GET", w.RedirectURI()+hostile)
	if strings.Contains(body, "script") || !strings.Contains(body, "denied") {
		t.Fatalf("the page: %s", body)
	}
	if err := w.end(t); !errors.Is(err, connector.AuthorizationDenied) {
		t.Fatal(err)
	}
}

// Names resolve to either stack, so both must answer, and no other address.
func TestBothStacksAnswerAndNoOther(t *testing.T) {
	t.Parallel()
	w := start(t)
	port := must(url.Parse(w.RedirectURI())).Port()
	for _, host := range []string{"127.0.0.1", "::1"} {
		if host == "::1" && !hasIPv6() {
			continue
		}
		if status, _ := w.do(t, "GET", "http://"+net.JoinHostPort(host, port)+"/favicon.ico"); status != 404 {
			t.Errorf("%s: %d", host, status)
		}
	}
	for _, a := range must(net.InterfaceAddrs()) {
		ip := a.(*net.IPNet).IP
		if ip.IsLoopback() || ip.IsLinkLocalUnicast() {
			continue
		}
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(ip.String(), port), time.Second)
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s answers", ip)
		}
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		_ = l.Close()
	}
	return err == nil
}

func TestTakenPortIsNamedBeforeAnything(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp4", "tcp6"} {
		if network == "tcp6" && !hasIPv6() {
			continue
		}
		l := must(net.Listen(network, map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"}[network]))
		port := l.Addr().(*net.TCPAddr).Port
		_, err := loopback.Listen("local", port)
		if !errors.Is(err, connector.CallbackPortTaken) || !strings.Contains(err.Error(), strconv.Itoa(port)) {
			t.Errorf("%s: %v", network, err)
		}
		_ = l.Close()
	}
}

// The port is free again after the end, whatever it was.
func TestPortIsFreedAfterCancel(t *testing.T) {
	t.Parallel()
	s := must(loopback.Listen("local", 0))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- s.Wait(ctx, time.Minute, func(context.Context, string) (bool, error) { return true, nil })
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	s.Close()
	port, _ := strconv.Atoi(must(url.Parse(s.RedirectURI())).Port())
	again, err := loopback.Listen("local", port)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestOutcomeIsToldOnceUnderManyCallbacks(t *testing.T) {
	t.Parallel()
	w := start(t)
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() { w.do(t, "GET", w.RedirectURI()+"?state=good&code=c") })
	}
	wg.Wait()
	if err := w.end(t); err != nil {
		t.Fatal(err)
	}
	if n := w.calls(); n != 1 {
		t.Errorf("%d callbacks were completed, want 1", n)
	}
}

// Nobody comes: the wait ends after its time, and says so.
func TestNobodyComes(t *testing.T) {
	t.Parallel()
	s := must(loopback.Listen("local", 0))
	defer s.Close()
	err := s.Wait(t.Context(), time.Millisecond, func(context.Context, string) (bool, error) { return true, nil })
	if !errors.Is(err, loopback.ErrNoCallback) {
		t.Errorf("got %v", err)
	}
}

// The time passes while a callback is completed, and the browser goes away: the
// completion isn't cut off, since its code is good for one exchange, and its
// outcome counts.
func TestCallbackIsCompletedOnceItCame(t *testing.T) {
	t.Parallel()
	s := must(loopback.Listen("local", 0))
	defer s.Close()
	const patience = 100 * time.Millisecond
	browser, leave := context.WithCancel(t.Context())
	go func() {
		req := must(http.NewRequestWithContext(browser, http.MethodGet, s.RedirectURI()+"?state=good", nil))
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	began := time.Now()
	err := s.Wait(t.Context(), patience, func(ctx context.Context, _ string) (bool, error) {
		leave()
		select {
		case <-time.After(3 * patience): // as slow as a service can be
			return true, connector.Errorf(connector.RateLimited, connector.OriginService, "outcome")
		case <-ctx.Done():
			return true, ctx.Err()
		}
	})
	if !errors.Is(err, connector.RateLimited) {
		t.Errorf("got %v after %s", err, time.Since(began))
	}
}
