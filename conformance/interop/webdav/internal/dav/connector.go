// Package dav is a connector for WebDAV servers (RFC 4918) that take a user
// and a password (RFC 7617). Nobody signs in: the settings are enough.
package dav

import (
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

// callTimeout bounds one request to the server.
const callTimeout = 30 * time.Second

//go:embed schema.json
var schema []byte

//go:embed layout.json
var layout []byte

// Connector is the connector. It is safe for concurrent use.
type Connector struct{}

// settings are a connection's settings, decoded.
type settings struct {
	Folder   string `json:"folder_url"`
	User     string `json:"user"`
	Password string `json:"password"`
	Depth    string `json:"depth"`
}

// Describe says what the connector is.
func (Connector) Describe() connector.Description {
	return connector.Description{
		ID: "webdav-connection", Title: "WebDAV", Version: "1.0.0",
		SignIns: []connector.SignIn{connector.SignInNone},
		Schema:  schema, Layout: layout, Checks: declared(),
		CredentialReads: []uint32{1}, CredentialWrites: 1,
	}
}

// Open makes access of the settings. There is no token to renew, so there is
// never a credential.
func (Connector) Open(_ context.Context, req plugin.OpenRequest) (plugin.Opened, error) {
	if !req.Credential.IsZero() {
		return plugin.Opened{}, connector.Errorf(connector.CredentialUnreadable, connector.OriginHost,
			"A WebDAV connection has no credential, but one came.").Suggest("Report it to the author of the host.")
	}
	if req.AccessRefused {
		return plugin.Opened{}, rejected()
	}
	s, err := load(req.Settings)
	if err != nil {
		return plugin.Opened{}, err
	}
	return plugin.Opened{Access: s.access(req.Now)}, nil
}

// Identify tells who the user is: WebDAV knows no more than the name.
func (c Connector) Identify(ctx context.Context, req plugin.IdentifyRequest) (connector.Account, error) {
	s, err := load(req.Settings)
	if err != nil {
		return connector.Account{}, err
	}
	_, err = s.call(ctx, req.Network, req.Access, "PROPFIND", "0")
	switch {
	case errors.Is(err, connector.ClientRejected):
		return connector.Account{}, connector.Errorf(connector.AccessRefused, connector.OriginService, "The server refuses the access.").
			Suggest("Correct user and password.")
	case err != nil:
		return connector.Account{}, err
	}
	return connector.Account{ID: url.QueryEscape(s.User), Login: s.User}, nil
}

func load(raw plugin.Settings) (*settings, error) {
	var s settings
	if raw.Decode(&s) != nil {
		return nil, connector.Errorf(connector.SettingsUnreadable, connector.OriginSettings, "The settings aren't those of a WebDAV connection.").
			With(connector.FixSettings).Suggest("Save them again.")
	}
	return &s, nil
}

func (s *settings) access(now time.Time) *connector.Access {
	return &connector.Access{
		Token:    connector.NewSecret(base64.StdEncoding.EncodeToString([]byte(s.User + ":" + s.Password))),
		Type:     "Basic",
		IssuedAt: now, Endpoints: map[string]string{"folder": s.Folder},
	}
}

// call makes a request about the folder and returns the answer's header.
func (s *settings) call(ctx context.Context, n connector.Network, a *connector.Access, method, depth string) (http.Header, error) {
	base, err := connectorhttp.NewBase(n)
	if err != nil {
		return nil, err
	}
	defer base.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.Folder, nil)
	if err != nil {
		return nil, badURL()
	}
	if depth != "" {
		req.Header.Set("Depth", depth)
	}
	if a != nil {
		req.Header.Set("Authorization", a.Type+" "+a.Token.Reveal())
	}
	answer, err := base.RoundTrip(req)
	if err != nil {
		return nil, connectorhttp.NetworkFailure(ctx, err, host(s.Folder))
	}
	defer func() { _ = answer.Body.Close() }()
	return answer.Header, refusal(answer.StatusCode, answer.Header, a != nil)
}

// refusal tells what a status means.
func refusal(status int, header http.Header, authorised bool) error {
	wait := connectorhttp.RetryAfter(header, time.Now())
	switch {
	case status == http.StatusMultiStatus, status == http.StatusOK, status == http.StatusNoContent:
		return nil
	case status == http.StatusUnauthorized && !authorised:
		return nil // it is there, and asks who we are
	case status == http.StatusUnauthorized:
		return rejected()
	case status == http.StatusForbidden:
		return connector.Errorf(connector.PermissionDenied, connector.OriginService, "The user may not read the folder.").
			With(connector.AskAdministrator).Suggest("Ask the server's administrator for the right to it.")
	case status == http.StatusNotFound:
		return connector.Errorf(connector.ServiceRefused, connector.OriginService, "The server has no such folder.").
			At("/folder_url").With(connector.FixSettings).Suggest("Correct the folder's URL.")
	case status == http.StatusTooManyRequests:
		return connector.Errorf(connector.RateLimited, connector.OriginService, "The server takes no more requests for now.").
			After(wait).With(connector.Retry)
	case status == http.StatusConflict:
		return connector.Errorf(connector.ServiceConflict, connector.OriginService, "The server is busy with the folder.").
			After(wait).With(connector.Retry)
	case status >= 500:
		return connector.Errorf(connector.ServiceUnavailable, connector.OriginService, "The server has a fault of its own (status %d).", status).
			After(wait).With(connector.Retry)
	default:
		return connector.Errorf(connector.UnexpectedAnswer, connector.OriginService, "No WebDAV server answers so (status %d).", status).
			At("/folder_url").Suggest("Check the folder's URL.")
	}
}

func rejected() error {
	return connector.Errorf(connector.ClientRejected, connector.OriginService, "The server refuses the user or the password.").
		At("/password").With(connector.FixSettings).Suggest("Correct user and password.")
}

func badURL() error {
	return connector.Errorf(connector.SettingInvalid, connector.OriginSettings, "The folder's URL can't be used.").
		At("/folder_url").With(connector.FixSettings).Suggest("Give an https URL.")
}

func host(folder string) string {
	u, err := url.Parse(folder)
	if err != nil {
		return "the server"
	}
	return strings.ToLower(u.Host)
}
