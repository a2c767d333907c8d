package connectorhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

// script is a service that gives these answers in turn, the last one for ever.
type script struct {
	answers []answer
	sent    []string // the bodies that came
}

type answer struct {
	status     int
	retryAfter string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = string(data)
	}
	s.sent = append(s.sent, body)
	a := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	h := http.Header{}
	if a.retryAfter != "" {
		h.Set("retry-after", a.retryAfter)
	}
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	return &http.Response{StatusCode: a.status, Header: h, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

// A service that asks for a wait gets it, whatever the header's form, and the
// request comes back whole; what asks for too much, or can't be sent again, is
// the caller's to decide.
func TestWaitsForTheService(t *testing.T) {
	t.Parallel()
	inTwoMinutes := time.Date(2000, 1, 1, 0, 2, 0, 0, time.UTC).Format(http.TimeFormat) // the bubble's clock begins there
	inTenSeconds := time.Date(2000, 1, 1, 0, 0, 10, 0, time.UTC).Format(http.TimeFormat)
	for name, c := range map[string]struct {
		method   string
		answers  []answer
		stream   bool // a body that can't be had again
		deadline time.Duration
		status   int
		tries    int
		least    time.Duration
		most     time.Duration
	}{
		"seconds":                {"POST", []answer{{429, "2"}, {200, ""}}, false, 0, 200, 2, 2 * time.Second, 3 * time.Second},
		"date":                   {"POST", []answer{{429, inTenSeconds}, {200, ""}}, false, 0, 200, 2, 10 * time.Second, 13 * time.Second},
		"no header":              {"GET", []answer{{429, ""}, {200, ""}}, false, 0, 200, 2, time.Second, 2 * time.Second},
		"for ever":               {"GET", []answer{{429, ""}}, false, 0, 429, 5, 15 * time.Second, 20 * time.Second},
		"longer than patience":   {"GET", []answer{{429, "99999"}}, false, 0, 429, 1, 0, 0},
		"date beyond patience":   {"GET", []answer{{429, inTwoMinutes}}, false, 0, 429, 1, 0, 0},
		"beyond the deadline":    {"GET", []answer{{429, "5"}}, false, 4 * time.Second, 429, 1, 0, 0},
		"stream":                 {"POST", []answer{{429, "1"}, {200, ""}}, true, 0, 429, 1, 0, 0},
		"busy":                   {"GET", []answer{{503, "1"}, {200, ""}}, false, 0, 200, 2, time.Second, 2 * time.Second},
		"busy without a time":    {"GET", []answer{{503, ""}}, false, 0, 503, 1, 0, 0},
		"busy, not repeatable":   {"POST", []answer{{503, "1"}, {200, ""}}, false, 0, 503, 1, 0, 0},
		"other failures":         {"GET", []answer{{500, "1"}}, false, 0, 500, 1, 0, 0},
		"nonsense in the header": {"GET", []answer{{429, "soon"}, {200, ""}}, false, 0, 200, 2, time.Second, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: c.answers}
				client := connectorhttp.NewClient(newSource("https://api.example"), s)
				ctx := t.Context()
				if c.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.deadline)
					defer cancel()
				}
				var body io.Reader = strings.NewReader("payload")
				if c.stream {
					body = io.NopCloser(body)
				}
				req, err := http.NewRequestWithContext(ctx, c.method, "https://api.example/x", body)
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				took := time.Since(began)
				if resp.StatusCode != c.status || len(s.sent) != c.tries || took < c.least || took > c.most {
					t.Fatalf("status %d after %d tries in %s; want %d, %d, %s to %s", resp.StatusCode, len(s.sent), took, c.status, c.tries, c.least, c.most)
				}
				for _, sent := range s.sent {
					if sent != "payload" {
						t.Fatalf("sent %q", sent)
					}
				}
			})
		})
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client := connectorhttp.NewClient(newSource("https://api.example"), &script{answers: []answer{{429, "30"}}})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 1)
		go func() {
			_, err := client.Do(req)
			failed <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}

// shared is a source whose callers wait together.
type shared struct {
	*source
	until time.Time
}

func (s *shared) AskedToWait(d time.Duration) { s.until = time.Now().Add(d) }
func (s *shared) Pause() time.Duration        { return time.Until(s.until) }

// One caller is asked to wait: the next one waits, too, without asking.
func TestCallersWaitTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		svc := &script{answers: []answer{{429, "40"}, {200, ""}}}
		src := &shared{source: newSource("https://api.example")}
		client := connectorhttp.NewClient(src, svc)
		get := func(ctx context.Context) (int, time.Duration) {
			began := time.Now()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example/x", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			return resp.StatusCode, time.Since(began)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if status, took := get(short); status != http.StatusTooManyRequests || took != 0 {
			t.Fatalf("the first caller: %d after %s", status, took)
		}
		// One that can't wait so long is told at once, and sends nothing.
		req, err := http.NewRequestWithContext(short, http.MethodGet, "https://api.example/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = client.Do(req)
		d, ok := errors.AsType[*connector.Diagnostic](err)
		if !ok || d.Code != connector.RateLimited || d.RetryAfter != 40*time.Second || time.Since(began) != 0 || len(svc.sent) != 1 {
			t.Fatalf("a caller in a hurry: %v after %s, %d requests", err, time.Since(began), len(svc.sent))
		}
		if status, took := get(t.Context()); status != http.StatusOK || took != 40*time.Second || len(svc.sent) != 2 {
			t.Fatalf("the second caller: %d after %s, %d requests", status, took, len(svc.sent))
		}
	})
}
