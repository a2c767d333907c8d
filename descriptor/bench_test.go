package descriptor_test

import (
	"bytes"
	"io"
	"math"
	"os"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/boxconnection/connector/descriptor"
)

// BenchmarkValidate compares Validate of valid settings with the bare
// validator on the same schema, alternating between the two so that both see
// the same machine. It reports the ratio of their times.
func BenchmarkValidate(b *testing.B) {
	d := parseFiles(b, "box")
	bare := bareSchema(b, "box")
	s := d.Normalize(descriptor.Settings{"client_id": "abcdef0123456789", "client_secret": "not-a-real-one"})
	const batch = 50
	ours, theirs := int64(math.MaxInt64), int64(math.MaxInt64)
	for b.Loop() {
		theirs = min(theirs, elapsed(batch, func() {
			if err := bare.Validate(map[string]any(s)); err != nil {
				b.Fatal(err)
			}
		}))
		ours = min(ours, elapsed(batch, func() {
			if found := d.Validate(s); found != nil {
				b.Fatal(found)
			}
		}))
	}
	b.ReportMetric(float64(theirs)/batch, "bare-ns/op")
	b.ReportMetric(float64(ours)/batch, "validate-ns/op")
	b.ReportMetric(float64(ours)/float64(theirs), "ratio")
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

// elapsed runs f n times and returns the nanoseconds that it took.
func elapsed(n int, f func()) int64 {
	start := time.Now()
	for range n {
		f()
	}
	return time.Since(start).Nanoseconds()
}
