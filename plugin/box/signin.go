package box

import (
	"context"
	"encoding/json"
	"time"

	"golang.org/x/oauth2"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

const (
	// signInTime is how long a person has for a sign-in.
	signInTime    = 10 * time.Minute
	pendingFormat = 1
	maxPending    = 16 << 10
)

// pending is what a sign-in needs when its callback comes.
type pending struct {
	Format      int       `json:"format"`
	Verifier    string    `json:"verifier"`
	RedirectURI string    `json:"redirect_uri"`
	Started     time.Time `json:"started"`
}

// BeginAuthorization makes the URL of Box's consent page. It sends a PKCE
// challenge (RFC 7636), which Box is reported to accept and ignore, and which
// other services check.
func (c *Connector) BeginAuthorization(_ context.Context, req plugin.BeginRequest) (plugin.Begun, error) {
	s, err := load(req.Settings)
	if err != nil {
		return plugin.Begun{}, err
	}
	if req.State.IsZero() || req.RedirectURI == "" {
		return plugin.Begun{}, connector.Errorf(connector.UsageWrong, connector.OriginHost, "A sign-in was begun without a state or a redirect URI.").
			Suggest("Report it to the author of the host.")
	}
	p := pending{
		Format: pendingFormat, Verifier: oauth2.GenerateVerifier(), RedirectURI: req.RedirectURI,
		Started: c.hostClock(req.Now)().UTC().Round(0),
	}
	data, err := json.Marshal(p)
	if err != nil {
		return plugin.Begun{}, err
	}
	return plugin.Begun{
		URL:       s.config(p.RedirectURI).AuthCodeURL(req.State.Reveal(), oauth2.S256ChallengeOption(p.Verifier)),
		Pending:   connector.NewSecret(string(data)),
		ExpiresAt: p.Started.Add(signInTime),
	}, nil
}

// CompleteAuthorization exchanges the callback's code. It doesn't look at the
// state, which is the host's. The code is sent once: whatever happens to the
// answer, the way on is a new sign-in.
func (c *Connector) CompleteAuthorization(ctx context.Context, req plugin.CompleteRequest) (plugin.Completed, error) {
	clock := c.hostClock(req.Now)
	s, err := load(req.Settings)
	if err != nil {
		return plugin.Completed{}, err
	}
	p, err := readPending(req.Pending)
	if err != nil {
		return plugin.Completed{}, err
	}
	code, err := readCallback(req.CallbackURL.Reveal(), p.RedirectURI)
	if err != nil {
		return plugin.Completed{}, err
	}
	if clock().After(p.Started.Add(signInTime)) {
		return plugin.Completed{}, connector.Errorf(connector.AuthorizationExpired, connector.OriginService,
			"The sign-in took longer than %d minutes.", int(signInTime.Minutes())).
			With(connector.SignInAgain).Suggest(startAgain)
	}
	base, err := c.transports.get(req.Network)
	if err != nil {
		return plugin.Completed{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	call := &tokenCall{kind: exchange, base: base, pointer: "/token_url", now: c.now}
	begun := clock()
	if _, err := s.config(p.RedirectURI).Exchange(withClient(ctx, call), code, oauth2.VerifierOption(p.Verifier)); err != nil {
		return plugin.Completed{}, onceOnly(connectorhttp.NetworkFailure(ctx, err, hostOf(s.TokenURL)))
	}
	g := call.answer.grant(begun)
	if g.RefreshToken == "" {
		return plugin.Completed{}, connector.Errorf(connector.GrantNotRenewable, connector.OriginService,
			"The sign-in worked, but the service gave no refresh token, so the connection would end within the hour.").
			With(connector.FixSettings).At("/scopes").
			Suggest("Use a Box app with User Authentication (OAuth 2.0). With another service, add the scope that it wants for lasting access, often offline or offline_access.")
	}
	credential, err := g.seal()
	if err != nil {
		return plugin.Completed{}, err
	}
	return plugin.Completed{Credential: credential}, nil
}

// onceOnly words a passing failure of an exchange, which can't be repeated
// with the same code.
func onceOnly(d *connector.Diagnostic) *connector.Diagnostic {
	if d.Disposition != connector.Retry {
		return d
	}
	return d.Suggest("%s Then start the sign-in again: its code is good for one try.", d.Suggestion)
}

func readPending(secret connector.Secret) (*pending, error) {
	var p pending
	data := secret.Reveal()
	if len(data) > maxPending || strictJSON(data, &p) != nil || p.Format != pendingFormat || p.Verifier == "" || p.RedirectURI == "" {
		return nil, connector.Errorf(connector.AuthorizationInvalid, connector.OriginHost,
			"What was kept of this sign-in is damaged, or from another version of the connector.").
			With(connector.SignInAgain).Suggest(startAgain)
	}
	return &p, nil
}
