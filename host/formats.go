package host

import (
	"slices"

	"github.com/boxconnection/connector/proto/connector"
)

// WithNewFormats lets connectors write their newest credential format. Without
// it a build that reads the format before writes that one, so that a node
// which still runs the build before serves the connection too, and going back
// to it loses no sign-in. Set it on all nodes once none of them runs an older
// build; to go back later, take it away first and let the connections be
// renewed.
func WithNewFormats() Option { return option(func(h *Host) { h.newFormats = true }) }

// writes is the credential format that a connector is asked to write.
func (h *Host) writes(c *Connector) uint32 {
	if h.newFormats {
		return c.description.CredentialWrites
	}
	return c.description.CredentialBefore()
}

// reads refuses a credential that this build of the connector can't read. It
// says nothing of the credential, which another build can.
func (c *Connector) reads(cred connector.Credential) error {
	d := &c.description
	if cred.IsZero() || slices.Contains(d.CredentialReads, cred.Format) {
		return nil
	}
	which, what := "a newer build", "Upgrade the connector again, or load the newer build on this node"
	if cred.Format < d.CredentialWrites {
		which, what = "an older build", "Load the build before this one, and let the connection be renewed there with new formats allowed"
	}
	return connector.Errorf(connector.CredentialUnreadable, connector.OriginHost,
		"The credential was written by %s of the connector %s, in format %d.", which, d.ID, cred.Format).
		WithDetail("version %s reads the formats %v", d.Version, d.CredentialReads).
		Suggest("%s. The credential is kept as it is, and nobody has to sign in again.", what)
}
