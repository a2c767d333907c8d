// Package plugin is the SDK for connectors: implement [Connector] and call
// [Main] from main. The SDK owns the process: the transport, the limits, the
// log, the watchdog that ends the plugin with its host, and the answers that
// follow from the descriptor alone, such as the validation of settings.
//
// A connector is stateless. It gets settings and credential with each call
// and stores nothing; the host keeps what comes back. Methods are called from
// several goroutines at once.
//
// An error that is or wraps a *connector.Diagnostic reaches the host as it is.
// Any other error, and a panic, becomes connector.Internal without its text,
// which may hold what nobody should read.
//
// Log with log/slog: [Main] makes its default logger write what hosts read.
// Standard output is free to print to, and ends in the log too. Never log
// settings, credentials or tokens.
package plugin

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/boxconnection/connector/proto/connector"
)

// Connector is what every connector implements. Optional abilities are the
// interfaces [Validator], [Authorizer], [Identifier], [Narrower] and
// [Revoker]; the SDK declares each as a capability where it is implemented.
type Connector interface {
	// Describe says what the connector is. It is called once, does no I/O, and
	// leaves Capabilities empty.
	Describe() connector.Description

	// Open turns a credential into access. Without AllowRenew it spends
	// nothing: it answers with the access that it has, or fails with
	// connector.RenewalRequired. With it, it makes at most one successful
	// token request, begun before the deadline, and never uses the new token.
	Open(ctx context.Context, req OpenRequest) (Opened, error)

	// Test runs the declared checks in their order and yields each result as
	// it is known. The SDK fills in title, duration, dependencies and side
	// effect from the declaration, and skips a check whose parents failed:
	// [RunChecks] does all of it.
	Test(ctx context.Context, req TestRequest) iter.Seq[connector.Check]
}

// Validator adds rules to those of the schema. It works offline, and gets
// settings that already follow the schema.
type Validator interface {
	Validate(settings Settings) connector.Diagnostics
}

// Authorizer signs a person in through a browser.
type Authorizer interface {
	BeginAuthorization(ctx context.Context, req BeginRequest) (Begun, error)
	CompleteAuthorization(ctx context.Context, req CompleteRequest) (Completed, error)
}

// Identifier tells whose access it is.
type Identifier interface {
	Identify(ctx context.Context, req IdentifyRequest) (connector.Account, error)
}

// Narrower makes access with fewer rights. It fails rather than answer with
// the access it was given.
type Narrower interface {
	Narrow(ctx context.Context, req NarrowRequest) (*connector.Access, error)
}

// Revoker takes a grant back at the service. Revoking one that is already
// gone succeeds.
type Revoker interface {
	Revoke(ctx context.Context, req RevokeRequest) error
}

// Settings is a connection's settings as one JSON object, already normalised,
// merged with the schema's defaults and valid.
type Settings json.RawMessage

// Decode unmarshals the settings into a struct of the connector's own.
func (s Settings) Decode(into any) error { return json.Unmarshal(s, into) }

// OpenRequest asks for access.
type OpenRequest struct {
	Settings   Settings
	Network    connector.Network
	Credential connector.Credential
	// MinValidity is how long the access must last; zero means the
	// connector's own margin.
	MinValidity time.Duration
	AllowRenew  bool
	// AccessRefused: the service refused the access in Credential, so it
	// counts as expired.
	AccessRefused bool
	// Deadline is checked immediately before a token request is written. It is
	// set whenever AllowRenew is.
	Deadline time.Time
	// Now is the time on the host's clock when the call began, which the
	// credential's and the access's times are on. Deadline alone is on this
	// machine's.
	Now time.Time
	// Format is the format that a new credential must have: CredentialWrites of
	// the description, or CredentialBefore while builds that read nothing newer
	// are in use.
	Format uint32
}

// Opened is the answer to [OpenRequest].
type Opened struct {
	Access *connector.Access
	// Credential is nil if it is unchanged.
	Credential *connector.Credential
}

// TestRequest asks for a connection test.
type TestRequest struct {
	Settings Settings
	Network  connector.Network
	// Access is nil before the first sign-in.
	Access         *connector.Access
	RequiredScopes []string
}

// BeginRequest begins a sign-in.
type BeginRequest struct {
	Settings    Settings
	RedirectURI string
	State       connector.Secret
	// Now is the time on the host's clock.
	Now time.Time
}

// Begun is a sign-in that waits for its callback.
type Begun struct {
	URL       string
	Pending   connector.Secret
	ExpiresAt time.Time
}

// CompleteRequest ends a sign-in.
type CompleteRequest struct {
	Settings    Settings
	Network     connector.Network
	Pending     connector.Secret
	CallbackURL connector.Secret
	// Now is the time on the host's clock.
	Now time.Time
	// Format is the credential's, as in [OpenRequest].
	Format uint32
}

// Completed is the outcome of a sign-in.
type Completed struct {
	Credential connector.Credential
	Warnings   connector.Diagnostics
}

// IdentifyRequest asks whose access it is.
type IdentifyRequest struct {
	Settings Settings
	Network  connector.Network
	Access   *connector.Access
}

// NarrowRequest asks for access with fewer rights.
type NarrowRequest struct {
	Settings Settings
	Network  connector.Network
	Access   *connector.Access
	Scopes   []string
	// Resource is the URL of the one thing to reach; empty for no such bound.
	Resource string
	// Now is the time on the host's clock.
	Now time.Time
}

// RevokeRequest asks to take a grant back.
type RevokeRequest struct {
	Settings   Settings
	Network    connector.Network
	Credential connector.Credential
}
