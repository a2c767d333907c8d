package connectorhttp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source hands out tokens "t1", "t2", …; a refusal of the current one makes
// the next, unless it is stuck.
type source struct {
	mu        sync.Mutex
	gen       uint64
	stuck     bool
	err       error
	renewals  int
	requests  []connector.AccessRequest
	endpoints map[string]string
	headers   map[string]string
	made      *connector.Access
}

func newSource(api string) *source {
	return &source{gen: 1, endpoints: map[string]string{"api": api}}
}

func (s *source) Access(ctx context.Context, req connector.AccessRequest) (*connector.Access, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, req)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.err != nil && req.Refused == s.gen {
		return nil, s.err
	}
	if req.Refused == s.gen && !s.stuck {
		s.gen++
		s.renewals++
		s.made = nil
	}
	if s.made == nil {
		s.made = &connector.Access{
			Token: connector.NewSecret("t" + string('0'+rune(s.gen))), Type: "Bearer", Endpoints: s.endpoints, Headers: s.headers,
			Refusal: connector.TokenRefusal{ChallengeErrors: []string{"invalid_token"}, EmptyBody: true}, Generation: s.gen,
		}
	}
	return s.made, nil
}

func (s *source) told() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var refused []uint64
	for _, r := range s.requests {
		if r.Refused != 0 {
			refused = append(refused, r.Refused)
		}
	}
	return refused
}

// serve starts a service; its client's idle connections are closed at the end.
func serve(t testing.TB, h http.HandlerFunc) (*httptest.Server, *http.Transport) {
	t.Helper()
	s := httptest.NewServer(h)
	base, err := connectorhttp.NewBase(connector.Network{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		base.CloseIdleConnections()
		s.Close()
	})
	return s, base
}

// refuseOld answers 401 with an empty body to any token but want.
func refuseOld(want string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+want {
			w.Header().Set("WWW-Authenticate", `Bearer realm="x", error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.Copy(w, r.Body)
	}
}

func do(t *testing.T, c *http.Client, method, target string, body io.Reader) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestTokenAndHeadersAreSent(t *testing.T) {
	t.Parallel()
	var got http.Header
	s, base := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() })
	src := newSource(s.URL + "/2.0")
	src.headers = map[string]string{"box-api-version": "2025.0", "X-Who": "them"}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/2.0/folders/0?x=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header["authorization"] = []string{"Basic mine"} // not in canonical form
	req.Header["x-who"] = []string{"me"}
	req.Header.Set("X-Own", "kept")
	before := req.Header.Clone()
	resp, err := connectorhttp.NewTransport(src, base).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	want := map[string]string{"Authorization": "Bearer t1", "Box-Api-Version": "2025.0", "X-Who": "them", "X-Own": "kept"}
	for name, value := range want {
		if values := got.Values(name); len(values) != 1 || values[0] != value {
			t.Errorf("%s is %q, want %q", name, values, value)
		}
	}
	for name := range req.Header {
		if len(before[name]) != len(req.Header[name]) || len(before) != len(req.Header) {
			t.Errorf("the caller's headers were changed: %v", req.Header)
		}
	}
}

func TestOnlyDeclaredEndpointsGetTheToken(t *testing.T) {
	t.Parallel()
	cases := []struct {
		endpoint, target string
		under            bool
	}{
		{"https://api.example.com/2.0", "https://api.example.com/2.0", true},
		{"https://api.example.com/2.0", "https://api.example.com/2.0/", true},
		{"https://api.example.com/2.0", "https://API.example.com:443/2.0/x", true},
		{"https://api.example.com:443/2.0/", "https://api.example.com/2.0/x?a=b/../c", true},
		{"https://api.example.com", "https://api.example.com", true},
		{"https://api.example.com/", "https://api.example.com/anything", true},
		{"https://api.example.com/2.0", "https://api.example.com/2.0/a%20b%25c%2Fd", true},
		{"https://api.example.com/2.0", "https://api.example.com/2.0/..hidden/a..b", true},
		{"http://api.example.com/2.0", "http://api.example.com/2.0/x", false},
		{"http://127.0.0.1:8080/2.0", "http://127.0.0.1:8080/2.0/x", true},
		{"https://api.example.com/2.0", "https://api.example.com/2.01", false},
		{"https://api.example.com/2.0", "https://api.example.com/2.0%2Fx", false},
		{"https://api.example.com/2.0", "https://api.example.com/2", false},
		{"https://api.example.com/2.0", "http://api.example.com/2.0/x", false},
		{"https://api.example.com/2.0", "https://api.example.com:8443/2.0/x", false},
		{"https://api.example.com/2.0", "https://api.example.com.evil.test/2.0/x", false},
		{"https://api.example.com/2.0", "https://api.example.com@evil.test/2.0/x", false},
		{"https://api.example.com/2.0", "https://me:pw@api.example.com/2.0/x", false},
		{"https://api.example.com/2.0", "https://api.example.com/2.0/../oauth2/revoke", false},
		{"https://api.example.com/2.0", "https://api.example.com/2.0/%2e%2e/oauth2", false},
		{"https://api.example.com/2.0", "https://api.example.com/2.0/.%2e/oauth2", false},
		{"https://api.example.com/2.0", "https://api.example.com/2.0/%252e%252e/oauth2", false},
		{"https://api.example.com/2.0", "https://api.example.com/2.0/%25252e%25252e%25252foauth2", false},
		{"https://api.example.com/2.0", "https://api.example.com/2.0/..%2foauth2", false},
		{"https://api.example.com/2.0", `https://api.example.com/2.0/..%5coauth2`, false},
		{"https://api.example.com/2.0", "https://api.example.com/2.0/..;x/oauth2", false},
		{"https://api.example.com/2.0", "https://api.example.com/2.0/a%00b", false},
	}
	for _, c := range cases {
		sent := false
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			sent = r.Header.Get("Authorization") == "Bearer t1"
			return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
		})
		client := connectorhttp.NewClient(newSource(c.endpoint), base)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if sent != c.under {
			t.Errorf("%s under %s: token sent: %v", c.target, c.endpoint, sent)
		}
		if d, ok := errors.AsType[*connector.Diagnostic](err); !c.under && (!ok || d.Code != connector.UsageWrong || d.Origin != connector.OriginHost) {
			t.Errorf("%s: error %v", c.target, err)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A request that isn't sent must not show the secrets that its URL may hold.
func TestRefusalShowsNoQuery(t *testing.T) {
	t.Parallel()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://evil.test/p4th?token=s3cr3t", &closer{Reader: strings.NewReader("x")})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := connectorhttp.NewTransport(newSource("https://api.example.com"), nil).RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatal("the request was sent")
	}
	if text := err.Error(); strings.Contains(text, "s3cr3t") || strings.Contains(text, "p4th") || !strings.Contains(text, "evil.test") {
		t.Errorf("error: %v", err)
	}
	if !req.Body.(*closer).closed {
		t.Error("the body of a request that isn't sent stays open")
	}
}

type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error {
	c.closed = true
	return nil
}

// A service that redirects a download to another host must not hand the
// token to it.
func TestRedirectLosesTheToken(t *testing.T) {
	t.Parallel()
	var elsewhere http.Header
	other, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		elsewhere = r.Header.Clone()
		_, _ = io.WriteString(w, "content")
	})
	s, base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t1" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if r.URL.Path == "/2.0/moved" {
			http.Redirect(w, r, "/2.0/files/1/content", http.StatusFound)
			return
		}
		http.Redirect(w, r, other.URL+"/download", http.StatusFound)
	})
	src := newSource(s.URL + "/2.0")
	src.headers = map[string]string{"X-Access": "secret too"}
	code, body := do(t, connectorhttp.NewClient(src, base), http.MethodGet, s.URL+"/2.0/moved", nil)
	if code != 200 || body != "content" {
		t.Fatalf("got %d %q", code, body)
	}
	if elsewhere.Get("Authorization") != "" || elsewhere.Get("X-Access") != "" {
		t.Errorf("sent elsewhere: %v", elsewhere)
	}
}

func TestRefusedTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	s, base := serve(t, refuseOld("t2"))
	cases := map[string]func() io.Reader{
		"no body":      func() io.Reader { return nil },
		"with GetBody": func() io.Reader { return strings.NewReader("payload") },
	}
	for name, body := range cases {
		src := newSource(s.URL)
		code, got := do(t, connectorhttp.NewClient(src, base), http.MethodPost, s.URL+"/x", body())
		if code != 200 || (body() != nil && got != "payload") {
			t.Errorf("%s: got %d %q", name, code, got)
		}
		if told := src.told(); len(told) != 1 || told[0] != 1 {
			t.Errorf("%s: the source was told of %v", name, told)
		}
	}
}

// A body that can't be had again isn't sent in part; still the source learns
// of the refusal, or the next request would fail too.
func TestBodyThatCannotBeReplayed(t *testing.T) {
	t.Parallel()
	s, base := serve(t, refuseOld("t2"))
	src := newSource(s.URL)
	client := connectorhttp.NewClient(src, base)
	if code, _ := do(t, client, http.MethodPost, s.URL+"/x", io.MultiReader(strings.NewReader("once"))); code != 401 {
		t.Errorf("first: got %d", code)
	}
	if code, body := do(t, client, http.MethodPost, s.URL+"/x", io.MultiReader(strings.NewReader("once"))); code != 200 || body != "once" {
		t.Errorf("second: got %d %q", code, body)
	}
}

func TestSecondRefusalIsTheAnswer(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	s, base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		refuseOld("never")(w, r)
	})
	if code, _ := do(t, connectorhttp.NewClient(newSource(s.URL), base), http.MethodGet, s.URL, nil); code != 401 || hits.Load() != 2 {
		t.Errorf("got %d after %d requests", code, hits.Load())
	}
	hits.Store(0)
	stuck := newSource(s.URL)
	stuck.stuck = true
	if code, _ := do(t, connectorhttp.NewClient(stuck, base), http.MethodGet, s.URL, nil); code != 401 || hits.Load() != 1 {
		t.Errorf("same generation: got %d after %d requests", code, hits.Load())
	}
}

// Only what the access declares is a refusal of the token; each other 401
// comes to the caller whole, and costs no renewal.
func TestWhatIsNoRefusal(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		challenge, body string
		chunked         bool
		refusal         bool
	}{
		"invalid token":         {`Bearer error="invalid_token"`, `{"x":1}`, false, true},
		"empty":                 {"", "", false, true},
		"empty, bare challenge": {`Bearer realm="x"`, "", false, true},
		"empty and chunked":     {`Bearer realm="x"`, "", true, true},
		"JSON":                  {"", `{"code":"unauthorized"}`, false, false},
		"JSON in chunks":        {`Bearer realm="x"`, `{"code":"unauthorized"}`, true, false},
		"insufficient scope":    {`Bearer error="insufficient_scope"`, "", false, false},
		"proxy":                 {"NTLM", "", false, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, base := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "Bearer t2" {
					_, _ = io.WriteString(w, "welcome")
					return
				}
				if c.challenge != "" {
					w.Header().Set("WWW-Authenticate", c.challenge)
				}
				w.WriteHeader(http.StatusUnauthorized)
				if c.chunked {
					w.(http.Flusher).Flush()
				}
				_, _ = io.WriteString(w, c.body)
			})
			src := newSource(s.URL)
			code, body := do(t, connectorhttp.NewClient(src, base), http.MethodGet, s.URL, nil)
			if c.refusal && (code != 200 || body != "welcome") {
				t.Errorf("not replayed: %d %q", code, body)
			}
			if !c.refusal && (code != 401 || body != c.body || src.renewals != 0) {
				t.Errorf("got %d %q, %d renewals", code, body, src.renewals)
			}
		})
	}
}

func TestErrorsOfTheSourceComeOut(t *testing.T) {
	t.Parallel()
	s, base := serve(t, refuseOld("t2"))
	src := newSource(s.URL)
	src.err = connector.Errorf(connector.GrantInvalid, connector.OriginService, "gone").With(connector.SignInAgain)
	_, err := connectorhttp.NewClient(src, base).Get(s.URL)
	var wrapped *url.Error
	if d, ok := errors.AsType[*connector.Diagnostic](err); !errors.As(err, &wrapped) || !ok || !errors.Is(d, src.err) {
		t.Errorf("error: %v", err)
	}
}

func TestContextEndsTheRequest(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	s, base := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	go func() {
		<-entered
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = connectorhttp.NewClient(newSource(s.URL), base).Do(req); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
}

// Fifty callers with one refused token: each answer is good, and the source
// renews once.
func TestManyCallers(t *testing.T) {
	t.Parallel()
	s, base := serve(t, refuseOld("t2"))
	src := newSource(s.URL)
	client := connectorhttp.NewClient(src, base)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if code, body := do(t, client, http.MethodPut, s.URL+"/x", bytes.NewReader([]byte("abc"))); code != 200 || body != "abc" {
				t.Errorf("got %d %q", code, body)
			}
		})
	}
	wg.Wait()
	if src.renewals != 1 {
		t.Errorf("%d renewals", src.renewals)
	}
}

// The first answer's connection is used again, so that a renewal doesn't cost
// a second handshake.
func TestRefusedAnswerIsDrained(t *testing.T) {
	t.Parallel()
	peers := map[string]bool{}
	s, base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		peers[r.RemoteAddr] = true
		if r.Header.Get("Authorization") != "Bearer t2" {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, strings.Repeat("why ", 2000))
		}
	})
	if code, _ := do(t, connectorhttp.NewClient(newSource(s.URL), base), http.MethodGet, s.URL, nil); code != 200 || len(peers) != 1 {
		t.Errorf("got %d over %d connections", code, len(peers))
	}
}
