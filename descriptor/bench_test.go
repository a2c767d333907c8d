package descriptor_test

import (
	"bytes"
	"io"
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
	c := jsonschema.NewCompiler()
	c.AssertFormat = true
	c.LoadURL = func(string) (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF }
	if err := c.AddResource("mem:schema", bytes.NewReader(readFile(b, "box.schema.json"))); err != nil {
		b.Fatal(err)
	}
	bare, err := c.Compile("mem:schema")
	if err != nil {
		b.Fatal(err)
	}
	s := d.Normalize(descriptor.Settings{"client_id": "abcdef0123456789", "client_secret": "not-a-real-one"})
	const batch = 50
	var ours, theirs int64
	for b.Loop() {
		theirs += elapsed(batch, func() {
			if err := bare.Validate(map[string]any(s)); err != nil {
				b.Fatal(err)
			}
		})
		ours += elapsed(batch, func() {
			if found := d.Validate(s); found != nil {
				b.Fatal(found)
			}
		})
	}
	n := float64(b.N) * batch
	b.ReportMetric(float64(theirs)/n, "bare-ns/op")
	b.ReportMetric(float64(ours)/n, "validate-ns/op")
	b.ReportMetric(float64(ours)/float64(theirs), "ratio")
}

// elapsed runs f n times and returns the nanoseconds that it took.
func elapsed(n int, f func()) int64 {
	start := time.Now()
	for range n {
		f()
	}
	return time.Since(start).Nanoseconds()
}
