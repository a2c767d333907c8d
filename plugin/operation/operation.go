package operation

import (
	"context"
	"encoding/json"

	"github.com/boxconnection/connector/proto/connector"
)

// Effect says what an operation does at the service.
type Effect = connector.Effect

// The effects.
const (
	Read   = connector.EffectRead   // it changes nothing
	Write  = connector.EffectWrite  // it makes or changes something
	Delete = connector.EffectDelete // it takes something away
)

// Plugin is a binary with operations.
type Plugin struct {
	// ID names the set: [a-z][a-z0-9-]*.
	ID    string
	Title string
	// Version is the build's version, for people.
	Version string
	// Connector is the ID of the connector whose connections the operations
	// work on.
	Connector string
	// ContractMin and ContractMax are the first and the last major version of
	// the connector contract that they work with; zero for this build's.
	ContractMin, ContractMax int
	Operations               Set
}

// Set is the operations of a plugin.
type Set []Operation

// Operation is one action on one kind of object.
type Operation struct {
	// ID names the operation in its set: [a-z][a-z0-9-]*, such as
	// "get-folder".
	ID          string
	Title       string
	Description string
	Effect      Effect

	// Scopes are those that the connection's grant must cover.
	Scopes []string
	// Narrow are the scopes that the access is narrowed to, if the connector
	// can narrow; empty for Scopes.
	Narrow []string
	// Resource is the one thing that the access must reach, as a URL in which
	// {name} stands for the endpoint of that name or for the input's member:
	// "{api}/folders/{folder_id}". Where the input has no such member, the
	// access is narrowed by scopes alone. Empty: no such bound.
	Resource string

	// Input and Output are the JSON Schemas, 2020-12, of the input document and
	// of each output document. Nil derives them from the types of Run: see
	// [Func]. A schema that is given must have exactly the type's members.
	// Defaults of the root's properties are put into the input.
	Input, Output json.RawMessage

	// TakesContent: the input document comes with content, see
	// [Session.Content]. GivesContent: output documents may.
	TakesContent, GivesContent bool
	// Resumable: the operation makes checkpoints and can go on from them.
	Resumable bool

	// Run does it: [Func] or [Stream].
	Run Runner
}

// Runner is a function with typed documents. [Func] and [Stream] make it.
type Runner interface {
	// run decodes the input and runs the function.
	run(ctx context.Context, s *Session, input []byte) error
	// types returns zero values of the documents' types.
	types() (in, out any)
}

// Func makes a Runner of a function that brings one document: out, which is
// sent when the function returns nil.
//
// In and Out are structs, decoded and encoded as encoding/json does. A schema
// is derived from them where the operation gives none: a field's JSON name,
// its type, and its tags title, description, default, enum (separated by
// commas), format, pattern, minLength, maxLength, minimum and maximum. Fields
// without omitempty or omitzero are required, unless they are pointers or have
// a default.
func Func[In, Out any](f func(ctx context.Context, s *Session, in *In, out *Out) error) Runner {
	return Stream(func(ctx context.Context, s *Session, in *In, out *Output[Out]) error {
		document := new(Out)
		if err := f(ctx, s, in, document); err != nil {
			return err
		}
		return out.Send(document)
	})
}

// Stream makes a Runner of a function that brings any number of documents,
// with content or without. The types are those of [Func].
func Stream[In, Out any](f func(ctx context.Context, s *Session, in *In, out *Output[Out]) error) Runner {
	return runner[In, Out]{f}
}

type runner[In, Out any] struct {
	f func(context.Context, *Session, *In, *Output[Out]) error
}

func (r runner[In, Out]) types() (in, out any) { return new(In), new(Out) }

func (r runner[In, Out]) run(ctx context.Context, s *Session, input []byte) error {
	in := new(In)
	if err := json.Unmarshal(input, in); err != nil {
		// The schema took it, so schema and type differ.
		return connector.Errorf(connector.InputInvalid, connector.OriginSettings, "The input doesn't fit the operation's own type.").
			Suggest("Report it to the author of the operation: its schema allows what it can't read.").Because(err)
	}
	return r.f(ctx, s, in, &Output[Out]{s})
}

// Tracker is what an output document implements that has properties to be
// shown beside it: at most 16, with names and values of at most 256 bytes.
type Tracker interface {
	Tracked() map[string]string
}
