package host_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/launch"
)

// items is what operations work on: it knows the service's newest access token
// and refuses every other.
type items struct {
	svc *service
	url string

	mu      sync.Mutex
	tokens  map[string]int // how often each was seen
	revoked map[string]bool
	refused int
	// handle answers instead, if it returns true.
	handle func(w http.ResponseWriter, r *http.Request) bool
}

func newItems(t testing.TB, svc *service) *items {
	t.Helper()
	a := &items{svc: svc, tokens: map[string]int{}, revoked: map[string]bool{}}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.url = server.URL
	svc.endpoint = server.URL
	return a
}

func (a *items) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	a.svc.mu.Lock()
	good := fmt.Sprintf("access-%d", a.svc.pair)
	a.svc.mu.Unlock()
	a.mu.Lock()
	a.tokens[token]++
	handle := a.handle
	known := strings.TrimSuffix(token, "-narrow") == good && !a.revoked[token]
	if !known {
		a.refused++
	}
	a.mu.Unlock()
	if !known {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if handle != nil && handle(w, r) {
		return
	}
	switch name := strings.TrimPrefix(r.URL.Path, "/items/"); {
	case name == "none":
		http.Error(w, "no such item", http.StatusNotFound)
	case r.Method == http.MethodPost:
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(w, "%d %v", n, err)
	default:
		_, _ = io.WriteString(w, "item "+name)
	}
}

// answer sets what answers instead.
func (a *items) answer(handle func(w http.ResponseWriter, r *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handle = handle
}

// revoke has a token refused from now on.
func (a *items) revoke(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revoked[token] = true
}

// seen is how often a token was seen.
func (a *items) seen(token string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tokens[token]
}

// probe is the path of the built operations of tests.
var probe = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "probe-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "probe")
	if text, err := exec.Command("go", "build", "-o", path, "../plugin/operation/internal/probe").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, text)
	}
	return path, nil
})

// operating is a connection with operations in a process of their own.
type operating struct {
	*rig
	api        *items
	operations *launch.Plugin
	ops        *host.Operations
	conn       *host.Connection
}

func newOperating(t testing.TB, opts ...host.Option) *operating {
	t.Helper()
	svc := newService()
	svc.scopes = []string{"read"}
	o := &operating{api: newItems(t, svc)}
	o.rig = newRig(t, newPlace(t), svc, opts...)
	o.conn = o.ready("sales")
	o.operations = launchProbe(t)
	var err error
	if o.ops, err = o.LoadOperations(t.Context(), o.operations); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.ops.Close)
	return o
}

func launchProbe(t testing.TB) *launch.Plugin {
	t.Helper()
	path, err := probe()
	if err != nil {
		t.Fatal(err)
	}
	launcher, err := launch.New(launch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := launcher.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	plugin, err := launcher.Load(t.Context(), path, launch.AnyDigest())
	if err != nil {
		t.Fatal(err)
	}
	return plugin
}

// pid returns the process of the operations.
func (o *operating) pid() int {
	o.t.Helper()
	b, err := o.run("environment", `{"path":"x"}`, host.Input{})
	if err != nil {
		o.t.Fatal(err)
	}
	var answer struct{ Status int }
	if err := json.Unmarshal(b.documents[0].JSON, &answer); err != nil {
		o.t.Fatal(err)
	}
	return answer.Status
}

// brought is what an execution brought.
type brought struct {
	documents   []*host.Document
	checkpoints []*host.Checkpoint
}

func (o *operating) run(operation, input string, in host.Input) (brought, error) {
	return run(o.t.Context(), o.conn, o.ops, operation, input, in)
}

func run(ctx context.Context, c *host.Connection, ops *host.Operations, operation, input string, in host.Input) (brought, error) {
	in.Document = json.RawMessage(input)
	var b brought
	for event, err := range c.Run(ctx, ops, operation, in) {
		switch {
		case err != nil:
			return b, err
		case event.Document != nil:
			b.documents = append(b.documents, event.Document)
		default:
			b.checkpoints = append(b.checkpoints, event.Checkpoint)
		}
	}
	return b, nil
}

// random returns n random bytes.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
