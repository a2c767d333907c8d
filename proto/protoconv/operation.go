package protoconv

import (
	"fmt"
	"slices"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
)

// An unknown effect must not pass for a harmless one.
var effects = newEnum(connector.EffectWrite, operationv1.Effect_EFFECT_UNSPECIFIED,
	map[connector.Effect]operationv1.Effect{
		connector.EffectRead:   operationv1.Effect_EFFECT_READ,
		connector.EffectWrite:  operationv1.Effect_EFFECT_WRITE,
		connector.EffectDelete: operationv1.Effect_EFFECT_DELETE,
	})

// OperationSetToProto writes a set as the answer to Describe, with this
// build's contract version.
func OperationSetToProto(s connector.OperationSet) *operationv1.DescribeResponse {
	p := &operationv1.DescribeResponse{
		Id: s.ID, Title: cleanText(s.Title, maxName), Version: cleanText(s.Version, maxName),
		ContractVersion: handshake.Version, Connector: s.Connector,
		ConnectorContractMin: uint32(max(0, s.ContractMin)), ConnectorContractMax: uint32(max(0, s.ContractMax)),
	}
	for i := range s.Operations {
		p.Operations = append(p.Operations, operationToProto(&s.Operations[i]))
	}
	return p
}

func operationToProto(o *connector.Operation) *operationv1.Operation {
	return &operationv1.Operation{
		Id: o.ID, Title: cleanText(o.Title, maxName), Description: cleanText(o.Description, maxText),
		Effect: effects.toProto(o.Effect), InputSchema: slices.Clone(o.Input), OutputSchema: slices.Clone(o.Output),
		Scopes: slices.Clone(o.Scopes), Narrow: slices.Clone(o.Narrow), Resource: o.Resource,
		TakesContent: o.TakesContent, GivesContent: o.GivesContent, Resumable: o.Resumable,
	}
}

// OperationSetFromProto reads the answer to Describe. It fails with a
// [*MalformedError] if the answer follows another major version of the
// contract, or what it needs to be used is missing or too large.
func OperationSetFromProto(p *operationv1.DescribeResponse) (connector.OperationSet, error) {
	var none connector.OperationSet
	switch {
	case p.GetContractVersion() != handshake.Version:
		return none, &MalformedError{"contract_version", fmt.Sprintf("is %d and not %d", p.GetContractVersion(), handshake.Version)}
	case !connectorID.MatchString(p.GetId()):
		return none, &MalformedError{"id", "is not of the form [a-z][a-z0-9-]*"}
	case !connectorID.MatchString(p.GetConnector()):
		return none, &MalformedError{"connector", "is not of the form [a-z][a-z0-9-]*"}
	case len(p.GetOperations()) > handshake.MaxOperations:
		return none, &MalformedError{"operations", fmt.Sprintf("are more than %d", handshake.MaxOperations)}
	}
	s := connector.OperationSet{
		ID: p.GetId(), Title: cleanText(p.GetTitle(), maxName), Version: cleanText(p.GetVersion(), maxName),
		Connector: p.GetConnector(), ContractMin: int(p.GetConnectorContractMin()), ContractMax: int(p.GetConnectorContractMax()),
	}
	for _, o := range p.GetOperations() {
		read, err := operationFromProto(o)
		if err != nil {
			return none, err
		}
		if _, twice := s.Operation(read.ID); twice {
			return none, &MalformedError{"operations", "are not told apart by their IDs"}
		}
		s.Operations = append(s.Operations, read)
	}
	return s, nil
}

func operationFromProto(p *operationv1.Operation) (connector.Operation, error) {
	switch {
	case !connectorID.MatchString(p.GetId()):
		return connector.Operation{}, &MalformedError{"operations.id", "is not of the form [a-z][a-z0-9-]*"}
	case len(p.GetInputSchema()) > handshake.MaxSchemaBytes || len(p.GetOutputSchema()) > handshake.MaxSchemaBytes:
		return connector.Operation{}, &MalformedError{"operations.input_schema", fmt.Sprintf("has more than %d bytes", handshake.MaxSchemaBytes)}
	}
	return connector.Operation{
		ID: p.GetId(), Title: cleanText(p.GetTitle(), maxName), Description: cleanText(p.GetDescription(), maxText),
		Effect: effects.fromProto(p.GetEffect()), Input: slices.Clone(p.GetInputSchema()), Output: slices.Clone(p.GetOutputSchema()),
		Scopes: cleanList(p.GetScopes()), Narrow: cleanList(p.GetNarrow()), Resource: cleanText(p.GetResource(), maxText),
		TakesContent: p.GetTakesContent(), GivesContent: p.GetGivesContent(), Resumable: p.GetResumable(),
	}, nil
}

// PropertiesFromProto reads a document's properties with clean names and
// values.
func PropertiesFromProto(p map[string]string) map[string]string {
	if len(p) == 0 {
		return nil
	}
	clean := make(map[string]string, len(p))
	for name, value := range p {
		clean[cleanText(name, maxName)] = cleanText(value, maxName)
	}
	return clean
}
