package main

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// The emulator's endpoints, as it lists them itself.
const (
	getAuthorize  = "GET /api/oauth2/authorize"
	postAuthorize = "POST /api/oauth2/authorize"
	postToken     = "POST /oauth2/token"
	postRevoke    = "POST /oauth2/revoke"
	getMe         = "GET /2.0/users/me"
	getFolder     = "GET /2.0/folders/{folder_id}"
	getItems      = "GET /2.0/folders/{folder_id}/items"
)

// Items of the emulated Box.
const (
	contracts = "160000000001"
	empty     = "160000000003"
	sharedURL = "https://app.box.com/s/contractsx0000000000000000000000"
)

const accessTokenType = "urn:ietf:params:oauth:token-type:access_token"

// outside are endpoints that no OpenAPI file has, with the reason.
var outside = map[string]string{
	postAuthorize: "the form of the emulator's own consent page; Box's isn't public",
	getAddress:    "where a download is redirected to, on a host of its own",
}

// call is a success call: it is made, and its answer is held against the file.
// The calls are made in their order, as later ones need what earlier ones got.
type call struct {
	title    string
	endpoint string
	// also is a second operation of the file that describes the same call.
	also string
	make maker
	// holds are fields of the answer that make it a real one, since a lenient
	// file is satisfied by an empty object.
	holds []string
	// known are differences that the emulator makes on purpose, with the entry
	// of its evidence that says why.
	known map[string]string
	// empty says that the answer has no body.
	empty bool
}

// maker makes a call.
type maker func(context.Context, *session) (*reply, error)

// session is what the calls share.
type session struct {
	sim *boxsim
	doc *document

	code, ticket    string
	access, refresh string
	marker          string

	folder, file string   // IDs of what the calls make
	address      string   // of a download
	upSession    string   // address of an upload in parts
	parts        []string // its parts, as JSON
}

// calls are all success calls of the emulator.
func calls() []call {
	all := []call{
		{title: "consent page", endpoint: getAuthorize, make: consentPage},
		{title: "consent", endpoint: postAuthorize, make: consent, empty: true},
	}
	all = append(all, tokenCalls()...)
	all = append(all, apiCalls()...)
	all = append(all, contentCalls()...)
	return append(all,
		call{title: "revoke by the refresh token", endpoint: postRevoke, make: func(ctx context.Context, s *session) (*reply, error) {
			return s.form(ctx, "/oauth2/revoke", url.Values{"token": {s.refresh}})
		}, empty: true},
		call{title: "revoke by the access token", endpoint: postRevoke, make: func(ctx context.Context, s *session) (*reply, error) {
			if err := s.signIn(ctx, s.sim.Users[0].Login); err != nil {
				return nil, err
			}
			return s.form(ctx, "/oauth2/revoke", url.Values{"token": {s.access}})
		}, empty: true},
	)
}

func tokenCalls() []call {
	pair := []string{"access_token", "expires_in", "restricted_to", "refresh_token", "token_type"}
	narrowed := []string{"access_token", "expires_in", "restricted_to", "issued_token_type", "token_type"}
	narrow := func(title string, extra url.Values) call {
		return call{title: title, endpoint: postToken, holds: narrowed, make: func(ctx context.Context, s *session) (*reply, error) {
			form := url.Values{
				"grant_type":    {"urn:ietf:params:oauth:grant-type:token-exchange"},
				"subject_token": {s.access}, "subject_token_type": {accessTokenType}, "scope": {"item_preview base_explorer"},
			}
			for name, values := range extra {
				form[name] = values
			}
			return s.form(ctx, "/oauth2/token", form)
		}}
	}
	return []call{
		{title: "token by authorization code", endpoint: postToken, holds: pair, make: func(ctx context.Context, s *session) (*reply, error) {
			return s.pair(ctx, url.Values{"grant_type": {"authorization_code"}, "code": {s.code}})
		}},
		{title: "token by refresh token", endpoint: postToken, also: postToken + "#refresh", holds: pair,
			make: func(ctx context.Context, s *session) (*reply, error) {
				return s.pair(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s.refresh}})
			}},
		narrow("token by exchange, for everything", nil),
		narrow("token by exchange, for a folder", url.Values{"resource": {"https://api.box.com/2.0/folders/" + contracts}}),
		narrow("token by exchange, for a shared link", url.Values{"box_shared_link": {sharedURL}}),
	}
}

func apiCalls() []call {
	me := []string{
		"type", "id", "name", "login", "created_at", "modified_at", "language", "timezone", "space_amount", "space_used",
		"max_upload_size", "status", "job_title", "phone", "address", "avatar_url",
	}
	list := []string{"entries", "limit"}
	// An answer with all fields that the file has shows whatever the emulator
	// knows of them.
	all := func(endpoint, list, path string) maker {
		return func(ctx context.Context, s *session) (*reply, error) {
			return s.api(ctx, path+"?fields="+strings.Join(s.doc.fields(endpoint, list), ","))
		}
	}
	at := func(path string) maker {
		return func(ctx context.Context, s *session) (*reply, error) { return s.api(ctx, path) }
	}
	return []call{
		{title: "account", endpoint: getMe, make: at("/users/me"), holds: me},
		{title: "account, with fields", endpoint: getMe, make: at("/users/me?fields=name,enterprise"), holds: []string{"type", "id", "enterprise"}},
		{title: "account, with all fields", endpoint: getMe, make: all(getMe, "", "/users/me"), holds: me},
		{title: "root folder", endpoint: getFolder, make: at("/folders/0"), holds: []string{"type", "id", "name", "item_collection"}},
		{title: "folder", endpoint: getFolder, make: at("/folders/" + contracts), holds: []string{"type", "id", "name", "item_collection"}},
		{title: "folder, with fields", endpoint: getFolder, make: at("/folders/" + contracts + "?fields=name,parent"), holds: []string{"name", "parent"}},
		{title: "folder, with all fields", endpoint: getFolder, make: all(getFolder, "", "/folders/"+contracts), holds: []string{"name", "parent"}},
		{title: "items", endpoint: getItems, make: at("/folders/0/items"), holds: append(list, "total_count", "offset", "order")},
		{title: "items by offset", endpoint: getItems, make: at("/folders/0/items?limit=2&offset=2&sort=date&direction=DESC"), holds: append(list, "total_count", "offset", "order")},
		{title: "items by marker", endpoint: getItems, make: firstPage, holds: append(list, "next_marker")},
		{title: "items by marker, last page", endpoint: getItems, make: lastPage, holds: append(list, "next_marker")},
		{title: "items, with fields", endpoint: getItems, make: at("/folders/0/items?fields=name,size,created_by,path_collection,shared_link"), holds: list},
		{title: "items, with all fields", endpoint: getItems, make: all(getItems, "entries", "/folders/0/items"), holds: list},
		{title: "items of an empty folder", endpoint: getItems, make: at("/folders/" + empty + "/items"), holds: list},
		{title: "account without a company", endpoint: getMe, holds: []string{"type", "id", "enterprise"}, make: personal,
			known: map[string]string{"/enterprise: Value is not nullable": getMe + ": personal account"}},
	}
}

// ticketField is where the consent page keeps what its form sends.
var ticketField = regexp.MustCompile(`name="ticket"\s+value="([^"]+)"`)

// consentPage asks for the page that a person sees.
func consentPage(ctx context.Context, s *session) (*reply, error) {
	if err := s.sim.control(ctx, http.MethodPatch, "/knobs", map[string]bool{"auto_consent": false}, nil); err != nil {
		return nil, err
	}
	r, err := s.sim.get(ctx, s.authorizeURL(""), "")
	if err != nil {
		return nil, err
	}
	if found := ticketField.FindSubmatch(r.body); found != nil {
		s.ticket = html.UnescapeString(string(found[1]))
	}
	return r, s.sim.control(ctx, http.MethodPatch, "/knobs", map[string]bool{"auto_consent": true}, nil)
}

// consent presses the page's button.
func consent(ctx context.Context, s *session) (*reply, error) {
	r, err := s.sim.post(ctx, s.sim.AuthorizeURL, url.Values{
		"ticket": {s.ticket}, "login": {s.sim.Users[0].Login}, "decision": {"allow"},
	})
	if err != nil {
		return nil, err
	}
	return r, s.callback(r)
}

// signIn signs in without a page and keeps the tokens.
func (s *session) signIn(ctx context.Context, login string) error {
	r, err := s.sim.get(ctx, s.authorizeURL(login), "")
	if err != nil {
		return err
	}
	if err := s.callback(r); err != nil {
		return err
	}
	_, err = s.pair(ctx, url.Values{"grant_type": {"authorization_code"}, "code": {s.code}})
	return err
}

// callback takes the code out of the redirect that ends a sign-in.
func (s *session) callback(r *reply) error {
	target, err := url.Parse(r.header.Get("Location"))
	if err != nil || r.status != http.StatusFound || target.Query().Get("code") == "" {
		return fmt.Errorf("%w: the sign-in answered %d without a code", errBoxsim, r.status)
	}
	s.code = target.Query().Get("code")
	return nil
}

func (s *session) authorizeURL(login string) string {
	q := url.Values{"response_type": {"code"}, "client_id": {s.sim.ClientID}, "redirect_uri": {s.sim.RedirectURIs[0]}, "state": {"openapi"}}
	if login != "" {
		q.Set("box_login", login)
	}
	return s.sim.AuthorizeURL + "?" + q.Encode()
}

// pair makes a token request and keeps the tokens of its answer.
func (s *session) pair(ctx context.Context, form url.Values) (*reply, error) {
	r, err := s.form(ctx, "/oauth2/token", form)
	if err != nil {
		return nil, err
	}
	var body struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if json.Unmarshal(r.body, &body) == nil && body.Access != "" {
		s.access, s.refresh = body.Access, body.Refresh
	}
	return r, nil
}

// form posts a form with the client's credentials.
func (s *session) form(ctx context.Context, path string, form url.Values) (*reply, error) {
	form.Set("client_id", s.sim.ClientID)
	form.Set("client_secret", s.sim.ClientSecret)
	return s.sim.post(ctx, s.sim.BaseURL+path, form)
}

func (s *session) api(ctx context.Context, path string) (*reply, error) {
	return s.sim.get(ctx, s.sim.BaseURL+"/2.0"+path, s.access)
}

// firstPage lists by marker and keeps the marker.
func firstPage(ctx context.Context, s *session) (*reply, error) {
	r, err := s.api(ctx, "/folders/0/items?usemarker=true&limit=4")
	if err != nil {
		return nil, err
	}
	var body struct {
		Next string `json:"next_marker"`
	}
	if json.Unmarshal(r.body, &body) == nil {
		s.marker = body.Next
	}
	return r, nil
}

func lastPage(ctx context.Context, s *session) (*reply, error) {
	return s.api(ctx, "/folders/0/items?usemarker=true&limit=100&marker="+url.QueryEscape(s.marker))
}

// personal signs in an account that belongs to no company, and asks who it is.
func personal(ctx context.Context, s *session) (*reply, error) {
	for _, user := range s.sim.Users {
		if len(user.Enterprise) == 0 {
			if err := s.signIn(ctx, user.Login); err != nil {
				return nil, err
			}
			return s.api(ctx, "/users/me?fields=enterprise")
		}
	}
	return nil, fmt.Errorf("%w: it has no personal account", errBoxsim)
}
