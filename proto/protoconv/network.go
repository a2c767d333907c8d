package protoconv

import (
	"slices"

	"github.com/boxconnection/connector/proto/connector"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// NetworkToProto writes network settings, the proxy's password included. None
// at all is absent.
func NetworkToProto(n connector.Network) *connectorv1.Network {
	if n.ProxyURL.IsZero() && len(n.NoProxy) == 0 && len(n.ExtraCAs) == 0 {
		return nil
	}
	return &connectorv1.Network{
		ProxyUrl: n.ProxyURL.Reveal(), NoProxy: slices.Clone(n.NoProxy), ExtraCas: slices.Clone(n.ExtraCAs),
	}
}

// NetworkFromProto reads network settings; absent ones are the zero value.
func NetworkFromProto(p *connectorv1.Network) connector.Network {
	return connector.Network{
		ProxyURL: connector.NewSecret(p.GetProxyUrl()),
		NoProxy:  slices.Clone(p.GetNoProxy()),
		ExtraCAs: slices.Clone(p.GetExtraCas()),
	}
}
