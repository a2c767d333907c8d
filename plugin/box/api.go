package box

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

// mePath asks for the account with its enterprise, which Box tells only when
// it is named.
const mePath = "users/me?fields=id,name,login,status,role,enterprise,hostname"

// account is Box's user, as far as it is read.
type account struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Login      string `json:"login"`
	Status     string `json:"status"`
	Enterprise *struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"enterprise"`
}

// Identify asks Box whose access it is.
func (c *Connector) Identify(ctx context.Context, req plugin.IdentifyRequest) (connector.Account, error) {
	s, err := load(req.Settings)
	if err != nil {
		return connector.Account{}, err
	}
	if req.Access == nil {
		return connector.Account{}, connector.Errorf(connector.UsageWrong, connector.OriginHost, "There is no access to identify.").
			Suggest("Sign in to Box first.")
	}
	base, err := c.transports.get(req.Network)
	if err != nil {
		return connector.Account{}, err
	}
	who, d := c.me(ctx, base, s, req.Access)
	if d != nil {
		return connector.Account{}, d
	}
	found := connector.Account{ID: who.ID, Login: who.Login, Name: who.Name}
	if who.Enterprise != nil {
		found.EnterpriseID, found.EnterpriseName = who.Enterprise.ID, who.Enterprise.Name
	}
	return found, nil
}

func (c *Connector) me(ctx context.Context, base http.RoundTripper, s *settings, access *connector.Access) (*account, *connector.Diagnostic) {
	a, d := c.get(ctx, base, s, access, mePath)
	if d != nil {
		return nil, d
	}
	var who account
	if json.Unmarshal(a.body, &who) != nil || who.ID == "" {
		return nil, a.unexpected("/api_url", "no account")
	}
	return &who, nil
}

// get calls the API with the access and returns the answer if it is a JSON
// object with a good status.
func (c *Connector) get(ctx context.Context, base http.RoundTripper, s *settings, access *connector.Access, path string) (*reply, *connector.Diagnostic) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(s.APIURL, "/")+"/"+path, nil)
	if err != nil {
		return nil, wrong("/api_url", "The API URL can't be used.", "Correct it.").Because(err)
	}
	for name, value := range access.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", access.Type+" "+access.Token.Reveal())
	a, _, d := send(ctx, base, req, c.now)
	if d != nil {
		return nil, d
	}
	a.secrets = []string{access.Token.Reveal(), s.clientSecret.Reveal()}
	if d := apiFailure(a); d != nil {
		return nil, d
	}
	return a, nil
}

// send makes a request that carries no one-time secret, follows no redirect,
// and tells how long the answer took.
func send(ctx context.Context, base http.RoundTripper, req *http.Request, now func() time.Time) (*reply, time.Duration, *connector.Diagnostic) {
	begun := now()
	resp, err := base.RoundTrip(req)
	if err != nil {
		return nil, 0, connectorhttp.NetworkFailure(ctx, err, req.URL.Host)
	}
	defer func() { _ = resp.Body.Close() }()
	took := now().Sub(begun)
	a, d := readReply(ctx, resp, req.URL.Host, now())
	return a, took, d
}
