package host

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/boxconnection/connector/proto/connector"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

// How long a call may take. A call that reaches the service gets the
// connector's own HTTP time-outs (30 s) and some more; one that doesn't is
// answered from memory.
const (
	offlineTimeout = 10 * time.Second
	serviceTimeout = 45 * time.Second
	testTimeout    = 2 * time.Minute
)

// calls is the contract in the words' types.
type calls struct {
	client connectorv1.ConnectorServiceClient
}

func newCalls(conn grpc.ClientConnInterface) calls {
	return calls{connectorv1.NewConnectorServiceClient(conn)}
}

func (c calls) describe(ctx context.Context) (connector.Description, error) {
	ctx, cancel := context.WithTimeout(ctx, offlineTimeout)
	defer cancel()
	resp, err := c.client.Describe(ctx, &connectorv1.DescribeRequest{})
	if err != nil {
		return connector.Description{}, protoconv.ErrorFromStatus(err)
	}
	d, err := protoconv.DescriptionFromProto(resp)
	if err != nil {
		return connector.Description{}, err
	}
	return d, nil
}

func (c calls) validate(ctx context.Context, settings []byte) (connector.Diagnostics, error) {
	ctx, cancel := context.WithTimeout(ctx, offlineTimeout)
	defer cancel()
	resp, err := c.client.ValidateSettings(ctx, &connectorv1.ValidateSettingsRequest{Settings: settings})
	if err != nil {
		return nil, protoconv.ErrorFromStatus(err)
	}
	return protoconv.DiagnosticsFromProto(resp.GetDiagnostics()), nil
}

// begun is the answer to BeginAuthorization.
type begun struct {
	url     string
	pending []byte
	expires time.Time
}

func (c calls) begin(ctx context.Context, settings []byte, redirectURI, state string, now time.Time) (begun, error) {
	ctx, cancel := context.WithTimeout(ctx, offlineTimeout)
	defer cancel()
	resp, err := c.client.BeginAuthorization(ctx, &connectorv1.BeginAuthorizationRequest{
		Settings: settings, RedirectUri: redirectURI, State: state, Now: timestamppb.New(now),
	})
	if err != nil {
		return begun{}, protoconv.ErrorFromStatus(err)
	}
	b := begun{url: resp.GetAuthorizationUrl(), pending: resp.GetPending()}
	if resp.GetExpiresAt().IsValid() {
		b.expires = resp.GetExpiresAt().AsTime()
	}
	return b, nil
}

func (c calls) complete(ctx context.Context, cfg callConfig, pending []byte, callbackURL string, now time.Time, format uint32) (connector.Credential, connector.Diagnostics, error) {
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	resp, err := c.client.CompleteAuthorization(ctx, &connectorv1.CompleteAuthorizationRequest{
		Settings: cfg.settings, Network: cfg.network, Pending: pending, CallbackUrl: callbackURL, Now: timestamppb.New(now),
		CredentialFormat: format,
	})
	if err != nil {
		return connector.Credential{}, nil, protoconv.ErrorFromStatus(err)
	}
	cred, err := protoconv.CredentialFromProto(resp.GetCredential())
	if err == nil && cred.IsZero() {
		err = contractBroken("CompleteAuthorization answered without a credential")
	}
	return cred, protoconv.DiagnosticsFromProto(resp.GetWarnings()), err
}

func (c calls) identify(ctx context.Context, cfg callConfig, access *connector.Access) (connector.Account, error) {
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	resp, err := c.client.Identify(ctx, &connectorv1.IdentifyRequest{
		Settings: cfg.settings, Network: cfg.network, Access: protoconv.AccessToProto(access),
	})
	if err != nil {
		return connector.Account{}, protoconv.ErrorFromStatus(err)
	}
	account := protoconv.AccountFromProto(resp.GetAccount())
	if account.ID == "" {
		return account, contractBroken("Identify answered without an account ID")
	}
	return account, nil
}

// openRequest is what OpenSession is asked, beside the configuration.
type openRequest struct {
	credential connector.Credential
	validity   time.Duration
	refused    bool
	// deadline is until when the token request may be sent; zero where nothing
	// may be spent. within bounds the call then.
	deadline time.Time
	within   time.Duration
	now      time.Time
	// format is the one to write.
	format uint32
}

// opened is the answer to OpenSession; credential is zero if it is unchanged.
type opened struct {
	access     *connector.Access
	credential connector.Credential
}

func (c calls) open(ctx context.Context, cfg callConfig, r openRequest) (opened, error) {
	timeout := offlineTimeout
	req := &connectorv1.OpenSessionRequest{
		Settings: cfg.settings, Network: cfg.network, Credential: protoconv.CredentialToProto(r.credential),
		AccessRefused: r.refused, Now: timestamppb.New(r.now), CredentialFormat: r.format,
	}
	if r.validity > 0 {
		req.MinimumValidity = durationpb.New(r.validity)
	}
	if !r.deadline.IsZero() {
		timeout = r.within
		req.AllowRenew, req.Deadline = true, timestamppb.New(r.deadline)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := c.client.OpenSession(ctx, req)
	if err != nil {
		return opened{}, protoconv.ErrorFromStatus(err)
	}
	// The credential is read first: whatever else is wrong with the answer, a
	// renewed credential must not be thrown away with it.
	var o opened
	if o.credential, err = protoconv.CredentialFromProto(resp.GetCredential()); err != nil {
		return o, err
	}
	if !o.credential.IsZero() && !req.GetAllowRenew() {
		return opened{}, contractBroken("OpenSession renewed without being allowed to")
	}
	o.access, err = protoconv.AccessFromProto(resp.GetAccess())
	if err == nil && (o.access == nil || o.access.Token.IsZero()) {
		err = contractBroken("OpenSession answered without access")
	}
	return o, err
}

func (c calls) revoke(ctx context.Context, cfg callConfig, cred connector.Credential) error {
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	_, err := c.client.RevokeAuthorization(ctx, &connectorv1.RevokeAuthorizationRequest{
		Settings: cfg.settings, Network: cfg.network, Credential: protoconv.CredentialToProto(cred),
	})
	if err != nil {
		return protoconv.ErrorFromStatus(err)
	}
	return nil
}

func (c calls) narrow(ctx context.Context, cfg callConfig, access *connector.Access, scopes []string, resource string, now time.Time) (*connector.Access, error) {
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	resp, err := c.client.NarrowAccess(ctx, &connectorv1.NarrowAccessRequest{
		Settings: cfg.settings, Network: cfg.network, Access: protoconv.AccessToProto(access), Scopes: scopes, Resource: resource,
		Now: timestamppb.New(now),
	})
	if err != nil {
		return nil, protoconv.ErrorFromStatus(err)
	}
	narrow, err := protoconv.AccessFromProto(resp.GetAccess())
	if err != nil {
		return nil, err
	}
	if narrow == nil || narrow.Token.IsZero() || narrow.Token == access.Token {
		return nil, contractBroken("NarrowAccess answered without narrower access")
	}
	return narrow, nil
}

// test yields the checks as they come. The last pair carries the error, if
// any.
func (c calls) test(ctx context.Context, cfg callConfig, access *connector.Access, required []string) iter.Seq2[connector.Check, error] {
	return func(yield func(connector.Check, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, testTimeout)
		defer cancel()
		stream, err := c.client.TestConnection(ctx, &connectorv1.TestConnectionRequest{
			Settings: cfg.settings, Network: cfg.network, Access: protoconv.AccessToProto(access), RequiredScopes: required,
		})
		if err != nil {
			yield(connector.Check{}, protoconv.ErrorFromStatus(err))
			return
		}
		for {
			resp, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(connector.Check{}, protoconv.ErrorFromStatus(err))
				return
			}
			if !yield(protoconv.CheckFromProto(resp.GetCheck()), nil) {
				return
			}
		}
	}
}

// callConfig is config as it goes over the wire.
type callConfig struct {
	settings []byte
	network  *connectorv1.Network
}

func (h *Host) callConfig(c config) callConfig {
	return callConfig{settings: c.settings, network: protoconv.NetworkToProto(h.network(c.network))}
}

// network is the way to the service: the connection's own where it names one,
// else the host's. Certificates of its own alone leave the proxy as it is.
func (h *Host) network(own *connector.Network) connector.Network {
	if own == nil {
		return h.net
	}
	n := *own
	if n.ProxyURL.IsZero() && len(n.NoProxy) == 0 {
		n.ProxyURL, n.NoProxy = h.net.ProxyURL, h.net.NoProxy
	}
	return n
}

func contractBroken(what string) *connector.Diagnostic {
	return connector.Errorf(connector.PluginContractBroken, connector.OriginConnector, "The connector broke its contract: %s.", what).
		Suggest("Report it to the connector's author, or go back to the version before.")
}
