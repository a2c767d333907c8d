package descriptor_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/boxconnection/connector/descriptor"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parseFiles(t testing.TB, name string) *descriptor.Descriptor {
	t.Helper()
	d, err := descriptor.Parse(readFile(t, name+".schema.json"), readFile(t, name+".layout.json"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestBoxDescriptorIsClean(t *testing.T) {
	t.Parallel()
	for _, f := range descriptor.Lint(readFile(t, "box.schema.json"), readFile(t, "box.layout.json")) {
		t.Error(f)
	}
	d := parseFiles(t, "box")
	for _, f := range d.Fields() {
		t.Logf("%+v", f)
	}
	s := d.Normalize(descriptor.Settings{"client_id": " abc\u00a0", "client_secret": "x", "clientid": 3, "token_url": "http://x"})
	t.Log(d.Destinations(s))
	for _, x := range d.Validate(s) {
		t.Log(x)
	}
	for _, x := range d.Validate(nil) {
		t.Log(x)
	}
}
