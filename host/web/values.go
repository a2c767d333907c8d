package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/proto/connector"
)

// secretClear is what a form says of a stored secret that shall go. One whose
// input is empty is kept, any other is replaced.
const secretClear = "clear"

// Names of the inputs that aren't settings. Settings have a prefix.
const (
	inputDraft    = "draft"
	inputPlugin   = "plugin"
	inputName     = "name"
	inputOverride = "override"
	inputRuntime  = "runtime"
	prefixValue   = "value."
	prefixSecret  = "secret."
)

// edit reads a form that was sent as a change of the settings: what is blank
// is cleared, and a secret is kept unless another was given or it shall go.
func edit(d *descriptor.Descriptor, sent url.Values) descriptor.Settings {
	change := descriptor.Settings{}
	for _, f := range d.Fields() {
		if f.ReadOnly {
			continue
		}
		given := sent.Get(prefixValue + f.Name)
		switch {
		case f.Secret:
			if given != "" {
				change[f.Name] = given
			} else if sent.Get(prefixSecret+f.Name) == secretClear {
				change[f.Name] = nil
			}
		case f.Type == descriptor.Boolean:
			change[f.Name] = given != ""
		case given == "":
			change[f.Name] = nil
		default:
			change[f.Name] = typed(f.Type, given)
		}
	}
	return change
}

// typed is a text as a value of a field's type. What isn't one stays a text,
// for the validation to say so.
func typed(t descriptor.Type, text string) any {
	if t == descriptor.Integer || t == descriptor.Number {
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return n
		}
	}
	return text
}

// misread says why a form can't be read.
func misread(err error) *connector.Diagnostic {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return connector.Errorf(connector.LimitExceeded, connector.OriginHost, "The form is too large.").Because(err).
			Suggest("Check that no field holds a whole file.")
	}
	return connector.Errorf(connector.UsageWrong, connector.OriginHost, "The form can't be read.").Because(err).
		Suggest("Send it again from its page.")
}
