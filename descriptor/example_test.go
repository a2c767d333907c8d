package descriptor_test

import (
	"fmt"
	"os"

	"github.com/boxconnection/connector/descriptor"
)

func Example() {
	schema, err := os.ReadFile("testdata/box.schema.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	layout, err := os.ReadFile("testdata/box.layout.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := descriptor.Parse(schema, layout)
	if err != nil {
		fmt.Println(err)
		return
	}
	settings, err := descriptor.Decode([]byte(`{"clientid": "pasted with blanks ", "client_secret": "s"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, problem := range d.Validate(d.Normalize(settings)) {
		fmt.Println(problem)
	}
	// Output:
	// SETTING_REQUIRED at /client_id: "Client ID" is missing. Fill it in.
	// SETTING_UNKNOWN at /clientid: There is no setting "clientid". Did you mean "client_id"?
}
