package protoconv

import (
	"maps"
	"slices"

	"github.com/boxconnection/connector/proto/connector"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// AccessToProto writes access, token included; nil stays nil.
func AccessToProto(a *connector.Access) *connectorv1.Access {
	if a == nil {
		return nil
	}
	p := &connectorv1.Access{
		Token: a.Token.Reveal(), TokenType: a.Type,
		IssuedAt: Timestamp(a.IssuedAt), ExpiresAt: Timestamp(a.ExpiresAt), RenewAt: Timestamp(a.RenewAt),
		Endpoints: maps.Clone(a.Endpoints), Headers: maps.Clone(a.Headers),
		Generation: a.Generation,
	}
	if a.Scopes.Known {
		p.Scopes = &connectorv1.ScopeList{Values: slices.Clone(a.Scopes.Values)}
	}
	if len(a.Refusal.ChallengeErrors) > 0 || a.Refusal.EmptyBody {
		p.Refusal = &connectorv1.TokenRefusal{
			ChallengeErrors: slices.Clone(a.Refusal.ChallengeErrors), EmptyBody: a.Refusal.EmptyBody,
		}
	}
	return p
}

// AccessFromProto reads access; nil stays nil. It fails with a
// [*MalformedError].
func AccessFromProto(p *connectorv1.Access) (*connector.Access, error) {
	if p == nil {
		return nil, nil
	}
	issued, err := Time(p.GetIssuedAt(), "access.issued_at")
	if err != nil {
		return nil, err
	}
	expires, err := Time(p.GetExpiresAt(), "access.expires_at")
	if err != nil {
		return nil, err
	}
	renew, err := Time(p.GetRenewAt(), "access.renew_at")
	if err != nil {
		return nil, err
	}
	a := &connector.Access{
		Token: connector.NewSecret(p.GetToken()), Type: p.GetTokenType(),
		IssuedAt: issued, ExpiresAt: expires, RenewAt: renew,
		Endpoints: maps.Clone(p.GetEndpoints()), Headers: maps.Clone(p.GetHeaders()),
		Generation: p.GetGeneration(),
		Refusal: connector.TokenRefusal{
			ChallengeErrors: slices.Clone(p.GetRefusal().GetChallengeErrors()),
			EmptyBody:       p.GetRefusal().GetEmptyBody(),
		},
	}
	if p.GetScopes() != nil {
		a.Scopes = connector.Scopes{Known: true, Values: slices.Clone(p.GetScopes().GetValues())}
	}
	return a, nil
}
