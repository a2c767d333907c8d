package descriptor_test

import (
	"bytes"
	"io"
	"os"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/proto/benchtest"
)

// BenchmarkValidate compares Validate of valid settings with the bare
// validator on the same schema.
func BenchmarkValidate(b *testing.B) {
	d := parseFiles(b, "box")
	bare := bareSchema(b, "box")
	s := d.Normalize(descriptor.Settings{"client_id": "abcdef0123456789", "client_secret": "not-a-real-one"})
	const calls = 200
	benchtest.Compare(b, benchtest.Bound{Ratio: 1.15}, calls,
		func() time.Duration {
			return elapsed(calls, func() {
				if err := bare.Validate(map[string]any(s)); err != nil {
					b.Fatal(err)
				}
			})
		},
		func() time.Duration {
			return elapsed(calls, func() {
				if found := d.Validate(s); found != nil {
					b.Fatal(found)
				}
			})
		})
}

// bareSchema compiles a fixture's schema with the validator alone.
func bareSchema(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat = true
	c.LoadURL = func(string) (io.ReadCloser, error) { return nil, os.ErrPermission }
	if err := c.AddResource("mem:schema", bytes.NewReader(readFile(t, name+".schema.json"))); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("mem:schema")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// elapsed runs f n times and returns how long it took.
func elapsed(n int, f func()) time.Duration {
	start := time.Now()
	for range n {
		f()
	}
	return time.Since(start)
}
