package web

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

// form is a connector's form as the template draws it.
type form struct {
	Connector string
	Plugin    string
	Name      string
	// Info is the draft's; its ID is empty before the first values were kept.
	Info host.Info
	// Back is where the form is left to.
	Back  string
	Paths formPaths
	Tabs  []tab
	State signInState
	// Signs tells that the connector signs in through a browser, and Generate
	// that no field of its form has the button for it.
	Signs, Generate bool
	Callback        string
	Runtimes        []host.Runtime
	// NameProblem and OverrideProblem are those of the form's own fields,
	// Problems those without a field.
	NameProblem, OverrideProblem *told
	Problems                     []told
}

// formPaths are where the form is sent to.
type formPaths struct{ Keep, Generate, Test, Save, Discard, Connections string }

type tab struct {
	ID, Title string
	Groups    []group
}

type group struct {
	Title    string
	Advanced bool
	Open     bool
	Fields   []field
}

// field is a field with its value and what is wrong with it.
type field struct {
	descriptor.Field
	ID       string
	Value    string
	On       bool
	Stored   bool // a secret is stored
	Required bool
	Problem  *told
	// Show is the condition in a form that the script reads, and ShowText for
	// people.
	Show, ShowText string
}

// DescribedBy are the IDs of the texts about the field.
func (f field) DescribedBy() string {
	var ids []string
	if f.Description != "" {
		ids = append(ids, f.ID+"-help")
	}
	if f.Secret {
		ids = append(ids, f.ID+"-stored")
	}
	return strings.Join(append(ids, f.ID+"-problem"), " ")
}

// told is a problem as a form tells it.
type told struct {
	// Field is the input's name without its prefix, or empty.
	Field      string         `json:"field,omitempty"`
	Code       connector.Code `json:"code"`
	Summary    string         `json:"summary"`
	Detail     string         `json:"detail,omitempty"`
	Suggestion string         `json:"suggestion,omitempty"`
}

func tell(d *connector.Diagnostic) told {
	return told{Code: d.Code, Summary: d.Summary, Detail: d.Detail, Suggestion: d.Suggestion}
}

// tellOf tells the problems of a form, each at its field if it has one.
func tellOf(d *descriptor.Descriptor, problems connector.Diagnostics) []told {
	list := make([]told, 0, len(problems))
	for _, p := range problems {
		t := tell(p)
		if f, ok := d.Field(strings.TrimPrefix(p.Pointer, "/")); ok && !f.ReadOnly {
			t.Field = f.Name
		}
		list = append(list, t)
	}
	return list
}

// source is what the fields are drawn from.
type source struct {
	d        *descriptor.Descriptor
	settings descriptor.Settings
	secrets  []string
	problems []told
	callback string
}

// tabs draws the fields in the order of the layout.
func (s source) tabs() []tab {
	var tabs []tab
	values := s.d.WithDefaults(s.settings)
	for _, f := range s.d.Fields() {
		drawn := s.draw(f, values)
		if n := len(tabs); n == 0 || tabs[n-1].Title != f.Tab {
			tabs = append(tabs, tab{ID: "tab-" + strconv.Itoa(n+1), Title: f.Tab})
		}
		t := &tabs[len(tabs)-1]
		if n := len(t.Groups); n == 0 || t.Groups[n-1].Title != f.Group {
			t.Groups = append(t.Groups, group{Title: f.Group, Advanced: f.Advanced})
		}
		g := &t.Groups[len(t.Groups)-1]
		g.Fields = append(g.Fields, drawn)
		g.Open = g.Open || drawn.Problem != nil
	}
	return tabs
}

func (s source) draw(f descriptor.Field, values descriptor.Settings) field {
	drawn := field{
		Field: f, ID: "field-" + f.Name, Problem: problemAt(s.problems, f.Name), Stored: slices.Contains(s.secrets, f.Name),
		Required: f.RequiredIn(values),
	}
	if c := f.ShowWhen; c != nil {
		drawn.Show = c.Selector + "=" + strings.Join(c.Values, "|")
		drawn.ShowText = s.inWords(c)
	}
	switch v := values[f.Name].(type) {
	case nil:
	case bool:
		drawn.On = v
	case float64:
		drawn.Value = strconv.FormatFloat(v, 'f', -1, 64)
	default:
		drawn.Value = fmt.Sprint(v)
	}
	switch {
	case f.Secret:
		drawn.Value = ""
	case f.Action == "copy":
		drawn.Value = s.callback
	}
	return drawn
}

// inWords tells when a field counts.
func (s source) inWords(c *descriptor.Condition) string {
	selector, _ := s.d.Field(c.Selector)
	titles := slices.Clone(c.Values)
	for i, v := range titles {
		for _, choice := range selector.Choices {
			if choice.Value == v {
				titles[i] = choice.Title
			}
		}
	}
	return fmt.Sprintf("Only where %s is %s.", selector.Title, strings.Join(titles, " or "))
}

func problemAt(problems []told, name string) *told {
	for i := range problems {
		if problems[i].Field == name {
			return &problems[i]
		}
	}
	return nil
}

// Numeric reports whether the value is a number.
func (f field) Numeric() bool { return f.Type == descriptor.Integer || f.Type == descriptor.Number }

// drawn is a field with the form around it.
type drawn struct {
	Field field
	Form  form
}

// Draw puts a field beside its form, for the template.
func (f form) Draw(one field) drawn { return drawn{one, f} }

// GenerateTitle and GenerateHelp are those of the form's field for the token.
func (f form) GenerateTitle() string { return f.generateField().Title }

// GenerateHelp is the field's description.
func (f form) GenerateHelp() string { return f.generateField().Description }

func (f form) generateField() descriptor.Field {
	for _, t := range f.Tabs {
		for _, g := range t.Groups {
			for _, one := range g.Fields {
				if isGenerate(one.Field) {
					return one.Field
				}
			}
		}
	}
	return descriptor.Field{Title: "Sign-in"}
}

// mismatch is the question which account a connection shall belong to.
type mismatch struct {
	State        signInState
	Action, Name string
	// Edit: the draft of a saved connection can't change it.
	Edit bool
}

// Mismatch is the question about this draft.
func (f form) Mismatch() mismatch {
	return mismatch{f.State, f.Paths.Connections + "/" + f.Info.ID + "/account", f.Name, f.Info.Base != ""}
}
