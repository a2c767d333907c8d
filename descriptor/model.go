package descriptor

import (
	"encoding/json"
	"strconv"
	"strings"
)

// The documents as Go types. They are filled only from documents that the
// meta-schemas accept.
type (
	schemaDocument struct {
		Title       string              `json:"title"`
		Description string              `json:"description"`
		Properties  map[string]property `json:"properties"`
		Required    []string            `json:"required"`
		AllOf       []conditional       `json:"allOf"`
	}
	property struct {
		Type        Type     `json:"type"`
		Title       string   `json:"title"`
		Description string   `json:"description"`
		Format      string   `json:"format"`
		Pattern     string   `json:"pattern"`
		Default     any      `json:"default"`
		Examples    []any    `json:"examples"`
		OneOf       []Choice `json:"oneOf"`
		ReadOnly    bool     `json:"readOnly"`
		WriteOnly   bool     `json:"writeOnly"`
		Destination bool     `json:"x-destination"`
		Required    bool     `json:"x-required"`
	}
	conditional struct {
		If struct {
			Properties map[string]struct {
				Const string `json:"const"`
			} `json:"properties"`
			Required []string `json:"required"`
		} `json:"if"`
		Then struct {
			Properties map[string]struct{} `json:"properties"`
			Required   []string            `json:"required"`
		} `json:"then"`
	}
	element struct {
		Type     string    `json:"type"`
		Label    string    `json:"label"`
		Scope    string    `json:"scope"`
		Elements []element `json:"elements"`
		Options  struct {
			Format   string `json:"format"`
			Multi    bool   `json:"multi"`
			Advanced bool   `json:"advanced"`
			Action   string `json:"action"`
		} `json:"options"`
		Rule *rule `json:"rule"`
	}
	rule struct {
		Condition struct {
			Scope  string `json:"scope"`
			Schema struct {
				Const *string  `json:"const"`
				Enum  []string `json:"enum"`
			} `json:"schema"`
		} `json:"condition"`
	}
)

// A control is a control of the layout with the place where it stands.
type control struct {
	element
	pointer    string // in the layout
	tab, group string
	advanced   bool
}

// name is the property that the control edits.
func (c *control) name() string { return propertyOf(c.Scope) }

// condition is the control's rule, or nil.
func (c *control) condition() *Condition {
	if c.Rule == nil {
		return nil
	}
	schema := c.Rule.Condition.Schema
	values := schema.Enum
	if schema.Const != nil {
		values = []string{*schema.Const}
	}
	return &Condition{propertyOf(c.Rule.Condition.Scope), values}
}

// selects returns the condition's selector and value.
func (c *conditional) selects() (selector, value string) {
	for name, v := range c.If.Properties {
		selector, value = name, v.Const
	}
	return selector, value
}

// controls returns the layout's controls in their order.
func (e *element) controls() []control {
	var found []control
	for i, category := range e.Elements {
		at := "/elements/" + strconv.Itoa(i)
		for j, child := range category.Elements {
			at := at + "/elements/" + strconv.Itoa(j)
			if child.Type == "Control" {
				found = append(found, control{child, at, category.Label, "", child.Options.Advanced})
				continue
			}
			for k, leaf := range child.Elements {
				found = append(found, control{leaf, at + "/elements/" + strconv.Itoa(k), category.Label, child.Label,
					child.Options.Advanced || leaf.Options.Advanced})
			}
		}
	}
	return found
}

// propertyOf returns the name in a scope.
func propertyOf(scope string) string { return strings.TrimPrefix(scope, "#/properties/") }

// into converts a decoded document to a Go type.
func into(document, target any) error {
	data, err := json.Marshal(document)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, target)
}
