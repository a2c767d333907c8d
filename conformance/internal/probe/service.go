package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// Names of calls, as they stand in journals and rules.
const (
	OpenSession = "OpenSession"
	Begin       = "BeginAuthorization"
	Complete    = "CompleteAuthorization"
	Identify    = "Identify"
	Test        = "TestConnection"
	Validate    = "ValidateSettings"
)

// Names of the probe's settings.
const (
	SecretSetting = "secret"
	LabelSetting  = "label"
)

const (
	accessLasts = time.Hour
	signInLasts = 10 * time.Minute
	floodBytes  = 8 << 20
	connectorID = "connector-probe"
	currentForm = 1
	anAccount   = "probe-account"
)

// service is the probe's side of the contract.
type service struct {
	connectorv1.UnimplementedConnectorServiceServer
	folder string
	calls  atomic.Uint64
}

// grant is what a credential holds.
type grant struct {
	Generation uint64 `json:"generation"`
	Secret     string `json:"secret"`
	Token      string `json:"token"`
}

// call is one call under way.
type call struct {
	*service
	entry  Entry
	script *Script
	rule   Rule
}

// begin writes down a call and does what the script has for all kinds of it.
func (s *service) begin(ctx context.Context, e Entry) (*call, error) {
	e.Event, e.Number, e.Left = Called, s.calls.Add(1), -1
	if deadline, ok := ctx.Deadline(); ok {
		e.Left = time.Until(deadline).Milliseconds()
	}
	script, err := readScript(s.folder)
	if err != nil {
		return nil, err
	}
	if err := add(s.folder, e); err != nil {
		return nil, err
	}
	c := &call{service: s, entry: e, script: script, rule: script.rule(e.Call, e.Renew)}
	if wait := time.Duration(c.rule.DelayMS) * time.Millisecond; wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	switch c.rule.Do { //nolint:exhaustive // the others shape the answer
	case Hang:
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	case Crash:
		os.Exit(3)
	case Flood:
		line := append(bytes.Repeat([]byte("noise "), 100), '\n')
		for written := 0; written < floodBytes; written += 2 * len(line) {
			_, _ = os.Stderr.Write(line) // the host may have closed it
			_, _ = os.Stdout.Write(line)
		}
	case Dirty:
		return nil, c.fails(codes.Unavailable, &connectorv1.Diagnostic{
			Code: connectorv1.Code_CODE_SERVICE_UNAVAILABLE, Summary: "It \x1b[31mfails\x07 here.\x00\u202e", Suggestion: "Try\x1b]0;x\x07 again.",
		})
	case Bare:
		return nil, status.Error(codes.Unavailable, "a message with "+MessageMark+"1")
	case Later:
		return nil, c.fails(codes.Unavailable, &connectorv1.Diagnostic{
			Code: connectorv1.Code_CODE_SERVICE_UNAVAILABLE, Summary: "The service is down.", Suggestion: "Wait.",
			Disposition: connectorv1.Disposition_DISPOSITION_RETRY, RetryAfter: durationpb.New(LaterSeconds * time.Second),
		})
	}
	return c, nil
}

// answered writes down the answer.
func (c *call) answered(outcome string) error {
	e := c.entry
	e.Event, e.Outcome = Answered, outcome
	return add(c.folder, e)
}

// fails makes an error of a diagnostic.
func (c *call) fails(code codes.Code, d *connectorv1.Diagnostic) error {
	d.Severity, d.Origin = connectorv1.Severity_SEVERITY_ERROR, connectorv1.Origin_ORIGIN_SERVICE
	if err := c.answered(d.GetCode().String()); err != nil {
		return err
	}
	s, err := status.New(code, "The call failed.").WithDetails(d)
	if err != nil {
		return err
	}
	return s.Err()
}

// issue makes the next credential.
func (c *call) issue() (*connectorv1.Credential, *grant, error) {
	j, err := Read(c.folder)
	if err != nil {
		return nil, nil, err
	}
	g := &grant{Generation: j.generation() + 1, Secret: CredentialMark + rand.Text(), Token: token(j.generation() + 1)}
	data, err := json.Marshal(g)
	if err != nil {
		return nil, nil, err
	}
	e := c.entry
	e.Event, e.Generation, e.Sum = Issued, g.Generation, Fingerprint(string(data))
	if err := add(c.folder, e); err != nil {
		return nil, nil, err
	}
	if c.rule.Do == CrashAfter {
		os.Exit(3)
	}
	return &connectorv1.Credential{Format: currentForm, Data: data, AccessExpiresAt: timestamppb.New(time.Now().Add(accessLasts))}, g, nil
}

// Describe implements the contract.
func (s *service) Describe(ctx context.Context, _ *connectorv1.DescribeRequest) (*connectorv1.DescribeResponse, error) {
	c, err := s.begin(ctx, Entry{Call: "Describe"})
	if err != nil {
		return nil, err
	}
	replay := connectorv1.RenewalReplay_RENEWAL_REPLAY_UNTIL_USED
	if c.script.NeverReplay {
		replay = connectorv1.RenewalReplay_RENEWAL_REPLAY_NEVER
	}
	return &connectorv1.DescribeResponse{
		Id: connectorID, Title: "Probe", Version: "1.0.0", ContractVersion: 1,
		Capabilities: []connectorv1.Capability{connectorv1.Capability_CAPABILITY_AUTHORIZE, connectorv1.Capability_CAPABILITY_IDENTIFY},
		SignIns:      []connectorv1.SignIn{connectorv1.SignIn_SIGN_IN_AUTHORIZATION_CODE},
		Schema:       []byte(schema), Layout: []byte(layout), Checks: declared(),
		CredentialReads: []uint32{currentForm}, CredentialWrites: currentForm, RenewalReplay: replay,
	}, c.answered("OK")
}

// ValidateSettings implements the contract. A host that sends other settings
// than a form of the schema shows in its journal.
func (s *service) ValidateSettings(ctx context.Context, r *connectorv1.ValidateSettingsRequest) (*connectorv1.ValidateSettingsResponse, error) {
	c, err := s.begin(ctx, withSettings(Entry{Call: Validate}, r.GetSettings()))
	if err != nil {
		return nil, err
	}
	return &connectorv1.ValidateSettingsResponse{}, c.answered("OK")
}

// BeginAuthorization implements the contract.
func (s *service) BeginAuthorization(ctx context.Context, r *connectorv1.BeginAuthorizationRequest) (*connectorv1.BeginAuthorizationResponse, error) {
	e := withSettings(Entry{Call: Begin, State: Fingerprint(r.GetState()), StateLength: len(r.GetState())}, r.GetSettings())
	c, err := s.begin(ctx, e)
	if err != nil {
		return nil, err
	}
	q := url.Values{"state": {r.GetState()}, "redirect_uri": {r.GetRedirectUri()}}
	return &connectorv1.BeginAuthorizationResponse{
		AuthorizationUrl: AuthorizeURL + "?" + q.Encode(), Pending: []byte(PendingMark + Fingerprint(r.GetState())),
		ExpiresAt: timestamppb.New(since(r.GetNow()).Add(signInLasts)),
	}, c.answered("OK")
}

// CompleteAuthorization implements the contract.
func (s *service) CompleteAuthorization(ctx context.Context, r *connectorv1.CompleteAuthorizationRequest) (*connectorv1.CompleteAuthorizationResponse, error) {
	e := Entry{Call: Complete, Callback: Fingerprint(r.GetCallbackUrl())}
	if u, err := url.Parse(r.GetCallbackUrl()); err == nil {
		e.State = Fingerprint(u.Query().Get("state"))
	}
	c, err := s.begin(ctx, withSettings(e, r.GetSettings()))
	if err != nil {
		return nil, err
	}
	credential, _, err := c.issue()
	if err != nil {
		return nil, err
	}
	return &connectorv1.CompleteAuthorizationResponse{Credential: credential}, c.answered("OK")
}

// Identify implements the contract.
func (s *service) Identify(ctx context.Context, r *connectorv1.IdentifyRequest) (*connectorv1.IdentifyResponse, error) {
	c, err := s.begin(ctx, withAccess(withSettings(Entry{Call: Identify}, r.GetSettings()), r.GetAccess()))
	if err != nil {
		return nil, err
	}
	return &connectorv1.IdentifyResponse{Account: &connectorv1.Account{Id: anAccount, Login: "probe@example.com", Name: "Probe"}}, c.answered("OK")
}

// OpenSession implements the contract.
func (s *service) OpenSession(ctx context.Context, r *connectorv1.OpenSessionRequest) (*connectorv1.OpenSessionResponse, error) {
	e := withSettings(Entry{Call: OpenSession, Renew: r.GetAllowRenew()}, r.GetSettings())
	if d := r.GetDeadline(); d != nil {
		e.RenewLeft = time.Until(d.AsTime()).Milliseconds()
	}
	var g grant
	if data := r.GetCredential().GetData(); len(data) > 0 {
		_ = json.Unmarshal(data, &g) // what can't be read has generation 0
		e.Generation, e.Sum = g.Generation, Fingerprint(string(data))
	}
	before, err := Read(s.folder)
	if err != nil {
		return nil, err
	}
	c, err := s.begin(ctx, e)
	if err != nil {
		return nil, err
	}
	switch {
	case r.GetCredential() == nil:
		return nil, c.fails(codes.FailedPrecondition, &connectorv1.Diagnostic{Code: connectorv1.Code_CODE_SIGN_IN_REQUIRED, Summary: "Nobody has signed in."})
	case g.Generation > c.script.Spent && !r.GetAccessRefused():
		return &connectorv1.OpenSessionResponse{Access: access(&g)}, c.answered("OK")
	case !r.GetAllowRenew():
		return nil, c.fails(codes.FailedPrecondition, &connectorv1.Diagnostic{Code: connectorv1.Code_CODE_RENEWAL_REQUIRED, Summary: "The access is too old."})
	}
	last := before.generation()
	if g.Generation != last && (g.Generation+1 != last || before.used(last) || c.script.NeverReplay) {
		return nil, c.fails(codes.FailedPrecondition, &connectorv1.Diagnostic{
			Code: connectorv1.Code_CODE_GRANT_INVALID, Summary: "The sign-in has ended.", Suggestion: "Sign in again.",
			Disposition: connectorv1.Disposition_DISPOSITION_SIGN_IN_AGAIN,
		})
	}
	credential, renewed, err := c.issue()
	if err != nil {
		return nil, err
	}
	answer := &connectorv1.OpenSessionResponse{Access: access(renewed), Credential: credential}
	if c.rule.Do == NoAccess {
		answer.Access = nil
	}
	return answer, c.answered("OK")
}

// TestConnection implements the contract.
func (s *service) TestConnection(r *connectorv1.TestConnectionRequest, stream grpc.ServerStreamingServer[connectorv1.TestConnectionResponse]) error {
	c, err := s.begin(stream.Context(), withAccess(withSettings(Entry{Call: Test}, r.GetSettings()), r.GetAccess()))
	if err != nil {
		return err
	}
	list := declared()
	for i, d := range list {
		state := connectorv1.CheckStatus_CHECK_STATUS_PASSED
		if i == len(list)-1 && c.rule.Do == Missing {
			continue
		}
		if i == len(list)-1 && c.rule.Do == Unsupported {
			state = connectorv1.CheckStatus_CHECK_STATUS_NOT_SUPPORTED
		}
		result := &connectorv1.Check{
			Id: d.GetId(), Title: d.GetTitle(), SideEffect: d.GetSideEffect(), DependsOn: d.GetDependsOn(), Status: state, Duration: durationpb.New(time.Millisecond),
		}
		if err := stream.Send(&connectorv1.TestConnectionResponse{Check: result}); err != nil {
			return err
		}
	}
	return c.answered("OK")
}

// NarrowAccess isn't declared: that it came is written down.
func (s *service) NarrowAccess(ctx context.Context, r *connectorv1.NarrowAccessRequest) (*connectorv1.NarrowAccessResponse, error) {
	return nil, s.undeclared(ctx, "NarrowAccess", r.GetSettings())
}

// RevokeAuthorization isn't declared either.
func (s *service) RevokeAuthorization(ctx context.Context, r *connectorv1.RevokeAuthorizationRequest) (*connectorv1.RevokeAuthorizationResponse, error) {
	return nil, s.undeclared(ctx, "RevokeAuthorization", r.GetSettings())
}

func (s *service) undeclared(ctx context.Context, name string, settings []byte) error {
	c, err := s.begin(ctx, withSettings(Entry{Call: name}, settings))
	if err != nil {
		return err
	}
	return c.fails(codes.Unimplemented, &connectorv1.Diagnostic{Code: connectorv1.Code_CODE_UNSUPPORTED, Summary: "The probe has no such call."})
}

func declared() []*connectorv1.CheckDeclaration {
	return []*connectorv1.CheckDeclaration{
		{Id: "reached", Title: "The service can be reached", SideEffect: connectorv1.SideEffect_SIDE_EFFECT_READ},
		{Id: "listed", Title: "Things can be listed", DependsOn: []string{"reached"}, SideEffect: connectorv1.SideEffect_SIDE_EFFECT_READ},
	}
}

func access(g *grant) *connectorv1.Access {
	now := time.Now()
	return &connectorv1.Access{
		Token: g.Token, TokenType: "Bearer", IssuedAt: timestamppb.New(now.Add(-time.Second)), ExpiresAt: timestamppb.New(now.Add(accessLasts)),
		Endpoints: map[string]string{"api": "http://127.0.0.1:9/api"},
	}
}

// withSettings notes the settings.
func withSettings(e Entry, settings []byte) Entry {
	var values map[string]any
	_ = json.Unmarshal(settings, &values) // what can't be read is noted as nothing
	e.Settings = Fingerprint(text(values[LabelSetting]))
	e.Secret = Fingerprint(text(values[SecretSetting]))
	return e
}

// withAccess notes which generation's access came.
func withAccess(e Entry, a *connectorv1.Access) Entry {
	e.HostGeneration = a.GetGeneration()
	e.Generation = GenerationOf(a.GetToken())
	return e
}

// token makes one that tells its generation.
func token(generation uint64) string {
	return AccessMark + strconv.FormatUint(generation, 10) + "-" + rand.Text()
}

// GenerationOf is that of a token; 0 for another text.
func GenerationOf(token string) uint64 {
	rest, ok := strings.CutPrefix(token, AccessMark)
	if !ok {
		return 0
	}
	digits, _, _ := strings.Cut(rest, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func since(now *timestamppb.Timestamp) time.Time {
	if now == nil {
		return time.Now()
	}
	return now.AsTime()
}

func text(v any) string {
	s, _ := v.(string)
	return s
}
