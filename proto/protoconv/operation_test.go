package protoconv_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

func operations() connector.OperationSet {
	return connector.OperationSet{
		ID: "box-operations", Title: "Box", Version: "1.2", Connector: "box", ContractMin: 1, ContractMax: 2,
		Operations: []connector.Operation{
			{
				ID: "get", Title: "Get", Description: "Gets it", Effect: connector.EffectRead, Input: json.RawMessage(`{"a":1}`),
				Output: json.RawMessage(`{"b":1}`), Scopes: []string{"s"}, Narrow: []string{"n"}, Resource: "{api}/x/{id}",
				TakesContent: true, GivesContent: true, Resumable: true,
			},
			{ID: "delete", Title: "Delete", Effect: connector.EffectDelete},
		},
	}
}

func TestOperationSetRoundTrip(t *testing.T) {
	t.Parallel()
	data, err := proto.Marshal(protoconv.OperationSetToProto(operations()))
	if err != nil {
		t.Fatal(err)
	}
	var p operationv1.DescribeResponse
	if err := proto.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	got, err := protoconv.OperationSetFromProto(&p)
	if diff := cmp.Diff(operations(), got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// What a host can't use is refused by the field's name.
func TestOperationSetRefused(t *testing.T) {
	t.Parallel()
	for field, spoil := range map[string]func(*operationv1.DescribeResponse){
		"contract_version": func(p *operationv1.DescribeResponse) { p.ContractVersion = 9 },
		"id":               func(p *operationv1.DescribeResponse) { p.Id = "Box Operations" },
		"connector":        func(p *operationv1.DescribeResponse) { p.Connector = "" },
		"operations":       func(p *operationv1.DescribeResponse) { p.Operations[1].Id = "get" },
		"operations.id":    func(p *operationv1.DescribeResponse) { p.Operations[0].Id = "../get" },
		"operations.input_schema": func(p *operationv1.DescribeResponse) {
			p.Operations[0].InputSchema = make([]byte, handshake.MaxSchemaBytes+1)
		},
	} {
		p := protoconv.OperationSetToProto(operations())
		spoil(p)
		_, err := protoconv.OperationSetFromProto(p)
		malformed, ok := errors.AsType[*protoconv.MalformedError](err)
		if !ok || malformed.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if _, err := protoconv.OperationSetFromProto(nil); err == nil {
		t.Error("nothing at all is taken")
	}
}

// An effect that this build doesn't know may be anything but harmless.
func TestUnknownEffectWrites(t *testing.T) {
	t.Parallel()
	p := protoconv.OperationSetToProto(operations())
	p.Operations[0].Effect = 77
	if s, err := protoconv.OperationSetFromProto(p); err != nil || s.Operations[0].Effect != connector.EffectWrite {
		t.Errorf("got %q, %v", s.Operations[0].Effect, err)
	}
}

func TestPropertiesAreClean(t *testing.T) {
	t.Parallel()
	got := protoconv.PropertiesFromProto(map[string]string{"File\x1b[31m": "a\nb", "long": strings.Repeat("x", 1000)})
	if got["File[31m"] != "a b" || len(got["long"]) != 256 || protoconv.PropertiesFromProto(nil) != nil {
		t.Errorf("got %q", got)
	}
}
