package operation

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/boxconnection/connector/proto/benchtest"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

// onSocket is operations on a socket, with a host that answers each question
// from memory.
func onSocket(b *testing.B, endpoint string) (*asker, *grpc.ClientConn) {
	b.Helper()
	s, err := NewServer(Plugin{
		ID: "bench", Title: "Bench", Version: "1", Connector: "fake",
		Operations: Set{{ID: "op", Title: "Op", Effect: Read, Run: Func(func(context.Context, *Session, *struct{}, *struct{}) error { return nil })}},
	})
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		b.Fatal(err)
	}
	server := grpc.NewServer(s.Options()...)
	s.Register(server)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	var work sync.WaitGroup
	work.Go(func() { _ = server.Serve(l) })
	conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	stream, err := operationv1.NewOperationServiceClient(conn).Access(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	work.Go(func() { answerAll(stream, endpoint) })
	b.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		work.Wait()
	})
	return s.asker, conn
}

func answerAll(stream operationv1.OperationService_AccessClient, endpoint string) {
	access := protoconv.AccessToProto(&connector.Access{
		Token: connector.NewSecret("t1"), Type: "Bearer", IssuedAt: time.Now(), Endpoints: map[string]string{"api": endpoint}, Generation: 1,
	})
	for {
		asked, err := stream.Recv()
		if err != nil {
			return
		}
		answers := &operationv1.AccessRequest{}
		for _, q := range asked.GetQuestions() {
			grant := &operationv1.Grant{Id: 1, GoodFor: durationpb.New(5 * time.Second)}
			if q.GetAccess().GetHave() != 1 {
				grant.Access = access
			}
			answers.Answers = append(answers.Answers, &operationv1.Answer{Number: q.GetNumber(), Outcome: &operationv1.Answer_Grant{Grant: grant}})
		}
		if stream.Send(answers) != nil {
			return
		}
	}
}

// BenchmarkAsk compares asking the host for access that it has at hand with an
// empty unary call on the same transport.
func BenchmarkAsk(b *testing.B) {
	for _, askers := range []int{1, 64} {
		b.Run(map[int]string{1: "1", 64: "64"}[askers], func(b *testing.B) {
			asker, conn := onSocket(b, "https://service.example")
			source, release := asker.open(b.Context(), "x")
			defer release()
			client := grpc_health_v1.NewHealthClient(conn)
			const each = 100
			all := func(call func() error) func() time.Duration {
				return func() time.Duration {
					began := time.Now()
					var work sync.WaitGroup
					for range askers {
						work.Go(func() {
							for range each {
								if err := call(); err != nil {
									b.Error(err)
									return
								}
							}
						})
					}
					work.Wait()
					return time.Since(began)
				}
			}
			benchtest.Compare(b, benchtest.Bound{Ratio: 0.8}, askers*each,
				all(func() error {
					_, err := client.Check(b.Context(), &grpc_health_v1.HealthCheckRequest{})
					return err
				}),
				all(func() error {
					// A validity is never answered from the plugin's memory.
					_, err := source.Access(b.Context(), connector.AccessRequest{MinValidity: time.Second})
					return err
				}))
		})
	}
}

// BenchmarkRequest compares a request of an operation's client with one of
// net/http's with a fixed header.
func BenchmarkRequest(b *testing.B) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":"0"}`) }))
	defer service.Close()
	asker, _ := onSocket(b, service.URL)
	source, release := asker.open(b.Context(), "x")
	defer release()
	var ways bases
	base, err := ways.get(connector.Network{})
	if err != nil {
		b.Fatal(err)
	}
	defer base.CloseIdleConnections()
	const calls = 400
	run := func(c *http.Client, authorization string) func() time.Duration {
		return func() time.Duration {
			began := time.Now()
			for range calls {
				req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, service.URL+"/folders/0", nil)
				if err != nil {
					b.Fatal(err)
				}
				if authorization != "" {
					req.Header.Set("Authorization", authorization)
				}
				resp, err := c.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			return time.Since(began)
		}
	}
	benchtest.Compare(b, benchtest.Bound{Ratio: 1.05, Added: 5 * time.Microsecond}, calls,
		run(&http.Client{Transport: base}, "Bearer t1"), run(connectorhttp.NewClient(source, base), ""))
}
