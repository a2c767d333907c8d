package box

import (
	"context"
	"net/url"

	"github.com/boxconnection/connector/plugin"
)

// Revoke takes the grant back by its refresh token. Box ends the access token
// with it.
func (c *Connector) Revoke(ctx context.Context, req plugin.RevokeRequest) error {
	s, err := load(req.Settings)
	if err != nil {
		return err
	}
	g, err := unseal(req.Credential)
	if err != nil {
		return err
	}
	base, err := c.transports.get(req.Network)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	call := &tokenCall{kind: revoking, base: base, pointer: "/revoke_url", now: c.now}
	return call.post(ctx, s.RevokeURL, url.Values{
		"client_id":     {s.ClientID},
		"client_secret": {s.clientSecret.Reveal()},
		"token":         {g.RefreshToken},
	})
}
