package protoconv

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

var connectorID = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

// Unknown capabilities and kinds of sign-in are left out when they are read:
// they are of a later contract, and this side can't use them.
var (
	capabilities = newEnum("", connectorv1.Capability_CAPABILITY_UNSPECIFIED,
		map[connector.Capability]connectorv1.Capability{
			connector.CapabilityAuthorize: connectorv1.Capability_CAPABILITY_AUTHORIZE,
			connector.CapabilityIdentify:  connectorv1.Capability_CAPABILITY_IDENTIFY,
			connector.CapabilityNarrow:    connectorv1.Capability_CAPABILITY_NARROW,
			connector.CapabilityRevoke:    connectorv1.Capability_CAPABILITY_REVOKE,
		})
	signIns = newEnum("", connectorv1.SignIn_SIGN_IN_UNSPECIFIED,
		map[connector.SignIn]connectorv1.SignIn{
			connector.SignInAuthorizationCode: connectorv1.SignIn_SIGN_IN_AUTHORIZATION_CODE,
			connector.SignInNone:              connectorv1.SignIn_SIGN_IN_NONE,
		})
	renewalReplays = newEnum(connector.ReplayUnknown, connectorv1.RenewalReplay_RENEWAL_REPLAY_UNSPECIFIED,
		map[connector.RenewalReplay]connectorv1.RenewalReplay{
			connector.ReplayUntilUsed: connectorv1.RenewalReplay_RENEWAL_REPLAY_UNTIL_USED,
			connector.ReplayNever:     connectorv1.RenewalReplay_RENEWAL_REPLAY_NEVER,
		})
)

// DescriptionToProto writes a description as the answer to Describe, with
// this build's contract version.
func DescriptionToProto(d connector.Description) *connectorv1.DescribeResponse {
	p := &connectorv1.DescribeResponse{
		Id: d.ID, Title: cleanText(d.Title, maxName), Version: cleanText(d.Version, maxName),
		ContractVersion: handshake.Version,
		Schema:          slices.Clone(d.Schema), Layout: slices.Clone(d.Layout),
		CredentialReads: slices.Clone(d.CredentialReads), CredentialWrites: d.CredentialWrites,
		RenewalReplay: renewalReplays.toProto(d.RenewalReplay),
	}
	for _, c := range d.Capabilities {
		p.Capabilities = append(p.Capabilities, capabilities.toProto(c))
	}
	for _, s := range d.SignIns {
		p.SignIns = append(p.SignIns, signIns.toProto(s))
	}
	for _, c := range d.Checks {
		p.Checks = append(p.Checks, CheckDeclarationToProto(c))
	}
	return p
}

// DescriptionFromProto reads the answer to Describe. It fails with a
// [*MalformedError] if the answer follows another major version of the
// contract or doesn't name the connector.
func DescriptionFromProto(p *connectorv1.DescribeResponse) (connector.Description, error) {
	if p.GetContractVersion() != handshake.Version {
		return connector.Description{}, &MalformedError{"contract_version", fmt.Sprintf("is %d and not %d", p.GetContractVersion(), handshake.Version)}
	}
	if !connectorID.MatchString(p.GetId()) {
		return connector.Description{}, &MalformedError{"id", "is not of the form [a-z][a-z0-9-]*"}
	}
	d := connector.Description{
		ID: p.GetId(), Title: cleanText(p.GetTitle(), maxName), Version: cleanText(p.GetVersion(), maxName),
		Schema: slices.Clone(p.GetSchema()), Layout: slices.Clone(p.GetLayout()),
		CredentialReads: slices.Clone(p.GetCredentialReads()), CredentialWrites: p.GetCredentialWrites(),
		RenewalReplay: renewalReplays.fromProto(p.GetRenewalReplay()),
	}
	for _, n := range p.GetCapabilities() {
		if c := capabilities.fromProto(n); c != "" {
			d.Capabilities = append(d.Capabilities, c)
		}
	}
	for _, n := range p.GetSignIns() {
		if s := signIns.fromProto(n); s != "" {
			d.SignIns = append(d.SignIns, s)
		}
	}
	for _, c := range p.GetChecks() {
		d.Checks = append(d.Checks, CheckDeclarationFromProto(c))
	}
	return d, nil
}
