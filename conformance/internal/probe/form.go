package probe

// The probe's form: one visible setting and one secret.
const (
	schema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Probe", "type": "object", "additionalProperties": false,
  "properties": {
    "label": {"type": "string", "title": "Label"},
    "secret": {"type": "string", "title": "Secret", "format": "password", "writeOnly": true, "x-required": true}
  },
  "required": ["label"]
}`
	layout = `{
  "type": "Categorization",
  "elements": [{"type": "Category", "label": "Probe", "elements": [
    {"type": "Control", "scope": "#/properties/label"},
    {"type": "Control", "scope": "#/properties/secret", "options": {"format": "password"}}
  ]}]
}`
)
