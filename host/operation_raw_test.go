package host_test

import (
	"context"
	"errors"
	"hash/crc32"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

// crude is a set of operations that speaks the contract by hand, and breaks
// it where a test wants that.
type crude struct {
	operationv1.UnimplementedOperationServiceServer
	set connector.OperationSet
	run func(start *operationv1.Start, stream operationv1.OperationService_RunServer) error

	mu      sync.Mutex
	streams []operationv1.OperationService_AccessServer // the open ones
	opened  chan struct{}                               // gets one for each stream that is opened
	answers chan *operationv1.Answer
	breakIt chan struct{} // ends the stream
}

func newCrude() *crude {
	return &crude{
		set: connector.OperationSet{
			ID: "crude", Title: "Crude", Version: "1", Connector: "fake", ContractMin: 1, ContractMax: 1,
			Operations: []connector.Operation{{ID: "op", Title: "Op", Effect: connector.EffectRead, Input: []byte(`{"type":"object"}`)}},
		},
		opened: make(chan struct{}, 100), answers: make(chan *operationv1.Answer, 100), breakIt: make(chan struct{}),
	}
}

func (c *crude) Describe(context.Context, *operationv1.DescribeRequest) (*operationv1.DescribeResponse, error) {
	return protoconv.OperationSetToProto(c.set), nil
}

func (c *crude) Run(stream operationv1.OperationService_RunServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	return c.run(first.GetStart(), stream)
}

func (c *crude) Access(stream operationv1.OperationService_AccessServer) error {
	c.mu.Lock()
	c.streams = append(c.streams, stream)
	c.mu.Unlock()
	c.opened <- struct{}{}
	received := make(chan error, 1)
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				received <- err
				return
			}
			for _, a := range m.GetAnswers() {
				c.answers <- a
			}
		}
	}()
	select {
	case err := <-received:
		return err
	case <-c.breakIt:
		return errors.New("it broke")
	}
}

// ask sends a question on the newest stream, and returns its answer.
func (c *crude) ask(t testing.TB, q *operationv1.Question) *operationv1.Answer {
	t.Helper()
	c.mu.Lock()
	stream := c.streams[len(c.streams)-1]
	c.mu.Unlock()
	if err := stream.Send(&operationv1.AccessResponse{Questions: []*operationv1.Question{q}}); err != nil {
		t.Fatal(err)
	}
	return c.answer(t)
}

func (c *crude) answer(t testing.TB) *operationv1.Answer {
	t.Helper()
	select {
	case a := <-c.answers:
		return a
	case <-time.After(20 * time.Second):
		t.Fatal("no answer")
		return nil
	}
}

func (c *crude) wait(t testing.TB) {
	t.Helper()
	select {
	case <-c.opened:
	case <-time.After(20 * time.Second):
		t.Fatal("the host doesn't open the stream")
	}
}

func (c *crude) serve(t testing.TB) conn {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	operationv1.RegisterOperationServiceServer(server, c)
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(l) })
	client, err := grpc.NewClient("passthrough:///crude",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close()
		server.Stop()
		served.Wait()
	})
	return conn{client}
}

// crudely is a connection with these operations.
func crudely(t testing.TB, c *crude) (*rig, *host.Connection, *host.Operations) {
	t.Helper()
	svc := newService()
	r := newRig(t, newPlace(t), svc)
	conn := r.ready("sales")
	ops, err := r.LoadOperations(t.Context(), c.serve(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ops.Close)
	return r, conn, ops
}

func accessQuestion(number uint64, handle string, have uint64) *operationv1.Question {
	return &operationv1.Question{Number: number, Execution: handle, Ask: &operationv1.Question_Access{
		Access: &operationv1.AccessQuestion{Have: have, MinimumValidity: durationpb.New(24 * time.Hour)},
	}}
}

func done() *operationv1.RunResponse {
	return &operationv1.RunResponse{Part: &operationv1.RunResponse_Checkpoint{Checkpoint: &operationv1.Checkpoint{Done: true}}}
}

func document(content *operationv1.Content) *operationv1.RunResponse {
	return &operationv1.RunResponse{Part: &operationv1.RunResponse_Document{Document: &operationv1.Document{Json: []byte("{}"), Content: content}}}
}

// A handle opens access for its own execution, in its own process, as long as
// it runs. A validity of a day is clamped and doesn't renew what lasts.
func TestHandlesBelongToOneExecution(t *testing.T) {
	t.Parallel()
	other := newCrude()
	c := newCrude()
	var last string
	c.run = func(start *operationv1.Start, stream operationv1.OperationService_RunServer) error {
		last = start.GetExecution()
		c.wait(t)
		a := c.ask(t, accessQuestion(1, last, 0))
		if a.GetNumber() != 1 || a.GetGrant().GetAccess().GetToken() != "access-1" || a.GetGrant().GetGoodFor().AsDuration() <= 0 {
			t.Errorf("its own handle: %v", a.GetRefusal())
		}
		if again := c.ask(t, accessQuestion(2, last, a.GetGrant().GetId())); again.GetGrant().GetAccess() != nil || again.GetGrant().GetId() != a.GetGrant().GetId() {
			t.Error("the access that it has is sent again")
		}
		for _, handle := range []string{"", "nobody's", strings.Repeat("0", 32)} {
			if a := c.ask(t, accessQuestion(3, handle, 0)); a.GetGrant() != nil || protoconv.DiagnosticFromProto(a.GetRefusal()).Code != connector.ExecutionUnknown {
				t.Errorf("%q: %v", handle, a)
			}
		}
		return stream.Send(done())
	}
	r, conn, ops := crudely(t, c)
	if _, err := run(t.Context(), conn, ops, "op", `{}`, host.Input{}); err != nil {
		t.Fatal(err)
	}
	if a := c.ask(t, accessQuestion(4, last, 0)); a.GetGrant() != nil {
		t.Error("the handle works after its execution")
	}
	// Another process with a running execution's handle.
	otherOps, err := r.LoadOperations(t.Context(), other.serve(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(otherOps.Close)
	stolen, ended := make(chan string), make(chan struct{})
	c.run = func(start *operationv1.Start, stream operationv1.OperationService_RunServer) error {
		stolen <- start.GetExecution()
		<-ended
		return stream.Send(done())
	}
	var running sync.WaitGroup
	running.Go(func() {
		if _, err := run(t.Context(), conn, ops, "op", `{}`, host.Input{}); err != nil {
			t.Error(err)
		}
	})
	handle := <-stolen
	other.run = func(_ *operationv1.Start, stream operationv1.OperationService_RunServer) error {
		other.wait(t)
		a := other.ask(t, accessQuestion(1, handle, 0))
		if d := protoconv.DiagnosticFromProto(a.GetRefusal()); a.GetGrant() != nil || d.Code != connector.ExecutionUnknown {
			t.Errorf("a stolen handle: %v", a.GetRefusal())
		}
		return stream.Send(done())
	}
	if _, err := run(t.Context(), conn, otherOps, "op", `{}`, host.Input{}); err != nil {
		t.Error(err)
	}
	close(ended)
	running.Wait()
	if n := r.svc.renewals(); n != 0 {
		t.Errorf("%d renewals", n)
	}
}

// An operation that asks to wait an hour holds its connection up for a minute,
// and the others are told at once.
func TestAskedToWaitIsClampedAndShared(t *testing.T) {
	t.Parallel()
	c := newCrude()
	_, conn, ops := crudely(t, c)
	first, second := make(chan string), make(chan string)
	ended := make(chan struct{})
	handles := []chan string{first, second}
	var mu sync.Mutex
	c.run = func(start *operationv1.Start, stream operationv1.OperationService_RunServer) error {
		mu.Lock()
		to := handles[0]
		handles = handles[1:]
		mu.Unlock()
		to <- start.GetExecution()
		<-ended
		return stream.Send(done())
	}
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			if _, err := run(t.Context(), conn, ops, "op", `{}`, host.Input{}); err != nil {
				t.Error(err)
			}
		})
	}
	asker, other := <-first, <-second
	c.wait(t)
	answer := c.ask(t, &operationv1.Question{Number: 1, Execution: asker, Ask: &operationv1.Question_AskedToWait{AskedToWait: durationpb.New(time.Hour)}})
	told := map[string]bool{}
	for range 2 { // the answer, and what the other is told
		if d := answer.GetPause().AsDuration(); d <= 0 || d > time.Minute {
			t.Errorf("a pause of %v", d)
		}
		if answer.GetNumber() == 0 {
			told[answer.GetExecution()] = true
		}
		if told[other] {
			break
		}
		answer = c.answer(t)
	}
	if !told[other] {
		t.Error("the other execution isn't told")
	}
	close(ended)
	running.Wait()
}

// The stream for access is opened again when it breaks.
func TestAccessStreamIsOpenedAgain(t *testing.T) {
	t.Parallel()
	c := newCrude()
	_, conn, ops := crudely(t, c)
	c.run = func(start *operationv1.Start, stream operationv1.OperationService_RunServer) error {
		for n := range uint64(3) {
			c.wait(t)
			if a := c.ask(t, accessQuestion(n+1, start.GetExecution(), 0)); a.GetGrant() == nil {
				t.Errorf("%v", a.GetRefusal())
			}
			c.breakIt <- struct{}{}
		}
		return stream.Send(done())
	}
	if _, err := run(t.Context(), conn, ops, "op", `{}`, host.Input{}); err != nil {
		t.Error(err)
	}
}

// An operation that refuses its token again and again is held back.
func TestQuestionsAreLimited(t *testing.T) {
	t.Parallel()
	c := newCrude()
	r, conn, ops := crudely(t, c)
	c.run = func(start *operationv1.Start, stream operationv1.OperationService_RunServer) error {
		c.wait(t)
		limited := false
		for n := range uint64(100) {
			q := accessQuestion(n+1, start.GetExecution(), 0)
			q.GetAccess().RefusedGeneration = 1
			if d := protoconv.DiagnosticFromProto(c.ask(t, q).GetRefusal()); d != nil && d.Code == connector.RateLimited {
				limited = d.RetryAfter > 0
				break
			}
		}
		if !limited {
			t.Error("it may ask without end")
		}
		return stream.Send(done())
	}
	if _, err := run(t.Context(), conn, ops, "op", `{}`, host.Input{}); err != nil {
		t.Error(err)
	}
	if n := r.svc.renewals(); n > 1 {
		t.Errorf("%d renewals", n)
	}
}

// What breaks the contract is said so, and no half content passes for whole.
func TestOperationsThatBreakTheContract(t *testing.T) {
	t.Parallel()
	chunk := func(data string) *operationv1.RunResponse {
		return &operationv1.RunResponse{Part: &operationv1.RunResponse_Chunk{Chunk: []byte(data)}}
	}
	end := func(n uint64, of string) *operationv1.RunResponse {
		return &operationv1.RunResponse{Part: &operationv1.RunResponse_ContentEnd{ContentEnd: &operationv1.ContentEnd{Length: n, Crc32C: crc32.Checksum([]byte(of), handshake.Castagnoli())}}}
	}
	four := uint64(4)
	c := newCrude()
	_, conn, ops := crudely(t, c)
	for name, broken := range map[string]struct {
		parts []*operationv1.RunResponse
		code  connector.Code
	}{
		"no done":                {[]*operationv1.RunResponse{document(nil)}, connector.PluginContractBroken},
		"nothing":                {nil, connector.PluginContractBroken},
		"content before":         {[]*operationv1.RunResponse{chunk("a"), done()}, connector.PluginContractBroken},
		"content after":          {[]*operationv1.RunResponse{document(nil), chunk("a"), done()}, connector.PluginContractBroken},
		"no end":                 {[]*operationv1.RunResponse{document(&operationv1.Content{}), chunk("a")}, connector.PluginContractBroken},
		"a document between":     {[]*operationv1.RunResponse{document(&operationv1.Content{}), document(nil), done()}, connector.PluginContractBroken},
		"another digest":         {[]*operationv1.RunResponse{document(&operationv1.Content{}), chunk("a"), end(1, "b"), done()}, connector.ContentDamaged},
		"another length":         {[]*operationv1.RunResponse{document(&operationv1.Content{}), chunk("a"), end(2, "a"), done()}, connector.ContentDamaged},
		"another than announced": {[]*operationv1.RunResponse{document(&operationv1.Content{Length: &four}), chunk("a"), end(1, "a"), done()}, connector.ContentDamaged},
		"a large checkpoint": {[]*operationv1.RunResponse{{Part: &operationv1.RunResponse_Checkpoint{
			Checkpoint: &operationv1.Checkpoint{Data: make([]byte, 1<<17), Done: true},
		}}}, connector.PluginContractBroken},
		"no JSON": {[]*operationv1.RunResponse{{Part: &operationv1.RunResponse_Document{
			Document: &operationv1.Document{Json: []byte("{")},
		}}, done()}, connector.PluginContractBroken},
	} {
		c.run = func(_ *operationv1.Start, stream operationv1.OperationService_RunServer) error {
			for _, p := range broken.parts {
				if err := stream.Send(p); err != nil {
					return err // the host has had enough
				}
			}
			return nil
		}
		if _, err := run(t.Context(), conn, ops, "op", `{}`, host.Input{}); !errors.Is(err, broken.code) {
			t.Errorf("%s: got %v, want %s", name, err, broken.code)
		}
	}
}

// Operations of another connector, or of another contract, run nothing.
func TestOperationsOfAnotherConnector(t *testing.T) {
	t.Parallel()
	for _, spoil := range []func(*connector.OperationSet){
		func(s *connector.OperationSet) { s.Connector = "other" },
		func(s *connector.OperationSet) { s.ContractMin, s.ContractMax = 2, 3 },
		func(s *connector.OperationSet) { s.ContractMin, s.ContractMax = 0, 0 },
	} {
		c := newCrude()
		spoil(&c.set)
		c.run = func(*operationv1.Start, operationv1.OperationService_RunServer) error {
			t.Error("it was run")
			return nil
		}
		_, conn, ops := crudely(t, c)
		_, err := run(t.Context(), conn, ops, "op", `{}`, host.Input{})
		wantCode(t, err, connector.PairingWrong)
		p, err := conn.Pair(t.Context(), ops)
		if err != nil || p.Problem == nil || p.Operations[0].Runs {
			t.Errorf("%v, %+v", err, p)
		}
	}
}
