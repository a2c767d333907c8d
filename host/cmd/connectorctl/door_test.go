package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// stranger is somebody on this machine without the link.
func stranger(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, Timeout: patience}
}

func status(t *testing.T, c *http.Client, req *http.Request) int {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

func get(t *testing.T, address string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// TestPageDoor: the link lets one browser in, once; nobody else sees anything,
// and only this machine can ask.
func TestPageDoor(t *testing.T) {
	t.Parallel()
	s := serve(t)
	late, first := stranger(t), stranger(t)
	for _, path := range []string{"/", "/new", "/audit", "/open?key=guess", "/open"} {
		if got := status(t, late, get(t, s.base+path)); got != http.StatusForbidden {
			t.Errorf("a stranger gets %s with %d", path, got)
		}
	}
	if got := status(t, first, get(t, s.link)); got != http.StatusOK {
		t.Errorf("the link opens with %d", got)
	}
	if got := status(t, late, get(t, s.link)); got != http.StatusForbidden {
		t.Errorf("the link opens a second time with %d", got)
	}
	if got := status(t, first, get(t, s.base+"/")); got != http.StatusOK {
		t.Errorf("whoever came in gets the list with %d", got)
	}
	foreign := get(t, s.base+"/")
	foreign.Host = "rebound.example"
	if got := status(t, first, foreign); got != http.StatusMisdirectedRequest {
		t.Errorf("a foreign host gets %d", got)
	}
	at, err := url.Parse(s.base)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range first.Jar.Cookies(at) {
		if strings.Contains(s.link, c.Value) {
			t.Error("the session is the key of the link")
		}
	}
	if addresses := outward(t); len(addresses) > 0 {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(addresses[0], at.Port()), time.Second)
		if err == nil {
			_ = conn.Close()
			t.Errorf("the page listens on %s", addresses[0])
		}
	}
}

// outward are this machine's addresses that others can reach.
func outward(t *testing.T) (list []string) {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			list = append(list, n.IP.String())
		}
	}
	return list
}

// TestPageSlowHeaders: clients that never finish their headers are hung up on,
// and the page serves others meanwhile.
func TestPageSlowHeaders(t *testing.T) {
	t.Parallel()
	s := serve(t)
	at, err := url.Parse(s.base)
	if err != nil {
		t.Fatal(err)
	}
	var slow []net.Conn
	for range 100 {
		conn, err := net.Dial("tcp", "127.0.0.1:"+at.Port())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, conn)
	}
	if got := status(t, stranger(t), get(t, s.link)); got != http.StatusOK {
		t.Errorf("beside slow clients the page answers with %d", got)
	}
	for _, conn := range slow {
		if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		for {
			if _, err := r.ReadByte(); err != nil {
				if nerr, ok := errors.AsType[net.Error](err); ok && nerr.Timeout() {
					t.Fatal("a slow client is still connected after 30 seconds")
				}
				break
			}
		}
	}
}

// canaries: no secret is in a page, a script's answer, a header, the history of
// a window, the log or the audit record.
func canaries(t *testing.T, w *window) {
	s := serve(t)
	var (
		mu      sync.Mutex
		seen    strings.Builder
		answers int
	)
	err := chromedp.Listen(w.ctx, func(ev any) {
		if e, ok := ev.(*network.EventResponseReceived); ok {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(&seen, "%s %v\n", e.Response.URL, e.Response.Headers)
			answers++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.open(s.link)
	w.press("a.first")
	s.fillBox(w, "sales")
	var pages strings.Builder
	look := func() { pages.WriteString(w.value("document.documentElement.outerHTML")) }
	s.allow(w, "#generate-button", "")
	w.sees("#sign-in-status", "Access token received and generated")
	look()
	w.press("#test-button")
	w.sees("#verdict", "The test passed.")
	look()
	w.press("#save-button")
	w.at("/connections/")
	look()
	w.open(s.base + "/audit")
	look()
	history, err := chromedp.Run(w.ctx, chromedp.NavigationEntries())
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, e := range history.Entries {
		fmt.Fprintln(&seen, e.URL, e.Title)
	}
	if answers < 10 {
		t.Errorf("only %d answers were seen", answers)
	}
	access := strings.TrimSpace(s.must(t, 0, "access", "sales").stdout)
	printed := s.process.result()
	log := strings.ReplaceAll(printed.String(), s.link, "") // which is what it is for
	audit := s.must(t, 0, "audit").stdout
	key := s.link[strings.Index(s.link, "key=")+len("key="):]
	for name, secret := range map[string]string{"client secret": s.box.ClientSecret, "access token": access, "key of the link": key} {
		if len(secret) < 16 {
			t.Fatalf("the %s is %q", name, secret)
		}
		places := map[string]string{"a page": pages.String(), "an address, header or history": seen.String(), "the log": log, "the audit record": audit}
		if name == "key of the link" { // it is in the first address, and no more good
			delete(places, "an address, header or history")
		}
		for place, text := range places {
			if strings.Contains(text, secret) {
				t.Errorf("the %s is in %s", name, place)
			}
		}
	}
	for _, e := range history.Entries {
		if strings.Contains(e.URL, key) {
			t.Error("the key of the link is in the history")
		}
	}
}
