package operation

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/boxconnection/connector/proto/connector"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

// asking is an asker whose host is the test.
func asking(t *testing.T) (*asker, operationv1.OperationServiceClient) {
	t.Helper()
	s, err := NewServer(Plugin{
		ID: "set", Title: "Set", Version: "1", Connector: "fake",
		Operations: Set{{ID: "op", Title: "Op", Effect: Read, Run: Func(func(context.Context, *Session, *struct{}, *struct{}) error { return nil })}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l := bufconn.Listen(1 << 16)
	server := grpc.NewServer(s.Options()...)
	s.Register(server)
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(l) })
	conn, err := grpc.NewClient("passthrough:///set",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		served.Wait()
	})
	return s.asker, operationv1.NewOperationServiceClient(conn)
}

func question(t *testing.T, stream operationv1.OperationService_AccessClient) *operationv1.Question {
	t.Helper()
	m, err := stream.Recv()
	if err != nil || len(m.GetQuestions()) != 1 {
		t.Fatal(m, err)
	}
	return m.GetQuestions()[0]
}

func answerWith(t *testing.T, stream operationv1.OperationService_AccessClient, a *operationv1.Answer) {
	t.Helper()
	if err := stream.Send(&operationv1.AccessRequest{Answers: []*operationv1.Answer{a}}); err != nil {
		t.Fatal(err)
	}
}

func granted(number, id uint64, token string, goodFor time.Duration) *operationv1.Answer {
	return &operationv1.Answer{Number: number, Outcome: &operationv1.Answer_Grant{Grant: &operationv1.Grant{
		Id: id, GoodFor: durationpb.New(goodFor),
		Access: protoconv.AccessToProto(&connector.Access{Token: connector.NewSecret(token), Type: "Bearer", IssuedAt: time.Now(), Generation: id}),
	}}}
}

// A question whose answer was lost with the stream is asked again on the next
// one; what was granted is used as long as the host allows.
func TestQuestionsSurviveTheStream(t *testing.T) {
	t.Parallel()
	a, host := asking(t)
	source, release := a.open(t.Context(), "x")
	defer release()
	first, cancel := context.WithCancel(t.Context())
	stream, err := host.Access(first)
	if err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		access *connector.Access
		err    error
	}
	asked := make(chan outcome, 1)
	ask := func(req connector.AccessRequest) {
		go func() {
			got, err := source.Access(t.Context(), req)
			asked <- outcome{got, err}
		}()
	}
	ask(connector.AccessRequest{})
	lost := question(t, stream)
	cancel()
	if stream, err = host.Access(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := question(t, stream)
	if again.GetNumber() != lost.GetNumber() || again.GetExecution() != "x" || again.GetAccess().GetHave() != 0 {
		t.Errorf("asked %v, then %v", lost, again)
	}
	answerWith(t, stream, granted(again.GetNumber(), 1, "t1", time.Hour))
	if o := <-asked; o.err != nil || o.access.Token.Reveal() != "t1" {
		t.Fatal(o.err)
	}
	// From memory: nobody answers this one.
	if got, err := source.Access(t.Context(), connector.AccessRequest{}); err != nil || got.Token.Reveal() != "t1" {
		t.Error(err)
	}
	// Refused: the host is asked, and told which.
	ask(connector.AccessRequest{Refused: 1})
	q := question(t, stream)
	if q.GetAccess().GetRefusedGeneration() != 1 || q.GetAccess().GetHave() != 1 {
		t.Errorf("asked %v", q)
	}
	answerWith(t, stream, granted(q.GetNumber(), 2, "t2", time.Hour))
	if o := <-asked; o.err != nil || o.access.Token.Reveal() != "t2" {
		t.Error(o.err)
	}
	// The newer one counts for those who still say that the old one was refused.
	if got, err := source.Access(t.Context(), connector.AccessRequest{Refused: 1}); err != nil || got.Token.Reveal() != "t2" {
		t.Error(err)
	}
	// A caller that goes away leaves nothing behind.
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := source.Access(gone, connector.AccessRequest{MinValidity: time.Second}); err == nil {
		t.Error("a cancelled caller gets access")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.pending) != 0 {
		t.Errorf("%d questions are left", len(a.pending))
	}
}

// A pause is kept, told to the host, and taken from it unasked.
func TestPauses(t *testing.T) {
	t.Parallel()
	a, host := asking(t)
	source, release := a.open(t.Context(), "x")
	defer release()
	stream, err := host.Access(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	source.AskedToWait(time.Minute)
	if q := question(t, stream); q.GetAskedToWait().AsDuration() != time.Minute || q.GetExecution() != "x" {
		t.Errorf("asked %v", q)
	}
	if d := source.Pause(); d <= 0 || d > time.Minute {
		t.Errorf("a pause of %v", d)
	}
	answerWith(t, stream, &operationv1.Answer{Execution: "nobody", Pause: durationpb.New(2 * time.Hour)})
	answerWith(t, stream, &operationv1.Answer{Execution: "x", Pause: durationpb.New(time.Hour)})
	for deadline := time.Now().Add(20 * time.Second); source.Pause() < 50*time.Minute; time.Sleep(time.Millisecond) { // what a stream brings has no other sign
		if time.Now().After(deadline) {
			t.Fatal("the pause isn't taken")
		}
	}
	if source.Pause() > time.Hour {
		t.Error("another's pause is taken")
	}
}
