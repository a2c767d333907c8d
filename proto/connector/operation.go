package connector

import "encoding/json"

// Effect says what an operation does at the service.
type Effect string

// The effects.
const (
	EffectRead   Effect = "read"   // it changes nothing
	EffectWrite  Effect = "write"  // it makes or changes something
	EffectDelete Effect = "delete" // it takes something away
)

// OperationSet is what a binary with operations says of itself.
type OperationSet struct {
	// ID names the set: [a-z][a-z0-9-]*.
	ID    string `json:"id"`
	Title string `json:"title"`
	// Version is the build's version, for people.
	Version string `json:"version"`
	// Connector is the ID of the connector whose connections the operations
	// work on.
	Connector string `json:"connector"`
	// ContractMin and ContractMax are the first and the last major version of
	// the connector contract that the operations work with.
	ContractMin int         `json:"contract_min"`
	ContractMax int         `json:"contract_max"`
	Operations  []Operation `json:"operations"`
}

// Operation returns the operation of an ID and whether there is one.
func (s *OperationSet) Operation(id string) (*Operation, bool) {
	for i := range s.Operations {
		if s.Operations[i].ID == id {
			return &s.Operations[i], true
		}
	}
	return nil, false
}

// Operation is one action on one kind of object.
type Operation struct {
	// ID names the operation in its set: [a-z][a-z0-9-]*.
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	Effect      Effect `json:"effect"`
	// Input and Output are the JSON Schemas of the input document and of each
	// output document.
	Input  json.RawMessage `json:"input"`
	Output json.RawMessage `json:"output"`
	// Scopes are those that the connection's grant must cover.
	Scopes []string `json:"scopes,omitempty"`
	// Narrow are the scopes that the access is narrowed to; empty for Scopes.
	Narrow []string `json:"narrow,omitempty"`
	// Resource is the one thing that the access must reach, as a URL in which
	// {name} stands for the endpoint or the input's member of that name.
	Resource string `json:"resource,omitempty"`
	// TakesContent and GivesContent tell whether documents come with content.
	TakesContent bool `json:"takes_content,omitempty"`
	GivesContent bool `json:"gives_content,omitempty"`
	// Resumable: an execution can go on from a checkpoint.
	Resumable bool `json:"resumable,omitempty"`
}

// NarrowedTo returns the scopes that the operation's access is narrowed to,
// none if it declares none.
func (o *Operation) NarrowedTo() []string {
	if len(o.Narrow) > 0 {
		return o.Narrow
	}
	return o.Scopes
}
