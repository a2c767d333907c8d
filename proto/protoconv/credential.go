package protoconv

import (
	"github.com/boxconnection/connector/proto/connector"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// CredentialToProto writes a credential, its bytes included. The zero
// credential is absent.
func CredentialToProto(c connector.Credential) *connectorv1.Credential {
	if c == (connector.Credential{}) {
		return nil
	}
	return &connectorv1.Credential{
		Format: c.Format, Data: []byte(c.Data.Reveal()),
		AccessExpiresAt: Timestamp(c.AccessExpiresAt), LapsesAt: Timestamp(c.LapsesAt),
	}
}

// CredentialFromProto reads a credential; an absent one is the zero
// credential. It fails with a [*MalformedError].
func CredentialFromProto(p *connectorv1.Credential) (connector.Credential, error) {
	expires, err := Time(p.GetAccessExpiresAt(), "credential.access_expires_at")
	if err != nil {
		return connector.Credential{}, err
	}
	lapses, err := Time(p.GetLapsesAt(), "credential.lapses_at")
	if err != nil {
		return connector.Credential{}, err
	}
	return connector.Credential{
		Format: p.GetFormat(), Data: connector.NewSecret(string(p.GetData())),
		AccessExpiresAt: expires, LapsesAt: lapses,
	}, nil
}
