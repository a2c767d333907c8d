package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/proto/connector"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

// service is a connector with its service in one: it issues pairs of access
// and refresh tokens, whose refresh token can be spent once. The credential's
// bytes are the pair's number.
type service struct {
	connectorv1.UnimplementedConnectorServiceServer

	mu sync.Mutex
	// pair is the newest pair; alive are the refresh tokens that can be spent.
	pair    int
	alive   map[int]bool
	revoked []int
	spent   []int // every refresh token that was sent, in order
	opens   int
	account connector.Account
	secrets []string // the client secrets seen by renewals

	life time.Duration
	// endpoint is the API's base URL in the access.
	endpoint string
	// replay: a spent refresh token gives the same pair again.
	replay bool
	// before is called before a renewal is answered, outside the lock.
	before func(n int)
	// fail is the error of the next calls, by method.
	fail map[string][]error
	// checks is what TestConnection streams.
	checks func(access *connector.Access) []connector.Check
	// scopes are those that were granted; nil for unknown.
	scopes []string
	// narrowings are what access was narrowed to, in order.
	narrowings []string
}

func newService() *service {
	return &service{
		alive: map[int]bool{}, life: time.Hour, account: connector.Account{ID: "7", Login: "ann@example.com"},
		endpoint: "https://service.example", fail: map[string][]error{},
	}
}

// conn is the service as a host.Plugin.
type conn struct {
	grpc.ClientConnInterface
}

func (conn) Name() string          { return "fake" }
func (conn) Digest() launch.Digest { return launch.Digest{} }

// serve runs the service on a connection in memory.
func (s *service) serve(t testing.TB) conn {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	connectorv1.RegisterConnectorServiceServer(server, s)
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(l) })
	client, err := grpc.NewClient("passthrough:///fake",
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

const fakeSchema = `{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"Fake","type":"object","additionalProperties":false,
"properties":{
 "url":{"type":"string","title":"URL","format":"uri","x-destination":true,"default":"https://service.example"},
 "client_id":{"type":"string","title":"Client ID","minLength":1},
 "client_secret":{"type":"string","title":"Client secret","format":"password","writeOnly":true,"x-required":true}},
"required":["client_id"]}`

const fakeLayout = `{"type":"Categorization","elements":[{"type":"Category","label":"Connection","elements":[
 {"type":"Control","scope":"#/properties/url"},
 {"type":"Control","scope":"#/properties/client_id"},
 {"type":"Control","scope":"#/properties/client_secret","options":{"format":"password"}}]}]}`

func (s *service) Describe(context.Context, *connectorv1.DescribeRequest) (*connectorv1.DescribeResponse, error) {
	return protoconv.DescriptionToProto(connector.Description{
		ID: "fake", Title: "Fake", Version: "1", SignIns: []connector.SignIn{connector.SignInAuthorizationCode},
		Capabilities: []connector.Capability{
			connector.CapabilityAuthorize, connector.CapabilityIdentify, connector.CapabilityRevoke, connector.CapabilityNarrow,
		},
		Schema: json.RawMessage(fakeSchema), Layout: json.RawMessage(fakeLayout),
		Checks: []connector.CheckDeclaration{
			{ID: "reachable", Title: "Reachable"}, {ID: "token", Title: "Token", DependsOn: []string{"reachable"}},
		},
		CredentialReads: []uint32{1}, CredentialWrites: 1, RenewalReplay: connector.ReplayUntilUsed,
	}), nil
}

func (s *service) ValidateSettings(context.Context, *connectorv1.ValidateSettingsRequest) (*connectorv1.ValidateSettingsResponse, error) {
	return &connectorv1.ValidateSettingsResponse{}, nil
}

func (s *service) BeginAuthorization(_ context.Context, r *connectorv1.BeginAuthorizationRequest) (*connectorv1.BeginAuthorizationResponse, error) {
	q := url.Values{"state": {r.GetState()}, "redirect_uri": {r.GetRedirectUri()}}
	return &connectorv1.BeginAuthorizationResponse{
		AuthorizationUrl: "https://service.example/authorize?" + q.Encode(), Pending: []byte("pending"),
		ExpiresAt: timestamppb.New(r.GetNow().AsTime().Add(time.Minute)),
	}, nil
}

func (s *service) CompleteAuthorization(_ context.Context, r *connectorv1.CompleteAuthorizationRequest) (*connectorv1.CompleteAuthorizationResponse, error) {
	if err := s.failure("CompleteAuthorization"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &connectorv1.CompleteAuthorizationResponse{Credential: s.issue(r.GetNow().AsTime())}, nil
}

// issue makes a new pair.
func (s *service) issue(now time.Time) *connectorv1.Credential {
	s.pair++
	s.alive[s.pair] = true
	return s.credential(s.pair, now)
}

func (s *service) credential(n int, now time.Time) *connectorv1.Credential {
	data, _ := json.Marshal(stored{n, now, now.Add(s.life)})
	return protoconv.CredentialToProto(connector.Credential{
		Format: 1, Data: connector.NewSecret(string(data)), AccessExpiresAt: now.Add(s.life), LapsesAt: now.Add(60 * 24 * time.Hour),
	})
}

type stored struct {
	Pair            int
	Issued, Expires time.Time
}

func (s *service) access(c stored) *connectorv1.Access {
	return protoconv.AccessToProto(&connector.Access{
		Token: connector.NewSecret(fmt.Sprintf("access-%d", c.Pair)), Type: "Bearer", IssuedAt: c.Issued, ExpiresAt: c.Expires,
		RenewAt: c.Expires.Add(-c.Expires.Sub(c.Issued) / 10), Endpoints: map[string]string{"api": s.endpoint},
		Refusal: connector.TokenRefusal{EmptyBody: true}, Scopes: connector.Scopes{Known: s.scopes != nil, Values: s.scopes},
	})
}

func (s *service) OpenSession(_ context.Context, r *connectorv1.OpenSessionRequest) (*connectorv1.OpenSessionResponse, error) {
	s.mu.Lock()
	s.opens++
	s.mu.Unlock()
	if r.GetCredential() == nil {
		return nil, fail(connector.Errorf(connector.SignInRequired, connector.OriginConnector, "No sign-in yet.").With(connector.SignInAgain))
	}
	var c stored
	if err := json.Unmarshal(r.GetCredential().GetData(), &c); err != nil {
		return nil, err
	}
	now := r.GetNow().AsTime()
	margin := r.GetMinimumValidity().AsDuration()
	if margin == 0 {
		margin = c.Expires.Sub(c.Issued) / 10
	}
	if !r.GetAccessRefused() && c.Expires.Sub(now) > margin {
		return &connectorv1.OpenSessionResponse{Access: s.access(c)}, nil
	}
	if !r.GetAllowRenew() {
		return nil, fail(connector.Errorf(connector.RenewalRequired, connector.OriginConnector, "Too old."))
	}
	return s.renew(c.Pair, now, r)
}

func (s *service) renew(n int, now time.Time, r *connectorv1.OpenSessionRequest) (*connectorv1.OpenSessionResponse, error) {
	s.mu.Lock()
	s.spent = append(s.spent, n)
	s.secrets = append(s.secrets, string(r.GetSettings()))
	before := s.before
	s.mu.Unlock()
	if before != nil {
		before(n)
	}
	if err := s.failure("OpenSession"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.alive[n] {
		return nil, fail(connector.Errorf(connector.GrantInvalid, connector.OriginService, "The grant is dead.").With(connector.SignInAgain))
	}
	if s.replay && n < s.pair {
		return s.answer(s.pair, now), nil
	}
	if !s.replay {
		delete(s.alive, n)
	}
	s.issue(now)
	return s.answer(s.pair, now), nil
}

func (s *service) answer(n int, now time.Time) *connectorv1.OpenSessionResponse {
	return &connectorv1.OpenSessionResponse{
		Access: s.access(stored{n, now, now.Add(s.life)}), Credential: s.credential(n, now),
	}
}

func (s *service) Identify(context.Context, *connectorv1.IdentifyRequest) (*connectorv1.IdentifyResponse, error) {
	if err := s.failure("Identify"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &connectorv1.IdentifyResponse{Account: protoconv.AccountToProto(s.account)}, nil
}

func (s *service) RevokeAuthorization(_ context.Context, r *connectorv1.RevokeAuthorizationRequest) (*connectorv1.RevokeAuthorizationResponse, error) {
	if err := s.failure("RevokeAuthorization"); err != nil {
		return nil, err
	}
	var c stored
	if err := json.Unmarshal(r.GetCredential().GetData(), &c); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.alive, c.Pair)
	s.revoked = append(s.revoked, c.Pair)
	return &connectorv1.RevokeAuthorizationResponse{}, nil
}

func (s *service) NarrowAccess(_ context.Context, r *connectorv1.NarrowAccessRequest) (*connectorv1.NarrowAccessResponse, error) {
	if err := s.failure("NarrowAccess"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.narrowings = append(s.narrowings, strings.Join(r.GetScopes(), " ")+" "+r.GetResource())
	s.mu.Unlock()
	a := r.GetAccess()
	a.Token += "-narrow"
	return &connectorv1.NarrowAccessResponse{Access: a}, nil
}

func (s *service) TestConnection(r *connectorv1.TestConnectionRequest, stream grpc.ServerStreamingServer[connectorv1.TestConnectionResponse]) error {
	if err := s.failure("TestConnection"); err != nil {
		return err
	}
	access, err := protoconv.AccessFromProto(r.GetAccess())
	if err != nil {
		return err
	}
	checks := []connector.Check{{ID: "reachable", Status: connector.CheckPassed}, {ID: "token", Status: connector.CheckPassed}}
	if s.checks != nil {
		checks = s.checks(access)
	}
	for _, c := range checks {
		if err := stream.Send(&connectorv1.TestConnectionResponse{Check: protoconv.CheckToProto(c)}); err != nil {
			return err
		}
	}
	return nil
}

// fails makes the next calls of a method fail, one after the other.
func (s *service) fails(method string, errs ...error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail[method] = append(s.fail[method], errs...)
}

func (s *service) failure(method string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.fail[method]
	if len(list) == 0 {
		return nil
	}
	s.fail[method] = list[1:]
	return fail(list[0])
}

// kill ends every grant at the service.
func (s *service) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.alive)
}

// renewals is how many refresh tokens were sent.
func (s *service) renewals() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.spent)
}

func fail(err error) error {
	return protoconv.StatusFromError(err, connector.OriginConnector).Err()
}
