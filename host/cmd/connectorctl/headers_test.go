package main_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A service, or a proxy before it, may write the names of headers in lower
// case. They mean the same: a token is read, and a wait is kept.
func TestLowerCaseHeaders(t *testing.T) {
	t.Parallel()
	w := worldOf(t)
	if _, err := w.boxsim("box", "--access-lifetime=2s"); err != nil {
		t.Fatal(err)
	}
	x := w.startWire(&vault{})
	if err := w.create("sales", x.settings(w.box)...); err != nil {
		t.Fatal(err)
	}
	passOn := func(rw http.ResponseWriter, _ []string, answer []byte) {
		raw(rw, "200 OK", "content-type: application/json", string(answer))
	}
	x.spoil(&wireFault{path: "/", times: -1, spoil: passOn})
	if err := w.signIn("sales", ""); err != nil {
		t.Fatal(err)
	}
	if err := w.untilExpired("sales"); err != nil {
		t.Fatal(err)
	}
	w.must(t, 0, "connection", "test", "sales")
	if err := w.untilExpired("sales"); err != nil {
		t.Fatal(err)
	}
	x.spoil(&wireFault{path: "/oauth2/token", times: 1, spoil: func(rw http.ResponseWriter, _ []string, _ []byte) {
		raw(rw, "429 Too Many Requests", "retry-after: 1234", "busy")
	}})
	r := w.must(t, 13, "access", "sales")
	if !strings.Contains(r.stderr, "20m34s") {
		t.Errorf("the wait isn't told:\n%s", r.stderr)
	}
}

// raw answers byte for byte.
func raw(w http.ResponseWriter, status, header, body string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 %s\r\n%s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n", status, header, len(body))
	_, _ = io.WriteString(conn, body) // who went away misses it
	_ = conn.Close()
}
