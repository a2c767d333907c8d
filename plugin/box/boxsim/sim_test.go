package boxsim_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/boxconnection/connector/plugin/box/boxsim"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when every emulator of these tests starts; only the control API
// moves it on.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const callback = "http://localhost:8085/account/local/oauth2/callback"

// sim is an emulator that listens, and what a test does with it.
type sim struct {
	t    *testing.T
	in   *boxsim.Instance
	info boxsim.Info
	ctl  boxsim.Control
	hc   *http.Client
}

func newSim(t *testing.T, change ...func(*boxsim.Options)) *sim {
	t.Helper()
	knobs := boxsim.DefaultKnobs()
	opts := boxsim.Options{Knobs: &knobs, Now: func() time.Time { return noon }}
	for _, c := range change {
		c(&opts)
	}
	in, err := boxsim.Listen(t.Context(), "localhost:0", opts, boxsim.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	hc := &http.Client{Transport: transport, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := in.Close(); err != nil {
			t.Errorf("the emulator ended with %v", err)
		}
	})
	ctl := in.Control()
	ctl.Client = hc
	return &sim{t: t, in: in, info: in.Info(), ctl: ctl, hc: hc}
}

func withKnobs(change func(*boxsim.Knobs)) func(*boxsim.Options) {
	return func(o *boxsim.Options) { change(o.Knobs) }
}

func autoConsent(o *boxsim.Options) { o.Knobs.AutoConsent = true }

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// get reads a string out of a JSON body.
func (r reply) get(name string) string {
	var m map[string]any
	if json.Unmarshal([]byte(r.body), &m) != nil {
		return ""
	}
	s, _ := m[name].(string)
	return s
}

func (s *sim) do(req *http.Request) (reply, error) {
	res, err := s.hc.Do(req)
	if err != nil {
		return reply{}, err
	}
	body, err := io.ReadAll(res.Body)
	if cerr := res.Body.Close(); err == nil {
		err = cerr
	}
	return reply{res.StatusCode, res.Header, string(body)}, err
}

func (s *sim) must(req *http.Request) reply {
	s.t.Helper()
	r, err := s.do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *sim) request(method, target, body string) *http.Request {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	return req
}

func (s *sim) form(target string, form url.Values) *http.Request {
	req := s.request(http.MethodPost, target, form.Encode())
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

// tokenForm completes a token request with the client's credentials.
func (s *sim) tokenForm(pairs ...string) url.Values {
	f := url.Values{"client_id": {s.info.ClientID}, "client_secret": {s.info.ClientSecret}}
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return f
}

func (s *sim) token(pairs ...string) reply {
	s.t.Helper()
	return s.must(s.form(s.info.TokenURL, s.tokenForm(pairs...)))
}

func (s *sim) refresh(token string) reply {
	s.t.Helper()
	return s.token("grant_type", "refresh_token", "refresh_token", token)
}

// tokens is a pair.
type tokens struct{ access, refresh string }

func (r reply) tokens() tokens { return tokens{r.get("access_token"), r.get("refresh_token")} }

// renewed demands that a renewal succeeds.
func (s *sim) renewed(token string) tokens {
	s.t.Helper()
	r := s.refresh(token)
	if r.status != http.StatusOK {
		s.t.Fatalf("renewal: %d %s", r.status, r.body)
	}
	return r.tokens()
}

func (s *sim) authorizeURL(pairs ...string) string {
	q := url.Values{"response_type": {"code"}, "client_id": {s.info.ClientID}, "redirect_uri": {callback}, "state": {"opaque"}}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return s.info.AuthorizeURL + "?" + q.Encode()
}

// code signs somebody in as far as the code.
func (s *sim) code(login string, pairs ...string) string {
	s.t.Helper()
	back, err := boxsim.Person{Login: login, Client: s.hc}.Allow(s.t.Context(), s.authorizeURL(pairs...))
	if err != nil {
		s.t.Fatal(err)
	}
	return query(s.t, back).Get("code")
}

func (s *sim) signIn(login string) tokens {
	s.t.Helper()
	r := s.token("grant_type", "authorization_code", "code", s.code(login))
	if r.status != http.StatusOK {
		s.t.Fatalf("code exchange: %d %s", r.status, r.body)
	}
	return r.tokens()
}

func (s *sim) api(path, token string) reply {
	s.t.Helper()
	req := s.request(http.MethodGet, s.info.APIURL+path, "")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return s.must(req)
}

// works says whether the API takes an access token. It is a use of the token.
func (s *sim) works(token string) bool {
	s.t.Helper()
	return s.api("/users/me", token).status == http.StatusOK
}

func (s *sim) counters() boxsim.Counters {
	s.t.Helper()
	st, err := s.ctl.State(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return st.Counters
}

func (s *sim) fault(f boxsim.Fault) boxsim.Fault {
	s.t.Helper()
	f, err := s.ctl.AddFault(s.t.Context(), f)
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

func (s *sim) advance(d time.Duration) {
	s.t.Helper()
	if err := s.ctl.Advance(s.t.Context(), d); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sim) set(change func(*boxsim.Knobs)) {
	s.t.Helper()
	if err := s.ctl.SetKnobs(s.t.Context(), change); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sim) wait(q boxsim.RequestQuery, n int) []boxsim.Request {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 15*time.Second)
	defer cancel()
	found, err := s.ctl.Wait(ctx, q, n, 10*time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

func query(t *testing.T, raw string) url.Values {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func wantOAuth(t *testing.T, r reply, status int, code, description string) {
	t.Helper()
	if r.status != status || r.get("error") != code || r.get("error_description") != description {
		t.Errorf("got %d %s, want %d %s (%s)", r.status, r.body, status, code, description)
	}
}
