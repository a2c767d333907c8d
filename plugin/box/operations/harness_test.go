package operations_test

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // Box's digest of a file, not a protection
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/boxconnection/connector/plugin/box/boxsim"
	"github.com/boxconnection/connector/plugin/box/operations"
	"github.com/boxconnection/connector/plugin/operation"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is the operations in this process, a host that gives them access to
// the emulator, and the emulator.
type place struct {
	t       *testing.T
	sim     *boxsim.Instance
	control boxsim.Control
	client  operationv1.OperationServiceClient
	urls    map[string]string
	runs    int
}

func newPlace(t *testing.T) *place {
	t.Helper()
	return newPlaceAt(t, "")
}

// newPlaceAt is newPlace with another API than the emulator's.
func newPlaceAt(t *testing.T, api string) *place {
	t.Helper()
	sim, err := boxsim.Listen(t.Context(), "localhost:0", boxsim.Options{ContentFolder: t.TempDir()}, boxsim.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	p := &place{t: t, sim: sim, control: sim.Control(), urls: map[string]string{"api": sim.Info().APIURL, "upload": sim.Info().UploadURL}}
	p.control.Client = &http.Client{Transport: transport}
	if api != "" {
		p.urls["api"] = api
	}

	server, err := operation.NewServer(operations.Plugin("test"))
	if err != nil {
		t.Fatal(err)
	}
	l := bufconn.Listen(1 << 20)
	g := grpc.NewServer(server.Options()...)
	server.Register(g)
	var work sync.WaitGroup
	work.Go(func() { _ = g.Serve(l) })
	conn, err := grpc.NewClient("passthrough:///operations",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	p.client = operationv1.NewOperationServiceClient(conn)
	stream, err := p.client.Access(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	token := p.signIn()
	work.Go(func() { answer(stream, token, p.urls) })
	t.Cleanup(func() {
		_ = conn.Close()
		g.Stop()
		work.Wait()
		transport.CloseIdleConnections()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// signIn returns an access token of the emulator.
func (p *place) signIn() string {
	p.t.Helper()
	info := p.sim.Info()
	ask := url.Values{"response_type": {"code"}, "client_id": {info.ClientID}, "redirect_uri": {info.RedirectURIs[0]}, "state": {"opaque"}}
	callback, err := boxsim.Person{Client: p.control.Client}.Allow(p.t.Context(), info.AuthorizeURL+"?"+ask.Encode())
	if err != nil {
		p.t.Fatal(err)
	}
	back, err := url.Parse(callback)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := p.control.Client.PostForm(info.TokenURL, url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "client_id": {info.ClientID}, "client_secret": {info.ClientSecret},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var pair struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&pair); err != nil || pair.AccessToken == "" {
		p.t.Fatal("no token", err)
	}
	return pair.AccessToken
}

// answer gives access to whoever asks.
func answer(stream operationv1.OperationService_AccessClient, token string, urls map[string]string) {
	access := protoconv.AccessToProto(&connector.Access{
		Token: connector.NewSecret(token), Type: "Bearer", IssuedAt: time.Now(), Endpoints: urls, Generation: 1,
	})
	for {
		asked, err := stream.Recv()
		if err != nil {
			return
		}
		answers := &operationv1.AccessRequest{}
		for _, q := range asked.GetQuestions() {
			grant := &operationv1.Grant{Id: 1, Access: access, GoodFor: durationpb.New(time.Minute)}
			answers.Answers = append(answers.Answers, &operationv1.Answer{Number: q.GetNumber(), Outcome: &operationv1.Answer_Grant{Grant: grant}})
		}
		if stream.Send(answers) != nil {
			return
		}
	}
}

// work is what an execution is given beside its input.
type work struct {
	content    io.Reader // nil for none
	length     int64     // that is told; -1 for none
	checkpoint []byte    // nil for none
	tolerant   bool      // return application errors
}

// outcome is what an execution brought.
type outcome struct {
	documents   []operations.Item
	errors      []*connector.Diagnostic
	content     []byte
	checkpoints [][]byte
	done        bool
	err         error
}

// run runs an operation.
func (p *place) run(id string, input any, w work) *outcome {
	p.t.Helper()
	document, err := json.Marshal(input)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	defer cancel()
	stream, err := p.client.Run(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	p.runs++
	start := &operationv1.Start{
		Execution: fmt.Sprint("x", p.runs), Operation: id, Input: document, Endpoints: p.urls, Checkpoint: w.checkpoint, ReturnApplicationErrors: w.tolerant,
	}
	if w.content != nil {
		start.Content = &operationv1.Content{}
		if w.length >= 0 {
			told := uint64(w.length)
			start.Content.Length = &told
		}
	}
	var sent sync.WaitGroup
	sent.Go(func() { send(stream, start, w.content) })
	o := receive(stream)
	cancel()
	sent.Wait()
	return o
}

// send sends all that an execution is given; one that ends before shows at its
// receiver.
func send(stream operationv1.OperationService_RunClient, start *operationv1.Start, content io.Reader) {
	if stream.Send(&operationv1.RunRequest{Part: &operationv1.RunRequest_Start{Start: start}}) != nil || content == nil {
		return
	}
	sum, length := crc32.New(handshake.Castagnoli()), uint64(0)
	for chunk := make([]byte, 256<<10); ; {
		n, err := io.ReadFull(content, chunk)
		_, _ = sum.Write(chunk[:n])
		length += uint64(n)
		if n > 0 && stream.Send(&operationv1.RunRequest{Part: &operationv1.RunRequest_Chunk{Chunk: chunk[:n]}}) != nil {
			return
		}
		if err != nil {
			break
		}
	}
	_ = stream.Send(&operationv1.RunRequest{Part: &operationv1.RunRequest_ContentEnd{ContentEnd: &operationv1.ContentEnd{Length: length, Crc32C: sum.Sum32()}}})
}

func receive(stream operationv1.OperationService_RunClient) *outcome {
	o := &outcome{}
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return o
		}
		if err != nil {
			o.err = protoconv.ErrorFromStatus(err)
			return o
		}
		switch part := message.GetPart().(type) {
		case *operationv1.RunResponse_Document:
			if part.Document.GetError() != nil {
				o.errors = append(o.errors, protoconv.DiagnosticFromProto(part.Document.GetError()))
				continue
			}
			var item operations.Item
			if o.err = json.Unmarshal(part.Document.GetJson(), &item); o.err != nil {
				return o
			}
			o.documents = append(o.documents, item)
		case *operationv1.RunResponse_Chunk:
			o.content = append(o.content, part.Chunk...)
		case *operationv1.RunResponse_Checkpoint:
			if o.done = part.Checkpoint.GetDone(); !o.done {
				o.checkpoints = append(o.checkpoints, part.Checkpoint.GetData())
			}
		}
	}
}

// one wants one document.
func (p *place) one(o *outcome) operations.Item {
	p.t.Helper()
	if o.err != nil || !o.done || len(o.documents) != 1 {
		p.t.Fatalf("%d documents, done %v: %v", len(o.documents), o.done, o.err)
	}
	return o.documents[0]
}

// fails wants a failure.
func (p *place) fails(o *outcome, code connector.Code) *connector.Diagnostic {
	p.t.Helper()
	d, ok := errors.AsType[*connector.Diagnostic](o.err)
	if !ok || d.Code != code || o.done {
		p.t.Fatalf("got %v, want %s", o.err, code)
	}
	return d
}

// fault adds a fault to the emulator.
func (p *place) fault(f boxsim.Fault) {
	p.t.Helper()
	if _, err := p.control.AddFault(p.t.Context(), f); err != nil {
		p.t.Fatal(err)
	}
}

// seen lists the requests that reached the emulator.
func (p *place) seen(method, path string) []boxsim.Request {
	p.t.Helper()
	list, err := p.control.Requests(p.t.Context(), boxsim.RequestQuery{Method: method, Path: path})
	if err != nil {
		p.t.Fatal(err)
	}
	return list
}

// sessions wants so many uploads in parts at the emulator.
func (p *place) sessions(want int) {
	p.t.Helper()
	state, err := p.control.State(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	if n := len(state.Content.UploadSessions); n != want {
		p.t.Errorf("%d uploads are left, want %d", n, want)
	}
}

// upload makes a file.
func (p *place) upload(name string, content []byte) operations.Item {
	p.t.Helper()
	return p.one(p.run("create-file", operations.UploadInput{Name: name}, whole(content)))
}

// download wants that a file has this content.
func (p *place) download(id string, want []byte) {
	p.t.Helper()
	o := p.run("get-file", operations.GetFileInput{FileID: id}, work{})
	if p.one(o); !bytes.Equal(o.content, want) {
		p.t.Errorf("%d bytes came back that are others", len(o.content))
	}
}

// whole is content of known length.
func whole(content []byte) work {
	return work{content: bytes.NewReader(content), length: int64(len(content))}
}

// pattern is content of n bytes, in which no two places are alike by chance.
func pattern(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // never fails
	return b
}

func digest(content []byte) string {
	sum := sha1.Sum(content) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}
