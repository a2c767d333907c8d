package box

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/boxconnection/connector/proto/connector"
)

const (
	// credentialFormat is the layout of grant in JSON.
	credentialFormat = 1
	// maxCredential is the size in bytes above which data isn't decoded.
	maxCredential = 64 << 10
)

// grant is a credential of format 1: one JSON object, unknown names refused.
// Its text holds secrets, so it never leaves this package but as a
// connector.Secret.
type grant struct {
	// AccessToken is empty after a renewal whose access couldn't be used.
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	// IssuedAt is when the request for the pair was begun, on the host's clock.
	IssuedAt time.Time `json:"issued_at"`
	// ExpiresAt is zero if the service didn't tell.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	RenewAt   time.Time `json:"renew_at,omitzero"`
	// Scope is the service's scope field; nil if it didn't tell, as Box doesn't.
	Scope *string `json:"scope,omitempty"`
}

// seal makes the credential that the host keeps.
func (g *grant) seal() (connector.Credential, error) {
	data, err := json.Marshal(g)
	if err != nil {
		return connector.Credential{}, err
	}
	return connector.Credential{
		Format:          credentialFormat,
		Data:            connector.NewSecret(string(data)),
		AccessExpiresAt: g.ExpiresAt,
		LapsesAt:        g.IssuedAt.Add(refreshLifetime),
	}, nil
}

// unseal reads a credential back.
func unseal(c connector.Credential) (*grant, error) {
	if c.IsZero() {
		return nil, connector.Errorf(connector.SignInRequired, connector.OriginConnector, "Nobody has signed in to Box yet.").
			With(connector.SignInAgain).Suggest("Sign in to Box (in a form: Generate, beside the access token).")
	}
	if c.Format != credentialFormat {
		return nil, connector.Errorf(connector.CredentialUnreadable, connector.OriginConnector,
			"The stored credential has format %d; this build of the Box connector reads format %d.", c.Format, credentialFormat).
			Suggest("Run the version of the connector that wrote it, or a newer one.")
	}
	var g grant
	data := c.Data.Reveal()
	if len(data) > maxCredential || strictJSON(data, &g) != nil || g.RefreshToken == "" || g.IssuedAt.IsZero() {
		return nil, connector.Errorf(connector.CredentialUnreadable, connector.OriginConnector, "The stored credential is damaged.").
			With(connector.SignInAgain).Suggest("Sign in to Box again.")
	}
	if g.ExpiresAt.After(g.IssuedAt.Add(maxLifetime)) || g.ExpiresAt.Before(g.IssuedAt) {
		g.ExpiresAt = time.Time{}
	}
	return &g, nil
}

// access is what callers get of the grant.
func (g *grant) access(s *settings) *connector.Access {
	return &connector.Access{
		Token:     connector.NewSecret(g.AccessToken),
		Type:      g.TokenType,
		IssuedAt:  g.IssuedAt,
		ExpiresAt: g.ExpiresAt,
		RenewAt:   g.RenewAt,
		Endpoints: s.endpoints(),
		Scopes:    scopes(g.Scope),
		Refusal:   refusal(),
	}
}

func (s *settings) endpoints() map[string]string {
	return map[string]string{"api": s.APIURL, "upload": s.UploadURL}
}

// refusal is how Box words that a token is no longer good: status 401 with
// error="invalid_token", or with nothing at all. A 401 with a JSON body is
// about the account.
func refusal() connector.TokenRefusal {
	return connector.TokenRefusal{ChallengeErrors: []string{"invalid_token"}, EmptyBody: true}
}

func scopes(scope *string) connector.Scopes {
	if scope == nil {
		return connector.Scopes{}
	}
	return connector.Scopes{Known: true, Values: strings.Fields(*scope)}
}

// strictJSON decodes exactly one JSON value and refuses unknown names.
func strictJSON(data string, into any) error {
	d := json.NewDecoder(strings.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}
