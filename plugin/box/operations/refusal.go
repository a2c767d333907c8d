package operations

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

// row is how Box refuses something about an item, and what that means. The
// codes are those of Box's error catalogue
// (developer.box.com/guides/api-calls/permissions-and-errors/common-errors).
type row struct {
	status     int
	code       string // "" for any
	means      connector.Code
	summary    string
	suggestion string
}

// rows are in the order in which they are tried. They have no disposition: the
// application refused this input, and the same input would be refused again.
var rows = []row{
	{http.StatusNotFound, "", connector.ItemNotFound, "Box has no such item, or the account can't see it.", "Check the ID; the item may have been deleted or moved out of reach."},
	{http.StatusGone, "", connector.ItemNotFound, "The item isn't there any more.", "Check the ID; it was deleted."},
	{http.StatusConflict, "item_name_in_use", connector.ItemExists, "The folder has an item of this name.", "Choose another name, or use Upsert for a new version of a file."},
	{http.StatusPreconditionFailed, "", connector.ItemChanged, "Somebody else changed the item meanwhile.", "Read it again, then repeat the change with its new etag."},
	{http.StatusBadRequest, "folder_not_empty", connector.ItemRefused, "The folder isn't empty.", "Set recursive to delete it with everything in it."},
	{http.StatusBadRequest, "item_name_invalid", connector.ItemRefused, "Box doesn't take this name.", "Use up to 255 characters without / and \\, no blank at the end, and not . or .. alone."},
	{http.StatusBadRequest, "item_name_too_long", connector.ItemRefused, "The name is too long for Box.", "Use up to 255 characters."},
	{http.StatusBadRequest, "", connector.ItemRefused, "Box doesn't take the request as it is.", "Check the input's values."},
	{http.StatusForbidden, "storage_limit_exceeded", connector.StorageFull, "The Box account has no room left.", "Free space in the account, or ask the Box administrator for more."},
	{http.StatusInsufficientStorage, "", connector.StorageFull, "The Box account has no room left.", "Free space in the account, or ask the Box administrator for more."},
	{http.StatusForbidden, "file_size_limit_exceeded", connector.ItemRefused, "The file is larger than the Box account allows.", "Ask the Box administrator about the account's limit."},
	{http.StatusRequestEntityTooLarge, "", connector.ItemRefused, "The file is larger than Box allows.", "Ask the Box administrator about the account's limit."},
}

// refusal tells why Box refused, or returns nil for a success.
func refusal(a *reply) error {
	if a.status/100 == 2 {
		return nil
	}
	code := a.code()
	if a.status == http.StatusBadRequest && (code == "digest_mismatch" || code == "bad_digest") {
		return connector.Errorf(connector.ContentDamaged, connector.OriginNetwork, "The content that reached Box isn't the one that was sent.").
			WithDetail("%s", a.detail(code)).With(connector.Retry).Suggest("Try again. If it stays so, look for a proxy that changes what it forwards.")
	}
	for _, r := range rows {
		if r.status == a.status && (r.code == "" || r.code == code) {
			return connector.Errorf(r.means, connector.OriginService, "%s", r.summary).WithDetail("%s", a.detail(code)).Suggest("%s", r.suggestion)
		}
	}
	fail := func(means connector.Code, summary string) *connector.Diagnostic {
		return connector.Errorf(means, connector.OriginService, "%s", summary).WithDetail("%s", a.detail(code)).
			After(connectorhttp.RetryAfter(a.header, time.Now()))
	}
	switch {
	case a.status == http.StatusUnauthorized:
		return fail(connector.AccessRefused, "Box refused the access token.").With(connector.Retry).
			Suggest("Try again, which renews the access. If it stays so, test the connection.")
	case a.status == http.StatusForbidden && (code == "insufficient_scope" || len(a.body) == 0):
		return fail(connector.ScopeMissing, "The access lacks a scope that this operation needs.").With(connector.AskAdministrator).
			Suggest("Enable the scope for the app in the Box developer console, then sign in again.")
	case a.status == http.StatusForbidden:
		return fail(connector.PermissionDenied, "The Box account may not do this with the item.").With(connector.AskAdministrator).
			Suggest("Ask the item's owner or the Box administrator for the permission.")
	case a.status == http.StatusTooManyRequests:
		return fail(connector.RateLimited, "Box limits the number of requests, and the limit is reached.").With(connector.Retry).
			Suggest("Try again later, with fewer at a time.")
	case a.status == http.StatusConflict:
		return fail(connector.ServiceConflict, "Box was busy with another request for the same item.").With(connector.Retry).
			Suggest("Wait a moment and try again.")
	case a.status >= 500:
		return fail(connector.ServiceUnavailable, "Box is unavailable at the moment.").With(connector.Retry).
			Suggest("Try again later. Outages are announced at status.box.com.")
	}
	return unexpected(a)
}

func unexpected(a *reply) error {
	return connector.Errorf(connector.UnexpectedAnswer, connector.OriginService, "The answer isn't one that Box gives.").
		WithDetail("%s", a.detail("")).With(connector.Retry).
		Suggest("Test the connection: its URLs may lead elsewhere, or a proxy answers instead.")
}

// boxError is the part of Box's error that is read. Its texts are never shown.
type boxError struct {
	Code    string `json:"code"`
	Context struct {
		Conflicts conflicts `json:"conflicts"`
	} `json:"context_info"`
}

// conflicts are the items in the way: Box sends one, or a list.
type conflicts []Reference

// UnmarshalJSON reads either form.
func (c *conflicts) UnmarshalJSON(data []byte) error {
	var many []Reference
	if json.Unmarshal(data, &many) == nil {
		*c = many
		return nil
	}
	var one Reference
	if err := json.Unmarshal(data, &one); err != nil {
		return err
	}
	*c = conflicts{one}
	return nil
}

func (a *reply) problem() boxError {
	var e boxError
	_ = json.Unmarshal(a.body, &e) // another answer has no code
	return e
}

// code is Box's code if it can be one: lower-case letters and underscores.
func (a *reply) code() string {
	code := a.problem().Code
	if len(code) > 64 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	return code
}

// detail tells the numbers that help to find the request again.
func (a *reply) detail(code string) string {
	d := "HTTP status " + strconv.Itoa(a.status)
	if code != "" {
		d += ", code " + code
	}
	if id := a.header.Get("Box-Request-Id"); id != "" && len(id) < 32 && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz") == "" {
		d += ", Box request " + id
	}
	return d
}
