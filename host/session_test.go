package host_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/boxconnection/connector/proto/connector"
)

// api is a service's API that takes one token only.
func api(t *testing.T, good *atomic.Pointer[string], answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+*good.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// A session's token is refused in mid-use: the client renews it once, and the
// request goes through.
func TestHTTPClientRenewsARefusedToken(t *testing.T) {
	t.Parallel()
	var good atomic.Pointer[string]
	first, second := "access-1", "access-2"
	good.Store(&first)
	svc := newService()
	svc.endpoint = api(t, &good, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	r := newRig(t, newPlace(t), svc)
	client, err := r.ready("sales").HTTPClient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	for i, want := range []*string{&first, &second} {
		good.Store(want)
		r.store.advance(time.Minute)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, svc.endpoint+"/x", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || string(body) != "hello" {
			t.Fatalf("request %d: %d %q %v", i, resp.StatusCode, body, err)
		}
		if n := svc.renewals(); n != i {
			t.Fatalf("request %d: %d renewals", i, n)
		}
	}
}

// All clients of a connection wait when the service asks one of them to.
func TestClientsOfAConnectionWaitTogether(t *testing.T) {
	t.Parallel()
	var good atomic.Pointer[string]
	token := "access-1"
	good.Store(&token)
	svc := newService()
	var requests atomic.Int32
	svc.endpoint = api(t, &good, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Header()["retry-after"] = []string{"50"}
		w.WriteHeader(http.StatusTooManyRequests)
	})
	r := newRig(t, newPlace(t), svc)
	r.ready("sales")
	for i := range 2 {
		client, err := r.open("sales").HTTPClient(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if i == 1 {
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(100*time.Millisecond, cancel)
		}
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, svc.endpoint+"/x", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if (err == nil) != (i == 0) {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if n := requests.Load(); n != 1 {
		t.Fatalf("%d requests, want 1", n)
	}
}

func TestTokenSourceAndNarrowing(t *testing.T) {
	t.Parallel()
	svc := newService()
	r := newRig(t, newPlace(t), svc)
	c := r.ready("sales")
	token, err := c.TokenSource(t.Context()).Token()
	if err != nil || token.AccessToken != "access-1" || !token.Valid() {
		t.Fatalf("%v, %v", token, err)
	}
	narrow, err := c.Narrow(t.Context(), []string{"read"}, "")
	if err != nil || narrow.Token.Reveal() != "access-1-narrow" {
		t.Fatalf("%v, %v", narrow, err)
	}
	svc.fails("NarrowAccess", connector.Errorf(connector.ScopeMissing, connector.OriginService, "No."))
	_, err = c.Narrow(t.Context(), []string{"write"}, "")
	wantCode(t, err, connector.ScopeMissing)
}
