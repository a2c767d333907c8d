// Package box is the connector for Box (box.com): it signs a person in by
// OAuth 2.0's authorization code grant, renews the access, says whose it is,
// tests it, narrows it and gives it back.
//
// A Box refresh token is good for one use and 60 days. Box answers a spent one
// with the same new pair until that pair is first used, so a renewal whose
// answer was lost may be sent again; the connector therefore never uses a
// token that it has just got.
//
// Addresses and scopes are settings, so that another service with the same
// grants and a /users/me endpoint can stand in for Box.
package box

import (
	_ "embed"
	"encoding/json"
	"runtime/debug"
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
)

var (
	//go:embed schema.json
	schemaJSON []byte
	//go:embed layout.json
	layoutJSON []byte
)

// Connector is the Box connector. It keeps no state of any connection, only
// the transports of recently used networks, and is safe for concurrent use.
type Connector struct {
	version    string
	now        func() time.Time
	transports transports
}

// The contract's interfaces that the connector implements.
var (
	_ plugin.Connector  = (*Connector)(nil)
	_ plugin.Authorizer = (*Connector)(nil)
	_ plugin.Identifier = (*Connector)(nil)
	_ plugin.Narrower   = (*Connector)(nil)
	_ plugin.Revoker    = (*Connector)(nil)
)

// Option changes a [Connector].
type Option interface{ apply(*Connector) }

type optionFunc func(*Connector)

func (f optionFunc) apply(c *Connector) { f(c) }

// WithVersion sets the version that [Connector.Describe] tells. Empty, the
// default, means the version that the Go toolchain recorded in the binary.
func WithVersion(version string) Option {
	return optionFunc(func(c *Connector) {
		if version != "" {
			c.version = version
		}
	})
}

// New returns a Box connector.
func New(opts ...Option) *Connector {
	c := &Connector{version: buildVersion(), now: time.Now}
	for _, o := range opts {
		o.apply(c)
	}
	return c
}

// Describe says what the connector is.
func (c *Connector) Describe() connector.Description {
	return connector.Description{
		ID:               "box",
		Title:            "Box",
		Version:          c.version,
		SignIns:          []connector.SignIn{connector.SignInAuthorizationCode},
		Schema:           json.RawMessage(schemaJSON),
		Layout:           json.RawMessage(layoutJSON),
		Checks:           declaredChecks(),
		CredentialReads:  []uint32{credentialFormat},
		CredentialWrites: credentialFormat,
		RenewalReplay:    connector.ReplayUntilUsed,
	}
}

// buildVersion is the main module's version, or "(devel)".
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
