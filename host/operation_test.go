package host_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/proto/connector"
)

// One document in, one out, authorised by the host.
func TestOperationRuns(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	b, err := o.run("get", `{"path":"a"}`, host.Input{})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.documents) != 1 || string(b.documents[0].JSON) != `{"status":200,"body":"item a"}` || b.documents[0].Properties["status"] != "200" {
		t.Errorf("brought %+v", b.documents)
	}
	if len(b.checkpoints) != 1 || !b.checkpoints[0].Done {
		t.Errorf("checkpoints %+v", b.checkpoints)
	}
	if outcomes := o.place.audit.outcomes(audit.ActionRun); len(outcomes) != 1 || outcomes[0] != audit.OutcomeOK {
		t.Errorf("the audit has %v", outcomes)
	}
}

// Content goes in and comes out whole, whatever its size.
func TestOperationContent(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	for _, size := range []int{0, 1, 256 << 10, 3<<20 + 17} {
		data := random(size)
		o.api.answer(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				sum := sha256.New()
				n, err := io.Copy(sum, r.Body)
				if err != nil || n != int64(size) || !bytes.Equal(sum.Sum(nil), sha256Of(data)) {
					t.Errorf("%d bytes came, %v", n, err)
				}
				return true
			}
			_, _ = w.Write(data)
			return true
		})
		for _, length := range []int64{-1, int64(size)} {
			if _, err := o.run("upload", `{"path":"a"}`, host.Input{Content: bytes.NewReader(data), Length: length}); err != nil {
				t.Errorf("upload of %d: %v", size, err)
			}
		}
		for event, err := range o.conn.Run(t.Context(), o.ops, "download", host.Input{Document: []byte(`{"path":"a"}`)}) {
			if err != nil {
				t.Fatal(err)
			}
			if event.Document != nil {
				if got, err := io.ReadAll(event.Document.Content); err != nil || !bytes.Equal(got, data) {
					t.Errorf("download of %d: %d bytes, %v", size, len(got), err)
				}
			}
		}
	}
}

func sha256Of(data []byte) []byte {
	sum := sha256.Sum256(data)
	return sum[:]
}

// What was announced and doesn't come whole isn't taken for whole, on either
// way.
func TestOperationContentCutOff(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	if _, err := o.run("upload", `{"path":"a"}`, host.Input{Content: strings.NewReader("abc"), Length: 4}); !errors.Is(err, connector.ContentDamaged) {
		t.Errorf("too short: %v", err)
	}
	broken := io.MultiReader(strings.NewReader("abc"), failing{})
	if _, err := o.run("upload", `{"path":"a"}`, host.Input{Content: broken, Length: -1}); !errors.Is(err, connector.ContentDamaged) {
		t.Errorf("unreadable: %v", err)
	}
	o.api.answer(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write(make([]byte, 5000))
		panic(http.ErrAbortHandler) // the connection drops
	})
	var whole bool
	err := errors.New("no error")
	for event, failure := range o.conn.Run(t.Context(), o.ops, "download", host.Input{Document: []byte(`{"path":"a"}`)}) {
		if err = failure; err == nil && event.Document != nil {
			_, rerr := io.Copy(io.Discard, event.Document.Content)
			whole = rerr == nil
		}
	}
	if d := connector.Diagnose(err, ""); whole || !errors.Is(err, connector.ConnectionFailed) || d.Disposition != connector.Retry {
		t.Errorf("a dropped download: whole %v, %v", whole, err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the disk is gone") }

// An execution that failed after some pages goes on after the last checkpoint,
// and brings no page twice.
func TestOperationResumes(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	var told [][2]int64
	first, err := o.run("pages", `{"path":"break","times":10}`, host.Input{
		Progress: func(completed, total int64) { told = append(told, [2]int64{completed, total}) },
	})
	wantCode(t, err, connector.Internal)
	if len(first.documents) != 5 || len(first.checkpoints) != 5 || first.checkpoints[4].Done || len(told) != 5 || told[4] != [2]int64{5, 10} {
		t.Fatalf("%d documents, %d checkpoints, progress %v", len(first.documents), len(first.checkpoints), told)
	}
	rest, err := o.run("pages", `{"path":"break","times":10}`, host.Input{Checkpoint: first.checkpoints[4].Data})
	if err != nil || len(rest.documents) != 5 || string(rest.documents[0].JSON) != `{"number":5}` || !rest.checkpoints[5].Done {
		t.Errorf("%v, %d documents", err, len(rest.documents))
	}
	// An empty checkpoint is one, and isn't taken for "from the beginning" or
	// for "done".
	_, err = o.run("pages", `{"path":"x"}`, host.Input{Checkpoint: []byte{}})
	wantCode(t, err, connector.CheckpointUnreadable)
	_, err = o.run("get", `{"path":"x"}`, host.Input{Checkpoint: []byte("1")})
	wantCode(t, err, connector.CheckpointUnreadable)
}

// All that is wrong with an input is told at once, and nothing is sent.
func TestOperationInputProblems(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	for input, want := range map[string]string{
		`{"times":0,"paht":"x"}`: "/paht /path /times",
		`[]`:                     "",
		`{"path":"x"} {}`:        "",
		`{"path":7}`:             "/path",
	} {
		_, err := o.run("get", input, host.Input{})
		invalid, ok := errors.AsType[*host.InvalidInput](err)
		if !ok || !errors.Is(err, connector.InputInvalid) {
			t.Errorf("%s: %v", input, err)
			continue
		}
		var pointers []string
		for _, d := range invalid.Problems {
			pointers = append(pointers, d.Pointer)
		}
		if got := strings.Join(pointers, " "); got != want {
			t.Errorf("%s: problems at %q, want %q", input, got, want)
		}
	}
	if _, err := o.run("get", `{"path":"a"}`, host.Input{Content: strings.NewReader("x")}); !errors.Is(err, connector.InputInvalid) {
		t.Errorf("content that isn't taken: %v", err)
	}
	if _, err := o.run("upload", `{"path":"a"}`, host.Input{}); !errors.Is(err, connector.InputInvalid) {
		t.Errorf("no content: %v", err)
	}
	if _, err := o.run("nothing", `{}`, host.Input{}); !errors.Is(err, connector.UsageWrong) {
		t.Errorf("no such operation: %v", err)
	}
	if n := o.api.seen("access-1"); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// What the application refuses is an error, or a document where the engine
// asks for it.
func TestOperationApplicationErrors(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	_, err := o.run("get", `{"path":"none"}`, host.Input{})
	if d := wantCode(t, err, connector.ItemNotFound); d.Disposition != "" {
		t.Errorf("disposition %q", d.Disposition)
	}
	b, err := o.run("get", `{"path":"none"}`, host.Input{ReturnApplicationErrors: true})
	if err != nil || len(b.documents) != 1 || b.documents[0].JSON != nil || !errors.Is(b.documents[0].Error, connector.ItemNotFound) {
		t.Errorf("%v, %+v", err, b.documents)
	}
	// A fault of the operation isn't the application's.
	_, err = o.run("panic", `{"path":"a"}`, host.Input{ReturnApplicationErrors: true})
	wantCode(t, err, connector.Internal)
}

// An operation that panics, hangs or is cancelled costs its own execution, and
// not the process or the others.
func TestOperationFaultsStayAlone(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	before := o.pid()
	var others sync.WaitGroup
	others.Go(func() {
		if _, err := o.run("get", `{"path":"a","times":300}`, host.Input{}); err != nil {
			t.Error(err)
		}
	})
	_, err := o.run("panic", `{"path":"a"}`, host.Input{})
	if d := wantCode(t, err, connector.Internal); strings.Contains(d.Error(), "goroutine") || strings.Contains(d.Error(), "nil pointer") {
		t.Errorf("it shows %v", d)
	}
	for _, way := range []string{"polite", "deaf"} {
		began := time.Now()
		_, err = o.run("hang", `{"path":"`+way+`"}`, host.Input{Timeout: 300 * time.Millisecond})
		if d := wantCode(t, err, connector.TimedOut); d.Disposition != connector.Retry || time.Since(began) > 20*time.Second {
			t.Errorf("after %v: %v", time.Since(began), d)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err = run(ctx, o.conn, o.ops, "hang", `{"path":"polite"}`, host.Input{})
	wantCode(t, err, connector.Canceled)
	others.Wait()
	if after := o.pid(); after != before {
		t.Errorf("the process changed: %d, then %d", before, after)
	}
}

// An engine that stops reading the documents ends the requests to the service
// too.
func TestOperationLoopLeftEarly(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	ended := make(chan struct{})
	o.api.answer(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "1000000")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(ended)
		return true
	})
	for _, err := range o.conn.Run(t.Context(), o.ops, "download", host.Input{Document: []byte(`{"path":"a"}`)}) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the request to the service goes on")
	}
}

// A process that ends in the middle takes its own executions with it, not
// those of other processes, and the next execution gets a new one.
func TestOperationProcessEnds(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	other, err := o.LoadOperations(t.Context(), launchProbe(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	before := o.pid()
	var others sync.WaitGroup
	others.Go(func() {
		if _, err := run(t.Context(), o.conn, other, "get", `{"path":"a","times":500}`, host.Input{}); err != nil {
			t.Error(err)
		}
	})
	_, err = o.run("exit", `{"path":"a"}`, host.Input{})
	if d := wantCode(t, err, connector.PluginExited); d.Disposition != connector.Retry {
		t.Errorf("disposition %q", d.Disposition)
	}
	if _, err := o.run("get", `{"path":"a"}`, host.Input{}); err != nil {
		t.Error(err)
	}
	if after := o.pid(); after == before {
		t.Error("it is the same process")
	}
	others.Wait()
}

// An operation that brings more than is read waits, and gathers nothing; the
// others don't notice.
func TestOperationFloodIsHeldUp(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	pid := o.pid()
	const documents = 6000 // of 32 KiB
	n, before := 0, residentKB(t, pid)
	for event, err := range o.conn.Run(t.Context(), o.ops, "flood", host.Input{Document: []byte(`{"path":"a","times":` + strconv.Itoa(documents) + `}`)}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 { // nobody reads while this runs
			if _, err := o.run("get", `{"path":"a","times":200}`, host.Input{}); err != nil {
				t.Error(err)
			}
			if grown := residentKB(t, pid) - before; grown > 40<<10 {
				t.Errorf("the process grew by %d KB", grown)
			}
		}
		if event.Checkpoint != nil && n != documents+1 {
			t.Errorf("%d documents", n-1)
		}
	}
}

// The stream for access, which lasts as long as the process, holds up neither
// its close nor its own end when it is asked to terminate.
func TestOperationStreamHoldsNothingUp(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	inc, err := o.operations.Incarnation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(o.pid())
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-inc.Done():
	case <-time.After(6 * time.Second): // calls under way would have 8 s
		t.Error("it waits for the stream")
	}
	if _, err := o.run("get", `{"path":"a"}`, host.Input{}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := o.operations.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 8*time.Second { // calls under way would have 10 s
		t.Errorf("its close took %v", took)
	}
}
