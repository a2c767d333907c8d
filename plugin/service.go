package plugin

import (
	"context"
	"log/slog"
	"time"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

// service is the wire's side of a [Server].
type service struct {
	connectorv1.UnimplementedConnectorServiceServer
	*Server
}

// Describe answers from the description that was made at the start.
func (s *service) Describe(context.Context, *connectorv1.DescribeRequest) (*connectorv1.DescribeResponse, error) {
	return protoconv.DescriptionToProto(*s.description), nil
}

// ValidateSettings finds what is wrong with settings, and fails only if the
// schema does.
func (s *service) ValidateSettings(_ context.Context, p *connectorv1.ValidateSettingsRequest) (*connectorv1.ValidateSettingsResponse, error) {
	_, problems, err := s.validate(p.GetSettings(), false)
	if err != nil {
		return nil, err
	}
	return &connectorv1.ValidateSettingsResponse{Diagnostics: protoconv.DiagnosticsToProto(problems)}, nil
}

// BeginAuthorization makes the URL for the browser.
func (s *service) BeginAuthorization(ctx context.Context, p *connectorv1.BeginAuthorizationRequest) (*connectorv1.BeginAuthorizationResponse, error) {
	a, ok := s.connector.(Authorizer)
	if !ok {
		return nil, s.unsupported(connector.CapabilityAuthorize)
	}
	if p.GetState() == "" {
		return nil, misuse("it has no state")
	}
	if err := checkRedirectURI(p.GetRedirectUri()); err != nil {
		return nil, err
	}
	now, err := clock(p.GetNow())
	if err != nil {
		return nil, err
	}
	settings, err := s.settings(p.GetSettings())
	if err != nil {
		return nil, err
	}
	req := BeginRequest{
		Settings: settings, RedirectURI: p.GetRedirectUri(), State: connector.NewSecret(p.GetState()), Now: now,
	}
	begun, err := a.BeginAuthorization(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := checkBegun(begun, req); err != nil {
		return nil, err
	}
	return &connectorv1.BeginAuthorizationResponse{
		AuthorizationUrl: begun.URL, Pending: []byte(begun.Pending.Reveal()), ExpiresAt: protoconv.Timestamp(begun.ExpiresAt),
	}, nil
}

// CompleteAuthorization turns the callback into a credential.
func (s *service) CompleteAuthorization(ctx context.Context, p *connectorv1.CompleteAuthorizationRequest) (*connectorv1.CompleteAuthorizationResponse, error) {
	a, ok := s.connector.(Authorizer)
	if !ok {
		return nil, s.unsupported(connector.CapabilityAuthorize)
	}
	if err := checkCallback(p.GetCallbackUrl(), p.GetPending()); err != nil {
		return nil, err
	}
	now, err := clock(p.GetNow())
	if err != nil {
		return nil, err
	}
	format, err := s.format(p.GetCredentialFormat())
	if err != nil {
		return nil, err
	}
	settings, err := s.settings(p.GetSettings())
	if err != nil {
		return nil, err
	}
	done, err := a.CompleteAuthorization(ctx, CompleteRequest{
		Settings: settings, Network: protoconv.NetworkFromProto(p.GetNetwork()),
		Pending: connector.NewSecret(string(p.GetPending())), CallbackURL: connector.NewSecret(p.GetCallbackUrl()), Now: now, Format: format,
	})
	if err != nil {
		return nil, err
	}
	if err := s.checkCredential(done.Credential, format); err != nil {
		return nil, err
	}
	return &connectorv1.CompleteAuthorizationResponse{
		Credential: protoconv.CredentialToProto(done.Credential), Warnings: protoconv.DiagnosticsToProto(done.Warnings),
	}, nil
}

// Identify tells whose access it is.
func (s *service) Identify(ctx context.Context, p *connectorv1.IdentifyRequest) (*connectorv1.IdentifyResponse, error) {
	i, ok := s.connector.(Identifier)
	if !ok {
		return nil, s.unsupported(connector.CapabilityIdentify)
	}
	access, err := access(p.GetAccess())
	if err != nil {
		return nil, err
	}
	settings, err := s.settings(p.GetSettings())
	if err != nil {
		return nil, err
	}
	account, err := i.Identify(ctx, IdentifyRequest{
		Settings: settings, Network: protoconv.NetworkFromProto(p.GetNetwork()), Access: access,
	})
	if err != nil {
		return nil, err
	}
	if err := checkAccount(account); err != nil {
		return nil, err
	}
	return &connectorv1.IdentifyResponse{Account: protoconv.AccountToProto(account)}, nil
}

// OpenSession turns a credential into access.
func (s *service) OpenSession(ctx context.Context, p *connectorv1.OpenSessionRequest) (*connectorv1.OpenSessionResponse, error) {
	req, err := s.openRequest(p)
	if err != nil {
		return nil, err
	}
	opened, err := s.connector.Open(ctx, req)
	if err != nil {
		return nil, err
	}
	if opened.Credential != nil {
		if !req.AllowRenew {
			return nil, fault("it renewed without being allowed to")
		}
		if err := s.checkCredential(*opened.Credential, req.Format); err != nil {
			return nil, err
		}
	}
	answer := &connectorv1.OpenSessionResponse{}
	if opened.Credential != nil {
		answer.Credential = protoconv.CredentialToProto(*opened.Credential)
	}
	if err := checkAccess(opened.Access); err != nil {
		if opened.Credential == nil {
			return nil, err
		}
		// The old credential may be spent, so the new one must reach the store
		// whatever else is wrong. The next call tells what that is.
		slog.ErrorContext(ctx, "the access that came with a renewal was dropped", "reason", err.Error())
		return answer, nil
	}
	answer.Access = protoconv.AccessToProto(opened.Access)
	answer.Access.Generation = 0
	return answer, nil
}

func (s *service) openRequest(p *connectorv1.OpenSessionRequest) (OpenRequest, error) {
	req := OpenRequest{
		Network: protoconv.NetworkFromProto(p.GetNetwork()), AllowRenew: p.GetAllowRenew(), AccessRefused: p.GetAccessRefused(),
	}
	var err error
	if req.MinValidity, err = protoconv.Duration(p.GetMinimumValidity(), "minimum_validity"); err != nil {
		return req, misuse("%v", err)
	}
	if req.Deadline, err = protoconv.Time(p.GetDeadline(), "deadline"); err != nil {
		return req, misuse("%v", err)
	}
	if req.AllowRenew && req.Deadline.IsZero() {
		return req, misuse("it allows a renewal without a deadline")
	}
	if req.Now, err = clock(p.GetNow()); err != nil {
		return req, err
	}
	if req.Format, err = s.format(p.GetCredentialFormat()); err != nil {
		return req, err
	}
	if req.Credential, err = s.credential(p.GetCredential(), false); err != nil {
		return req, err
	}
	req.Settings, err = s.settings(p.GetSettings())
	return req, err
}

// NarrowAccess makes access with fewer rights, which ends with its parent.
func (s *service) NarrowAccess(ctx context.Context, p *connectorv1.NarrowAccessRequest) (*connectorv1.NarrowAccessResponse, error) {
	n, ok := s.connector.(Narrower)
	if !ok {
		return nil, s.unsupported(connector.CapabilityNarrow)
	}
	whole, err := access(p.GetAccess())
	if err != nil {
		return nil, err
	}
	if len(p.GetScopes()) == 0 && p.GetResource() == "" {
		return nil, misuse("it names neither scopes nor a resource")
	}
	settings, err := s.settings(p.GetSettings())
	if err != nil {
		return nil, err
	}
	now, err := clock(p.GetNow())
	if err != nil {
		return nil, err
	}
	narrowed, err := n.Narrow(ctx, NarrowRequest{
		Settings: settings, Network: protoconv.NetworkFromProto(p.GetNetwork()), Access: whole,
		Scopes: p.GetScopes(), Resource: p.GetResource(), Now: now,
	})
	if err != nil {
		return nil, err
	}
	if err := checkAccess(narrowed); err != nil {
		return nil, err
	}
	if err := checkNarrowed(narrowed, whole); err != nil {
		return nil, err
	}
	answer := protoconv.AccessToProto(narrowed)
	answer.Generation = 0
	if !whole.ExpiresAt.IsZero() && (narrowed.ExpiresAt.IsZero() || narrowed.ExpiresAt.After(whole.ExpiresAt)) {
		answer.ExpiresAt = protoconv.Timestamp(whole.ExpiresAt)
	}
	return &connectorv1.NarrowAccessResponse{Access: answer}, nil
}

// RevokeAuthorization takes a grant back.
func (s *service) RevokeAuthorization(ctx context.Context, p *connectorv1.RevokeAuthorizationRequest) (*connectorv1.RevokeAuthorizationResponse, error) {
	r, ok := s.connector.(Revoker)
	if !ok {
		return nil, s.unsupported(connector.CapabilityRevoke)
	}
	credential, err := s.credential(p.GetCredential(), true)
	if err != nil {
		return nil, err
	}
	settings, err := s.settings(p.GetSettings())
	if err != nil {
		return nil, err
	}
	err = r.Revoke(ctx, RevokeRequest{
		Settings: settings, Network: protoconv.NetworkFromProto(p.GetNetwork()), Credential: credential,
	})
	if err != nil {
		return nil, err
	}
	return &connectorv1.RevokeAuthorizationResponse{}, nil
}

// TestConnection streams the checks, completed from their declarations.
func (s *service) TestConnection(p *connectorv1.TestConnectionRequest, stream connectorv1.ConnectorService_TestConnectionServer) error {
	ctx := stream.Context()
	req := TestRequest{Network: protoconv.NetworkFromProto(p.GetNetwork()), RequiredScopes: p.GetRequiredScopes()}
	var err error
	if p.GetAccess() != nil {
		if req.Access, err = access(p.GetAccess()); err != nil {
			return err
		}
	}
	if req.Settings, err = s.settings(p.GetSettings()); err != nil {
		return err
	}
	ctx, cancel := leaveTime(ctx)
	defer cancel()
	if len(req.RequiredScopes) > handshake.MaxChecks {
		return misuse("it requires more than %d scopes", handshake.MaxChecks)
	}
	report := newReport(s.description.Checks)
	for check := range s.connector.Test(ctx, req) {
		missed, err := report.add(&check)
		if err != nil {
			return err
		}
		for _, c := range append(missed, check) {
			if err := stream.Send(&connectorv1.TestConnectionResponse{Check: protoconv.CheckToProto(c)}); err != nil {
				return err
			}
		}
	}
	for _, c := range report.rest() {
		if err := stream.Send(&connectorv1.TestConnectionResponse{Check: protoconv.CheckToProto(c)}); err != nil {
			return err
		}
	}
	return nil
}

// leaveTime ends a test a little before its caller stops listening, so that
// the caller still learns which checks weren't made.
func leaveTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	margin := min(time.Until(deadline)/10, time.Second)
	return context.WithDeadline(ctx, deadline.Add(-margin))
}
