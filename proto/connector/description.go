package connector

import "encoding/json"

// Capability is a part of the contract that a connector may leave out.
type Capability string

// The capabilities.
const (
	CapabilityAuthorize Capability = "authorize" // BeginAuthorization and CompleteAuthorization
	CapabilityIdentify  Capability = "identify"  // Identify
	CapabilityNarrow    Capability = "narrow"    // NarrowAccess
	CapabilityRevoke    Capability = "revoke"    // RevokeAuthorization
)

// SignIn is a way of getting a credential.
type SignIn string

// The kinds of sign-in.
const (
	// SignInAuthorizationCode is OAuth 2.0's authorization code grant (RFC
	// 6749, section 4.1): a person allows access in a browser.
	SignInAuthorizationCode SignIn = "authorization_code"
	// SignInNone needs no person: OpenSession starts from the settings alone.
	SignInNone SignIn = "none"
)

// RenewalReplay says what the service does with a renewal that is sent again
// because its answer was lost.
type RenewalReplay string

// The kinds of replay.
const (
	// ReplayUnknown: the service doesn't tell; hosts assume ReplayNever.
	ReplayUnknown RenewalReplay = "unknown"
	// ReplayUntilUsed: the same renewal gives the same pair again until the
	// pair was used.
	ReplayUntilUsed RenewalReplay = "until_used"
	// ReplayNever: the credential was spent with the lost answer.
	ReplayNever RenewalReplay = "never"
)

// Description is what a connector says of itself.
type Description struct {
	// ID names the connector: [a-z][a-z0-9-]*.
	ID    string `json:"id"`
	Title string `json:"title"`
	// Version is the build's version, for people.
	Version string   `json:"version"`
	SignIns []SignIn `json:"sign_ins"`
	// Capabilities is filled in by the SDK from what the connector implements.
	Capabilities []Capability `json:"capabilities"`
	// Schema is the JSON Schema of the settings, Layout the UI schema of their
	// form. Package descriptor reads both.
	Schema json.RawMessage `json:"schema"`
	Layout json.RawMessage `json:"layout"`
	// Checks are the checks of a connection test in the order of their run.
	Checks []CheckDeclaration `json:"checks"`
	// CredentialReads lists the credential formats that this build reads,
	// CredentialWrites the one that it writes.
	CredentialReads  []uint32      `json:"credential_reads"`
	CredentialWrites uint32        `json:"credential_writes"`
	RenewalReplay    RenewalReplay `json:"renewal_replay"`
}

// Has reports whether the connector declares a capability.
func (d *Description) Has(c Capability) bool {
	for _, have := range d.Capabilities {
		if have == c {
			return true
		}
	}
	return false
}

// CredentialBefore is the format before CredentialWrites, which a build writes
// too where a request asks for it: the highest of CredentialReads that is
// lower. A build that reads none has CredentialWrites here.
func (d *Description) CredentialBefore() uint32 {
	var before uint32
	for _, f := range d.CredentialReads {
		if f < d.CredentialWrites {
			before = max(before, f)
		}
	}
	if before == 0 {
		return d.CredentialWrites
	}
	return before
}
