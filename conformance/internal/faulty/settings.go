//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/boxconnection/connector/descriptor"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

const schema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Faulty", "type": "object", "additionalProperties": false,
  "properties": {
    "kind": {"type": "string", "title": "Kind", "oneOf": [{"const": "standard", "title": "Standard"}, {"const": "other", "title": "Other"}], "default": "standard"},
    "service_url": {"type": "string", "title": "Service URL", "format": "uri", "x-destination": true, "default": "https://service.example"},
    "patience": {"type": "integer", "title": "Patience", "default": 30, "minimum": 1},
    "client_id": {"type": "string", "title": "Client ID"},
    "client_secret": {"type": "string", "title": "Client secret", "format": "password", "writeOnly": true, "x-required": true},
    "scopes": {"type": "string", "title": "Scopes", "pattern": "^[ !#-\\[\\]-~]*$"}
  },
  "required": ["kind", "client_id"]
}`

const layout = `{"type": "Categorization", "elements": [{"type": "Category", "label": "Connection", "elements": [
  {"type": "Control", "scope": "#/properties/kind"},
  {"type": "Control", "scope": "#/properties/service_url"},
  {"type": "Control", "scope": "#/properties/patience"},
  {"type": "Control", "scope": "#/properties/client_id"},
  {"type": "Control", "scope": "#/properties/client_secret", "options": {"format": "password"}},
  {"type": "Control", "scope": "#/properties/scopes"}
]}]}`

// settings are the connection's, checked.
type settings struct {
	URL    string `json:"service_url"`
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
	Scopes string `json:"scopes"`
}

// validate finds the problems of settings, and reads them if there are none.
func (c *connector) validate(raw []byte) (*settings, []*connectorv1.Diagnostic) {
	if c.is("validate.large") && len(raw) > descriptor.MaxSettings {
		raw = []byte(`{"x":1}`)
	}
	values, err := descriptor.Decode(raw)
	if err != nil {
		code := connectorv1.Code_CODE_SETTINGS_UNREADABLE
		if len(raw) > descriptor.MaxSettings {
			code = connectorv1.Code_CODE_LIMIT_EXCEEDED
		}
		return nil, []*connectorv1.Diagnostic{settingProblem(code, "", "The settings can't be read.")}
	}
	form, err := descriptor.Parse([]byte(schema), []byte(layout))
	if err != nil {
		return nil, []*connectorv1.Diagnostic{internal("the descriptor")}
	}
	if c.is("validate.trim") {
		if text, ok := values["kind"].(string); ok && strings.TrimSpace(text) != text && strings.TrimSpace(text) != "" {
			return nil, []*connectorv1.Diagnostic{settingProblem(connectorv1.Code_CODE_SETTING_INVALID, "/kind", "It isn't a choice.")}
		}
	}
	blank := values["service_url"]
	values = form.Normalize(values)
	var out []*connectorv1.Diagnostic
	if c.is("validate.defaults") && blank == "" {
		out = append(out, settingProblem(connectorv1.Code_CODE_SETTING_INVALID, "/service_url", "It is empty."))
	}
	for _, d := range form.Validate(values) {
		code := connectorv1.Code(connectorv1.Code_value["CODE_"+strings.ToUpper(string(d.Code))])
		if c.is("network.plain") && d.Pointer == "/service_url" {
			continue
		}
		out = append(out, settingProblem(code, d.Pointer, d.Summary))
	}
	data, err := json.Marshal(values)
	if err != nil {
		return nil, []*connectorv1.Diagnostic{internal("the settings")}
	}
	var s settings
	if len(out) == 0 {
		if err := json.Unmarshal(data, &s); err != nil {
			return nil, []*connectorv1.Diagnostic{internal("the settings")}
		}
		if u, err := url.Parse(s.URL); err != nil || !c.guarded(u) {
			out = append(out, settingProblem(connectorv1.Code_CODE_SETTING_INVALID, "/service_url", "It isn't an https URL."))
		}
	} else if c.is("validate.guard") {
		_ = json.Unmarshal(data, &s)
	}
	return &s, c.spoil(out, values)
}

func (c *connector) guarded(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && (loopback || c.is("network.plain"))
}

// spoil makes the problems wrong as the fault wants it.
func (c *connector) spoil(out []*connectorv1.Diagnostic, values descriptor.Settings) []*connectorv1.Diagnostic {
	if c.is("validate.all") && len(out) > 1 {
		return out[:1]
	}
	for _, d := range out {
		switch {
		case c.is("validate.pointers") && d.GetCode() == connectorv1.Code_CODE_SETTING_REQUIRED:
			d.Pointer = ""
		case c.is("validate.codes") && d.GetCode() == connectorv1.Code_CODE_SETTING_UNKNOWN:
			d.Code = connectorv1.Code_CODE_SETTING_INVALID
		case c.is("validate.blame"):
			d.Disposition = 0
		case c.is("validate.secrets") && d.GetPointer() == "/client_secret":
			d.Detail = fmt.Sprintf("It is %v.", values["client_secret"])
		}
	}
	if c.is("transport.answers") && len(values) > 1000 {
		for i := range values {
			out = append(out, settingProblem(connectorv1.Code_CODE_SETTING_UNKNOWN, "/"+i, strings.Repeat("unknown ", 40)))
		}
	}
	return out
}

func settingProblem(code connectorv1.Code, pointer, summary string) *connectorv1.Diagnostic {
	return &connectorv1.Diagnostic{
		Severity: connectorv1.Severity_SEVERITY_ERROR, Code: code, Pointer: pointer, Summary: summary,
		Disposition: connectorv1.Disposition_DISPOSITION_FIX_SETTINGS, Origin: connectorv1.Origin_ORIGIN_SETTINGS,
	}
}
