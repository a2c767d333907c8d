package host_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

const (
	openConnections = 100_000
	mostBytes       = 3 << 10
)

// An engine that holds 100,000 connections open, each with access in memory
// (tokens of 64 bytes, the same settings), pays at most 3 KB of heap for each,
// and no goroutine.
func TestOpenConnectionsAreSmall(t *testing.T) { //nolint:paralleltest // it measures the process
	h, err := host.Open(synthetic{}, open{}, &events{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if _, err := h.Load(t.Context(), direct{}); err != nil {
		t.Fatal(err)
	}
	tenant := h.Tenant("local", "", "tester")
	use := func(name string) *host.Connection {
		c, err := tenant.Connection(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if token, err := access(t, c, connector.AccessRequest{}); err != nil || len(token) != 64 {
			t.Fatalf("access of %d bytes, %v", len(token), err)
		}
		return c
	}
	use("warm") // what is made once doesn't count
	connections := make([]*host.Connection, openConnections)
	heap, goroutines := inUse()
	for i := range connections {
		connections[i] = use(fmt.Sprintf("connection-%06d", i))
	}
	after, running := inUse()
	each := (int64(after) - int64(heap)) / openConnections
	t.Logf("%d connections: %d bytes and %.4f goroutines each", openConnections, each, float64(running-goroutines)/openConnections)
	if each > mostBytes {
		t.Errorf("a connection takes %d bytes, want %d at most", each, mostBytes)
	}
	if running > goroutines+10 {
		t.Errorf("%d goroutines more", running-goroutines)
	}
	if token, err := access(t, connections[openConnections/2], connector.AccessRequest{}); err != nil || token == "" {
		t.Error(err)
	}
}

// inUse is the heap after a collection, and the number of goroutines.
func inUse() (heap uint64, goroutines int) {
	var m runtime.MemStats
	for range 3 { // what the first one finds unused, finalisers included, the next ones free
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, runtime.NumGoroutine()
}

// synthetic is a store that holds a signed-in connection of every name, whose
// ID is its name, and keeps nothing.
type synthetic struct{ store.Store }

var sharedSettings = settings("s3cret")

func (synthetic) Now(context.Context) (time.Time, error) { return time.Now(), nil }

func (synthetic) Identity(context.Context) (store.Identity, error) { return store.Identity{}, nil }

func (synthetic) Get(_ context.Context, key store.Key) (*store.Record, error) {
	now := time.Now()
	key.Connection = strings.Clone(key.Connection) // as one that was read is
	return &store.Record{
		Key: key, Revision: 1, Generation: 1, State: store.StateSaved, Name: key.Connection, Connector: "fake",
		SettingsRevision: 1, OpenedWith: 1, CredentialFormat: 1, RenewedAt: now, AccessExpiresAt: now.Add(time.Hour),
		Sealed: map[store.Field][]byte{
			store.FieldSettings:   sharedSettings,
			store.FieldCredential: fmt.Appendf(nil, `{"format":1,"data":%q}`, fmt.Sprintf("%064s", key.Connection)),
		},
	}, nil
}

func (s synthetic) List(ctx context.Context, q store.Query) ([]store.Listed, error) {
	r, err := s.Get(ctx, store.Key{Owner: q.Owner, Connection: q.Name, Environment: q.Environment})
	return []store.Listed{{Record: r, Key: r.Key}}, err
}

// open is a sealer that leaves values as they are.
type open struct{}

func (open) Seal(_ context.Context, _ store.Key, _ store.Field, plain []byte) ([]byte, error) {
	return plain, nil
}

func (open) Open(_ context.Context, _ store.Key, _ store.Field, sealed []byte) ([]byte, error) {
	return sealed, nil
}

// direct is a connector without a process. Its credential is its access token.
type direct struct{}

func (direct) Name() string          { return "fake" }
func (direct) Digest() launch.Digest { return launch.Digest{} }

func (direct) Invoke(ctx context.Context, method string, in, out any, _ ...grpc.CallOption) error {
	var answer proto.Message
	var err error
	switch {
	case strings.HasSuffix(method, "/Describe"):
		answer, err = newService().Describe(ctx, nil)
	default:
		now := time.Now()
		answer = &connectorv1.OpenSessionResponse{Access: protoconv.AccessToProto(&connector.Access{
			Token: connector.NewSecret(string(in.(*connectorv1.OpenSessionRequest).GetCredential().GetData())), Type: "Bearer",
			IssuedAt: now, ExpiresAt: now.Add(time.Hour), RenewAt: now.Add(50 * time.Minute),
			Endpoints: map[string]string{"api": "https://api.service.example/2.0", "upload": "https://upload.service.example/api/2.0"},
			Refusal:   connector.TokenRefusal{ChallengeErrors: []string{"invalid_token"}, EmptyBody: true},
		})}
	}
	if err != nil {
		return err
	}
	wire, err := proto.Marshal(answer) // strings of its own, as from a process
	if err != nil {
		return err
	}
	return proto.Unmarshal(wire, out.(proto.Message))
}

func (direct) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, fmt.Errorf("no streams")
}
