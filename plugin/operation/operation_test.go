package operation_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/boxconnection/connector/plugin/operation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type input struct {
	Name   string    `json:"name" title:"Name" minLength:"1" maxLength:"255"`
	Kind   string    `json:"kind,omitempty" enum:"file,folder"`
	Fields []string  `json:"fields,omitempty" enum:"id,name"`
	Limit  int       `json:"limit" default:"100" minimum:"1"`
	Since  time.Time `json:"since,omitzero"`
	Parent *parent   `json:"parent"`
	Note   string    `json:"-"`
}

type parent struct {
	ID string `json:"id"`
}

type output struct {
	ID string `json:"id"`
}

func nothing(context.Context, *operation.Session, *input, *output) error { return nil }

func plugin(o operation.Operation) operation.Plugin {
	return operation.Plugin{ID: "set", Title: "Set", Version: "1", Connector: "box", Operations: operation.Set{o}}
}

func good() operation.Operation {
	return operation.Operation{ID: "get", Title: "Get", Effect: operation.Read, Run: operation.Func(nothing)}
}

// What an author got wrong is said at the start, by the operation's ID.
func TestNewServerRefuses(t *testing.T) {
	t.Parallel()
	if _, err := operation.NewServer(plugin(good())); err != nil {
		t.Fatal(err)
	}
	type looped struct {
		Next []*looped `json:"next"`
	}
	for want, spoil := range map[string]func(*operation.Plugin){
		"isn't of the form":      func(p *operation.Plugin) { p.Operations[0].ID = "Get It" },
		"it has no title":        func(p *operation.Plugin) { p.Operations[0].Title = "" },
		"effect":                 func(p *operation.Plugin) { p.Operations[0].Effect = "boom" },
		"no Run":                 func(p *operation.Plugin) { p.Operations[0].Run = nil },
		"is there twice":         func(p *operation.Plugin) { p.Operations = append(p.Operations, p.Operations[0]) },
		"0 operations":           func(p *operation.Plugin) { p.Operations = nil },
		"the connector":          func(p *operation.Plugin) { p.Connector = "" },
		"title and version":      func(p *operation.Plugin) { p.Version = "" },
		"holds no version":       func(p *operation.Plugin) { p.ContractMin, p.ContractMax = 3, 2 },
		"isn't a JSON object":    func(p *operation.Plugin) { p.Operations[0].Input = json.RawMessage(`7`) },
		`must have the type "ob`: func(p *operation.Plugin) { p.Operations[0].Input = json.RawMessage(`{"type":"array"}`) },
		`has a member "paht"`: func(p *operation.Plugin) {
			p.Operations[0].Output = json.RawMessage(`{"type":"object","properties":{"paht":{}}}`)
		},
		"members that the schema hasn't": func(p *operation.Plugin) {
			p.Operations[0].Output = json.RawMessage(`{"type":"object"}`)
		},
		"not loaded": func(p *operation.Plugin) {
			p.Operations[0].Output = json.RawMessage(`{"type":"object","properties":{"id":{"$ref":"file:///etc/passwd"}}}`)
		},
		"isn't a struct": func(p *operation.Plugin) {
			p.Operations[0].Run = operation.Func(func(context.Context, *operation.Session, *string, *output) error { return nil })
		},
		"too deep, or holds itself": func(p *operation.Plugin) {
			p.Operations[0].Run = operation.Func(func(context.Context, *operation.Session, *looped, *output) error { return nil })
		},
		"no schema can be derived": func(p *operation.Plugin) {
			p.Operations[0].Run = operation.Func(func(context.Context, *operation.Session, *struct{ F func() }, *output) error { return nil })
		},
		"isn't a number": func(p *operation.Plugin) {
			p.Operations[0].Run = operation.Func(func(context.Context, *operation.Session, *struct {
				F string `minLength:"x"`
			}, *output) error {
				return nil
			})
		},
	} {
		p := plugin(good())
		spoil(&p)
		if _, err := operation.NewServer(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
}
