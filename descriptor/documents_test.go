package descriptor_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/proto/connector"
)

const documentSchema = `{"type":"object","additionalProperties":false,"required":["id","link"],"properties":{
 "id":{"type":"string","title":"Folder ID","pattern":"^[0-9]+$"},
 "fields":{"type":"array","items":{"enum":["id","name"]},"maxItems":2},
 "limit":{"type":"integer","default":100,"minimum":1},
 "when":{"type":"string","format":"date-time"},
 "which":{"oneOf":[{"type":"string"},{"type":"boolean"}]},
 "link":{"type":"object","required":["access"],"additionalProperties":false,"properties":{"access":{"type":"string","enum":["open"]},"a/b":{"type":"string"}}}}}`

// Everything that is wrong with a document is told at once, at its own place,
// without a value of it.
func TestDocumentProblems(t *testing.T) {
	t.Parallel()
	s, err := descriptor.ParseDocumentSchema([]byte(documentSchema))
	if err != nil {
		t.Fatal(err)
	}
	for document, want := range map[string]string{
		`{"id":"1","link":{"access":"open"}}`: "",
		`{"link":{"access":"open"}}`:          "/id",
		`{}`:                                  "/id /link",
		`{"id":"s3cret","fields":["s3cret","id","name"],"limit":0,"link":{"a/b":9,"acces":"s3cret"}}`: "/fields /fields/0 /id /limit /link/access /link/acces /link/a~1b",
		`{"id":"1","link":{"access":"open"},"which":7,"when":"s3cret"}`:                               "/when /which",
		`{"id":"1","link":{"access":"open"},"Id":"s3cret"}`:                                           "/Id",
		`null`:     "",
		`"s3cret"`: "",
		`{"id":`:   "",
	} {
		_, problems := s.Read([]byte(document))
		var got []string
		for _, p := range problems {
			got = append(got, p.Pointer)
			if p.Code != connector.InputInvalid || strings.Contains(p.Error(), "s3cret") || p.Suggestion == "" {
				t.Errorf("%s: %v", document, p)
			}
		}
		wanted := strings.Fields(want)
		slices.Sort(got)
		slices.Sort(wanted)
		if strings.Join(got, " ") != strings.Join(wanted, " ") {
			t.Errorf("%s: problems at %q, want %q", document, got, wanted)
		}
		if valid := strings.HasPrefix(document, `{"id":"1","link":{"access":"open"}}`); valid != (len(problems) == 0) {
			t.Errorf("%s: %v", document, problems.Err())
		}
	}
}

// Defaults go in, and large numbers keep their digits.
func TestDocumentDefaults(t *testing.T) {
	t.Parallel()
	s, err := descriptor.ParseDocumentSchema([]byte(documentSchema))
	if err != nil {
		t.Fatal(err)
	}
	d, problems := s.Read([]byte(`{"id":"1","link":{"access":"open"}}`))
	if problems != nil || d["limit"] != float64(100) {
		t.Errorf("%v, %v", d, problems.Err())
	}
	d, _ = s.Read([]byte(`{"id":"1","limit":9007199254740993,"link":{"access":"open"}}`))
	if data, err := json.Marshal(d["limit"]); err != nil || string(data) != "9007199254740993" {
		t.Errorf("%s, %v", data, err)
	}
}
