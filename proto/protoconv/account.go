package protoconv

import (
	"github.com/boxconnection/connector/proto/connector"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// AccountToProto writes an account. IDs go out as they are, the rest as clean
// text.
func AccountToProto(a connector.Account) *connectorv1.Account {
	return &connectorv1.Account{
		Id: a.ID, Login: cleanText(a.Login, maxName), Name: cleanText(a.Name, maxName),
		EnterpriseId: a.EnterpriseID, EnterpriseName: cleanText(a.EnterpriseName, maxName),
	}
}

// AccountFromProto reads an account; an absent one is the zero account. IDs
// come as they are: they are compared, so a host checks them before it shows
// them.
func AccountFromProto(p *connectorv1.Account) connector.Account {
	return connector.Account{
		ID: p.GetId(), Login: cleanText(p.GetLogin(), maxName), Name: cleanText(p.GetName(), maxName),
		EnterpriseID: p.GetEnterpriseId(), EnterpriseName: cleanText(p.GetEnterpriseName(), maxName),
	}
}
