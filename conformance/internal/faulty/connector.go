//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

const pendingTime = 10 * time.Minute

// connector is the service's side of the contract.
type connector struct {
	connectorv1.UnimplementedConnectorServiceServer
	fault

	mu      sync.Mutex
	kept    map[string][]byte // with one fault: pending sign-ins
	seen    map[string]*connectorv1.CompleteAuthorizationResponse
	secret  string
	spawned bool
}

func newConnector(f fault) *connector {
	return &connector{fault: f, kept: map[string][]byte{}, seen: map[string]*connectorv1.CompleteAuthorizationResponse{}}
}

func (c *connector) remember(secret string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secret = secret
}

func (c *connector) lastSecret() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.secret
}

// ping makes traffic where none may be.
func (c *connector) ping(s *settings) {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	_, _ = c.send(ctx, call{method: http.MethodGet, path: "/api/ping", settings: s})
}

// Describe says what the connector is.
func (c *connector) Describe(ctx context.Context, _ *connectorv1.DescribeRequest) (*connectorv1.DescribeResponse, error) {
	d := &connectorv1.DescribeResponse{
		Id: "faulty", Title: "Faulty", Version: "1.0.0", ContractVersion: 1,
		Capabilities: []connectorv1.Capability{
			connectorv1.Capability_CAPABILITY_AUTHORIZE, connectorv1.Capability_CAPABILITY_IDENTIFY,
			connectorv1.Capability_CAPABILITY_NARROW, connectorv1.Capability_CAPABILITY_REVOKE,
		},
		SignIns: []connectorv1.SignIn{connectorv1.SignIn_SIGN_IN_AUTHORIZATION_CODE},
		Schema:  []byte(schema), Layout: []byte(layout), Checks: declared(),
		CredentialReads: []uint32{1}, CredentialWrites: 1, RenewalReplay: connectorv1.RenewalReplay_RENEWAL_REPLAY_UNTIL_USED,
	}
	switch {
	case c.is("describe.stable"):
		d.Version = fmt.Sprint(os.Getpid())
	case c.is("describe.offline"):
		if proxy, err := url.Parse(os.Getenv("HTTP_PROXY")); err == nil && proxy.Host != "" {
			client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}, Timeout: time.Second}
			if req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://telemetry.example/", nil); err == nil {
				if resp, err := client.Do(req); err == nil {
					_ = resp.Body.Close()
				}
			}
		}
	case c.is("describe.id"):
		d.Id = "Faulty_1"
	case c.is("describe.names"):
		d.Title = " "
	case c.is("describe.descriptor"):
		d.Layout = []byte(`{"type": "Stepper", "elements": []}`)
	case c.is("describe.contract-version"):
		d.ContractVersion = 2
	case c.is("describe.authorize"):
		d.Capabilities = d.GetCapabilities()[1:]
	case c.is("describe.formats"):
		d.CredentialReads, d.CredentialWrites = []uint32{3}, 3
	case c.is("describe.checks"):
		d.Checks[0].DependsOn = []string{"ghost"}
	case c.is("versions.undeclared"):
		d.Capabilities = append(d.GetCapabilities()[:2:2], d.GetCapabilities()[3])
	case c.is("credential.format", "credential.reads"):
		d.CredentialReads = []uint32{1, 2}
	case c.is("sessions.replay"):
		d.RenewalReplay = 0
	}
	return d, nil
}

// ValidateSettings finds the problems of settings.
func (c *connector) ValidateSettings(_ context.Context, r *connectorv1.ValidateSettingsRequest) (*connectorv1.ValidateSettingsResponse, error) {
	s, problems := c.validate(r.GetSettings())
	switch {
	case c.is("validate.unreadable") && len(problems) == 1 && problems[0].GetCode() == connectorv1.Code_CODE_SETTINGS_UNREADABLE:
		return nil, c.status(&trouble{problems[0]})
	case c.is("validate.offline") && s != nil && len(problems) == 0:
		c.ping(s)
	case c.is("validate.good") && len(problems) == 0:
		problems = append(problems, settingProblem(connectorv1.Code_CODE_SETTING_INVALID, "/client_id", "It isn't to its taste."))
	}
	return &connectorv1.ValidateSettingsResponse{Diagnostics: problems}, nil
}

// settings reads settings that must be valid.
func (c *connector) settings(raw []byte, method string) (*settings, error) {
	s, problems := c.validate(raw)
	if len(problems) > 0 && !(c.is("validate.guard") && method == "OpenSession" && s != nil) {
		return nil, c.status(&trouble{problems[0]})
	}
	return s, nil
}

func clock(at *timestamppb.Timestamp) time.Time {
	if at == nil {
		return time.Now()
	}
	return at.AsTime()
}

// Identify tells whose access it is.
func (c *connector) Identify(ctx context.Context, r *connectorv1.IdentifyRequest) (*connectorv1.IdentifyResponse, error) {
	s, err := c.settings(r.GetSettings(), "Identify")
	if err != nil {
		return nil, err
	}
	if r.GetAccess().GetToken() == "" {
		if c.is("identify.no-access") {
			return nil, c.status(fail(connectorv1.Code_CODE_ACCESS_REFUSED, fromHost, 0, "There is no access."))
		}
		return nil, c.status(fail(connectorv1.Code_CODE_SIGN_IN_REQUIRED, fromHost, signInAgain, "There is no access."))
	}
	a, bad := c.me(ctx, s, r.GetNetwork(), r.GetAccess().GetToken())
	if bad != nil {
		return nil, c.status(bad)
	}
	if c.is("versions.declared") {
		return nil, c.status(fail(connectorv1.Code_CODE_UNSUPPORTED, fromConnector, 0, "It doesn't identify."))
	}
	account := &connectorv1.Account{Id: a["id"], Login: a["login"], EnterpriseId: a["enterprise_id"], EnterpriseName: a["enterprise_name"]}
	switch {
	case c.is("identify.id"):
		account.Id = fmt.Sprintf("%s-%d", account.GetId(), os.Getpid())
	case c.is("identify.enterprise") && account.GetEnterpriseId() == "":
		account.EnterpriseId = "none"
	}
	return &connectorv1.IdentifyResponse{Account: account}, nil
}

// me asks the service whose token it is.
func (c *connector) me(ctx context.Context, s *settings, n *connectorv1.Network, token string) (map[string]string, *trouble) {
	k := call{method: http.MethodGet, path: "/api/me", bearer: token, settings: s, network: n}
	if c.is("network.urls") {
		k.path += "?access_token=" + url.QueryEscape(token)
	}
	a, bad := c.send(ctx, k)
	if bad != nil {
		return nil, bad
	}
	if a.status == http.StatusUnauthorized {
		if c.is("identify.refused") {
			return nil, fail(connectorv1.Code_CODE_SERVICE_REFUSED, fromService, 0, "The service refused.")
		}
		return nil, fail(connectorv1.Code_CODE_ACCESS_REFUSED, fromService, 0, "The service doesn't take the access.")
	}
	if a.status != http.StatusOK {
		return nil, c.refused(a, "")
	}
	var account map[string]string
	if json.Unmarshal(a.body, &account) != nil || account["id"] == "" {
		return nil, fail(connectorv1.Code_CODE_UNEXPECTED_ANSWER, fromService, retry, "The service's answer can't be understood.")
	}
	return account, nil
}

// spawn starts a process that stays for a moment.
func (c *connector) spawn(s *settings) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spawned || !c.is("process.children", "secrets.processes") {
		return
	}
	c.spawned = true
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", "sleep 3; true")
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	if c.is("secrets.processes") {
		cmd.Args = append(cmd.Args, s.Secret)
	} else {
		cmd.Env = os.Environ()
	}
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }()
	}
}
