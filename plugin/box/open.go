package box

import (
	"context"
	"time"

	"golang.org/x/oauth2"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

// Open hands out the access in the credential, or renews it. See
// [plugin.Connector] for what it may do, and expiry for when a renewal is due.
// The new token isn't used: Box would retire the old pair at its first use,
// before the host has stored the new one.
func (c *Connector) Open(ctx context.Context, req plugin.OpenRequest) (plugin.Opened, error) {
	clock := c.hostClock(req.Now)
	s, err := load(req.Settings)
	if err != nil {
		return plugin.Opened{}, err
	}
	g, err := unseal(req.Credential)
	if err != nil {
		return plugin.Opened{}, err
	}
	if !req.AccessRefused && g.lasts(clock(), req.MinValidity) {
		return plugin.Opened{Access: g.access(s)}, nil
	}
	if !req.AllowRenew {
		return plugin.Opened{}, connector.Errorf(connector.RenewalRequired, connector.OriginConnector,
			"The access is too old, and renewing it wasn't allowed in this call.").
			Suggest("Ask again with permission to renew.")
	}
	renewed, err := c.renew(ctx, req, s, g.RefreshToken, clock)
	if err != nil {
		return plugin.Opened{}, err
	}
	if renewed.RefreshToken == "" {
		renewed.RefreshToken = g.RefreshToken // the service doesn't rotate, or not this time
	}
	if renewed.Scope == nil {
		renewed.Scope = g.Scope // RFC 6749, section 6: absent means unchanged
	}
	credential, err := renewed.seal()
	if err != nil {
		return plugin.Opened{}, err
	}
	return plugin.Opened{Access: renewed.access(s), Credential: &credential}, nil
}

// lasts reports whether the access is good for minValidity more, or without
// one, whether its renewal isn't due yet.
func (g *grant) lasts(now time.Time, minValidity time.Duration) bool {
	if g.AccessToken == "" {
		return false
	}
	if minValidity > 0 {
		return g.ExpiresAt.IsZero() || g.ExpiresAt.Sub(now) > minValidity
	}
	return g.RenewAt.IsZero() || now.Before(g.RenewAt)
}

// renew makes the one token request of Open.
func (c *Connector) renew(ctx context.Context, req plugin.OpenRequest, s *settings, refreshToken string, clock func() time.Time) (*grant, error) {
	if req.Deadline.IsZero() {
		return nil, connector.Errorf(connector.UsageWrong, connector.OriginHost, "A renewal was asked for without a deadline.").
			Suggest("Report it to the author of the host.")
	}
	base, err := c.transports.get(req.Network)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	call := &tokenCall{kind: renewal, base: base, pointer: "/token_url", now: c.now, deadline: req.Deadline}
	begun := clock()
	// Without an access token the source has nothing but a renewal to make.
	source := s.config("").TokenSource(withClient(ctx, call), &oauth2.Token{RefreshToken: refreshToken})
	if _, err := source.Token(); err != nil {
		return nil, connectorhttp.NetworkFailure(ctx, err, hostOf(s.TokenURL))
	}
	return call.answer.grant(begun), nil
}

// grant makes a grant of a token answer to a request that was begun at a time
// on the host's clock.
func (a *tokenAnswer) grant(begun time.Time) *grant {
	begun = begun.UTC().Round(0)
	g := &grant{
		AccessToken: a.accessToken, RefreshToken: a.refreshToken, TokenType: a.tokenType,
		IssuedAt: begun, Scope: a.scope,
	}
	if g.AccessToken != "" {
		g.ExpiresAt, g.RenewAt = expiry(begun, a.life)
	}
	return g
}

// hostClock is a clock that runs on from the host's time when the call began.
func (c *Connector) hostClock(start time.Time) func() time.Time {
	here := c.now()
	if start.IsZero() {
		start = here
	}
	return func() time.Time { return start.Add(c.now().Sub(here)) }
}

// withClient makes package oauth2 use the call.
func withClient(ctx context.Context, call *tokenCall) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, call.client())
}
