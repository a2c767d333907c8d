package boxsim

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Texts that more than one place answers with, as Box writes them.
const (
	descInvalidRefresh = "Invalid refresh token"
	descInvalidCode    = "Auth code doesn't exist or is invalid for the client"
	descInvalidClient  = "The client credentials are invalid"
	descInvalidRequest = "Invalid grant_type parameter or parameter missing"

	challengeInvalidToken      = `Bearer realm="Service", error="invalid_token", error_description="The access token provided is invalid."`
	challengeInsufficientScope = `Bearer realm="Service", error="insufficient_scope", error_description="The request requires higher privileges than provided by the access token."`

	helpURL = "http://developers.box.com/docs/#errors"

	typeJSON = "application/json"
	typeHTML = "text/html; charset=utf-8"
)

// answer is what an endpoint says, before faults have had their way with it.
type answer struct {
	status      int
	contentType string
	header      map[string]string
	body        []byte
	file        *blobReader // in place of body: content
	done        func()      // lets go of the content
}

// discard lets go of the content, sent or not.
func (a *answer) discard() {
	if a.done != nil {
		a.done()
		a.done = nil
	}
}

// oauthError is the body of a refusal by the token and revocation endpoints.
type oauthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// clientError is the body of a refusal by the API.
type clientError struct {
	Type        string `json:"type"`
	Status      int    `json:"status"`
	Code        string `json:"code"`
	ContextInfo any    `json:"context_info,omitempty"`
	HelpURL     string `json:"help_url"`
	Message     string `json:"message"`
	RequestID   string `json:"request_id"`
}

// parameterError is one entry of context_info.errors.
type parameterError struct {
	Reason  string `json:"reason"`
	Name    string `json:"name"`
	Message string `json:"message"`
}

func jsonAnswer(status int, v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		return answer{status: http.StatusInternalServerError, contentType: "text/plain", body: []byte("the emulator failed to write its answer\n")}
	}
	return answer{status: status, contentType: typeJSON, body: body}
}

func oauthRefusal(status int, code, description string) answer {
	return jsonAnswer(status, oauthError{Error: code, Description: description})
}

func refuse(status int, code, description string) *answer {
	a := oauthRefusal(status, code, description)
	return &a
}

func apiRefusal(status int, code, message string, context any) answer {
	return jsonAnswer(status, clientError{
		Type: "error", Status: status, Code: code, ContextInfo: context,
		HelpURL: helpURL, Message: message, RequestID: randomString(16, lowercase),
	})
}

// refusal is a row of the catalogue as an answer.
func refusal(row string) *answer {
	a := rowByName(row).answer()
	return &a
}

func badParameter(reason, name, message string) answer {
	return apiRefusal(http.StatusBadRequest, "bad_request", "Bad Request", contextErrors(reason, name, message))
}

func itemNotFound(kind, id string) answer {
	prefix := map[string]string{"folder": "d_", "file": "f_"}[kind]
	return apiRefusal(http.StatusNotFound, "not_found", "Not Found",
		contextErrors("invalid_parameter", kind, fmt.Sprintf("Invalid value '%s%s'. '%s' with value '%s%s' not found", prefix, id, kind, prefix, id)))
}

func contextErrors(reason, name, message string) any {
	return map[string]any{"errors": []parameterError{{Reason: reason, Name: name, Message: message}}}
}

// challenge is a refusal with an empty body: the reason stands in the header
// alone, as in every captured sample of Box.
func challenge(status int, value string) answer {
	return answer{status: status, header: map[string]string{"www-authenticate": value}}
}
