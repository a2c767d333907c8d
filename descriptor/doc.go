// Package descriptor reads how a connector describes its settings: one JSON
// Schema (2020-12) and one layout in the vocabulary of the JSON Forms UI
// schema, both in a flat subset that common form renderers show unchanged.
// metaschema.json and layout-metaschema.json beside this file publish the
// subset; [Lint] holds a descriptor against it and against what a meta-schema
// can't say.
//
// A host parses a connector's two documents once with [Parse] and then works
// with the [Descriptor]:
//
//	d, err := descriptor.Parse(description.Schema, description.Layout)
//	settings, err := descriptor.Decode(input)
//	settings = d.Normalize(d.MergeEdit(stored, settings))
//	err = d.Validate(settings).Err()
//
// Nothing here reads a file, opens a connection or keeps global state. No
// message of this package contains the value of a setting.
package descriptor
