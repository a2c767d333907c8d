package plugin_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
)

// secret stands for what must never show up anywhere.
const secret = "s3cr3t-9f2c17"

var (
	issued  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	expires = issued.Add(time.Hour)
)

const (
	schema = `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","title":"Fake",
"additionalProperties":false,"required":["base_url"],"properties":{
"base_url":{"type":"string","title":"Base URL","format":"uri","x-destination":true,"default":"https://api.example.com"},
"mode":{"type":"string","title":"Mode","maxLength":64,"default":"plain"},
"client_secret":{"type":"string","title":"Client secret","format":"password","writeOnly":true}}}`
	layout = `{"type":"Categorization","elements":[{"type":"Category","label":"Connection","elements":[
{"type":"Control","scope":"#/properties/base_url"},{"type":"Control","scope":"#/properties/mode"},
{"type":"Control","scope":"#/properties/client_secret","options":{"format":"password"}}]}]}`
)

func description() connector.Description {
	return connector.Description{
		ID: "fake", Title: "Fake connector", Version: "1.2.3",
		SignIns: []connector.SignIn{connector.SignInNone},
		Schema:  []byte(schema), Layout: []byte(layout),
		Checks: []connector.CheckDeclaration{
			{ID: "reach", Title: "Reach the service", SideEffect: connector.SideEffectNone},
			{ID: "token", Title: "Use the token", SideEffect: connector.SideEffectRead, DependsOn: []string{"reach"}},
			{ID: "extra", Title: "Something else", SideEffect: connector.SideEffectRead},
		},
		CredentialReads: []uint32{1, 2}, CredentialWrites: 2, RenewalReplay: connector.ReplayUntilUsed,
	}
}

func goodAccess() *connector.Access {
	return &connector.Access{
		Token: connector.NewSecret("token-1"), Type: "Bearer", IssuedAt: issued, ExpiresAt: expires,
		Endpoints: map[string]string{"api": "https://api.example.com/2.0"},
	}
}

// bare implements what every connector must and nothing else. The setting
// "mode" says how Open behaves.
type bare struct {
	open func(ctx context.Context, req plugin.OpenRequest) (plugin.Opened, error)
	test func(ctx context.Context, req plugin.TestRequest) iter.Seq[connector.Check]
}

func (b *bare) Describe() connector.Description { return description() }

func (b *bare) Open(ctx context.Context, req plugin.OpenRequest) (plugin.Opened, error) {
	if b.open != nil {
		return b.open(ctx, req)
	}
	return plugin.Opened{Access: goodAccess()}, nil
}

func (b *bare) Test(ctx context.Context, req plugin.TestRequest) iter.Seq[connector.Check] {
	if b.test != nil {
		return b.test(ctx, req)
	}
	return plugin.RunChecks(ctx, description().Checks, map[string]plugin.CheckFunc{
		"reach": func(context.Context) connector.Check { return plugin.Passed("there") },
		"token": func(context.Context) connector.Check { return plugin.Passed("good") },
		"extra": func(context.Context) connector.Check { return plugin.Passed("") },
	})
}

// full implements everything.
type full struct {
	bare
	describe func() connector.Description
	begin    func(req plugin.BeginRequest) (plugin.Begun, error)
	complete func(req plugin.CompleteRequest) (plugin.Completed, error)
	identify func(req plugin.IdentifyRequest) (connector.Account, error)
	narrow   func(req plugin.NarrowRequest) (*connector.Access, error)
	revoke   func(req plugin.RevokeRequest) error
	validate func(s plugin.Settings) connector.Diagnostics
}

func (f *full) Describe() connector.Description {
	if f.describe != nil {
		return f.describe()
	}
	d := description()
	d.SignIns = []connector.SignIn{connector.SignInAuthorizationCode}
	return d
}

func (f *full) Validate(s plugin.Settings) connector.Diagnostics {
	if f.validate != nil {
		return f.validate(s)
	}
	return nil
}

func (f *full) BeginAuthorization(_ context.Context, req plugin.BeginRequest) (plugin.Begun, error) {
	if f.begin != nil {
		return f.begin(req)
	}
	return plugin.Begun{
		URL:     "https://login.example.com/authorize?state=" + req.State.Reveal(),
		Pending: connector.NewSecret("pending"), ExpiresAt: req.Now.Add(10 * time.Minute),
	}, nil
}

func (f *full) CompleteAuthorization(_ context.Context, req plugin.CompleteRequest) (plugin.Completed, error) {
	if f.complete != nil {
		return f.complete(req)
	}
	return plugin.Completed{Credential: connector.Credential{Format: 2, Data: connector.NewSecret("credential")}}, nil
}

func (f *full) Identify(_ context.Context, req plugin.IdentifyRequest) (connector.Account, error) {
	if f.identify != nil {
		return f.identify(req)
	}
	return connector.Account{ID: "42", Login: "ann@example.com"}, nil
}

func (f *full) Narrow(_ context.Context, req plugin.NarrowRequest) (*connector.Access, error) {
	if f.narrow != nil {
		return f.narrow(req)
	}
	a := goodAccess()
	a.Token = connector.NewSecret("narrow")
	return a, nil
}

func (f *full) Revoke(_ context.Context, req plugin.RevokeRequest) error {
	if f.revoke != nil {
		return f.revoke(req)
	}
	return nil
}

// mode reads the setting that steers a fake in a process of its own.
func mode(s plugin.Settings) string {
	var v struct {
		Mode string `json:"mode"`
	}
	_ = s.Decode(&v)
	return v.Mode
}

var errPlain = errors.New("exchange failed for client_secret=" + secret)

// runAsPlugin is the connector that the test binary becomes when a test
// starts it as one.
func runAsPlugin() {
	noisy := os.Getenv("FAKE_NOISE") != ""
	if noisy {
		printNoise()
	}
	c := &bare{}
	c.open = func(ctx context.Context, req plugin.OpenRequest) (plugin.Opened, error) {
		switch mode(req.Settings) {
		case "panic":
			panic(secret)
		case "noise":
			printNoise()
		case "plain":
			return plugin.Opened{Access: goodAccess()}, nil
		case "error":
			return plugin.Opened{}, errPlain
		case "hang": // with a child, and without heeding its context
			if err := exec.Command("sleep", "60").Start(); err != nil {
				return plugin.Opened{}, err
			}
			slog.Info("entered")
			time.Sleep(time.Hour)
		case "pause":
			slog.Info("entered", "@message", 1, "@level", 2)
			time.Sleep(300 * time.Millisecond)
		case "wait":
			<-ctx.Done()
			return plugin.Opened{}, ctx.Err()
		}
		return plugin.Opened{Access: goodAccess()}, nil
	}
	plugin.Main(c)
}
