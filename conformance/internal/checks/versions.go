package checks

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/boxconnection/connector/conformance/internal/check"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// versionChecks judge what is declared against what is there, and what is
// unknown.
func versionChecks() []*check.Check {
	const need = check.Description | check.Settings | check.Peer
	return []*check.Check{
		{
			ID: "versions.unknown-fields", Level: check.Must, Clauses: []string{"V-2"}, Needs: need,
			Title: "Fields that it doesn't know are ignored.",
			Run:   unknownFields,
		},
		{
			ID: "versions.undeclared", Level: check.Must, Clauses: []string{"V-4"}, Needs: need,
			Title: "Calls of capabilities that aren't declared fail with UNIMPLEMENTED and CODE_UNSUPPORTED.",
			Run:   undeclared,
		},
		{
			ID: "versions.declared", Level: check.Must, Clauses: []string{"V-5"}, Needs: need,
			Title: "Calls of declared capabilities don't fail with CODE_UNSUPPORTED.",
			Run:   declared,
		},
	}
}

// strange adds fields that nobody knows to a message.
func strange[M proto.Message](m M) M {
	raw := protowire.AppendTag(nil, 15001, protowire.BytesType)
	raw = protowire.AppendString(raw, "a field of a later version")
	raw = protowire.AppendTag(raw, 15002, protowire.VarintType)
	raw = protowire.AppendVarint(raw, 7)
	m.ProtoReflect().SetUnknown(raw)
	return m
}

func unknownFields(t *check.T) {
	signedIn(t)
	c := t.Start()
	if _, err := c.Describe(t.Call(), strange(&connectorv1.DescribeRequest{})); err != nil {
		t.Errorf("Describe: %s", check.Brief(err))
	}
	plain := validate(t, c, t.Good())
	answer, err := c.ValidateSettings(t.Call(), strange(&connectorv1.ValidateSettingsRequest{Settings: t.Good()}))
	if err != nil || len(answer.GetDiagnostics()) != len(plain) {
		t.Errorf("ValidateSettings: %s, %d problems in place of %d", check.Brief(err), len(answer.GetDiagnostics()), len(plain))
	}
	var credential *connectorv1.Credential
	if t.SignsIn() {
		credential = strange(t.SignIn(c))
	}
	if _, err := c.OpenSession(t.Call(), strange(t.Open(credential))); err != nil {
		t.Errorf("OpenSession: %s", check.Brief(err))
	}
	access := strange(t.Access(c, credential))
	if _, err := c.Test(t, strange(&connectorv1.TestConnectionRequest{Settings: t.Good(), Access: access}), check.CallLimit); err != nil {
		t.Errorf("TestConnection: %s", check.Brief(err))
	}
}

func undeclared(t *check.T) {
	c := t.Start()
	access := &connectorv1.Access{Token: "a-token", TokenType: "Bearer"}
	found := false
	for _, call := range t.Calls(c, t.Good(), &connectorv1.Credential{Format: 1, Data: []byte("{}")}, access, nil) {
		if call.Capability == 0 || t.Declares(call.Capability) {
			continue
		}
		found = true
		f := check.Failed(call.Make())
		if f == nil || f.GRPC != codes.Unimplemented || f.Diagnostic().GetCode() != connectorv1.Code_CODE_UNSUPPORTED {
			t.Errorf("%s, which isn't declared, is answered with %s", call.Name, check.Brief(c.Last().Err))
		}
	}
	if !found {
		t.NotApplicablef("Describe lists %v: all there are", t.Described().GetCapabilities())
	}
}

func declared(t *check.T) {
	c := t.Start()
	credential := t.SignIn(c)
	access := t.Access(c, credential)
	var begun *check.Begun
	if t.SignsIn() {
		begun = t.Begin(c)
	}
	for _, call := range t.Calls(c, t.Good(), credential, access, begun) {
		if call.Capability != 0 && !t.Declares(call.Capability) {
			continue
		}
		if err := call.Make(); code(err) == connectorv1.Code_CODE_UNSUPPORTED {
			t.Errorf("%s, which is declared, is answered with %s", call.Name, check.Brief(err))
		}
	}
}
