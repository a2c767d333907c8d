package boxsim

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"

// restriction is one entry of restricted_to.
type restriction struct {
	Scope  string         `json:"scope"`
	Object map[string]any `json:"object,omitempty"`
}

// readOnlyNarrow are the scopes for narrowing that a read-only token can give.
var readOnlyNarrow = []string{
	"annotation_view_all", "annotation_view_self", "base_explorer", "base_picker", "base_preview", "base_sidebar",
	"item_download", "item_preview", "item_read",
}

// writeNarrow are the further ones that need a token which may write.
var writeNarrow = []string{
	"annotation_edit", "base_upload", "item_delete", "item_rename", "item_share", "item_upload", "item_readwrite",
}

// narrow answers a token exchange: an access token with fewer rights than the
// one presented. The client's credentials may be left out, but not be wrong.
func (s *Server) narrow(c *call, now time.Time) answer {
	invalid := oauthRefusal(http.StatusBadRequest, "invalid_request", descInvalidRequest)
	f := c.form
	if (f.Has("client_id") || f.Has("client_secret")) && !s.clientOK(f) {
		return oauthRefusal(http.StatusBadRequest, "invalid_client", descInvalidClient)
	}
	scopes := strings.Fields(f.Get("scope"))
	if f.Get("subject_token_type") != typeAccessToken || len(scopes) == 0 || (f.Has("resource") && f.Has("box_shared_link")) {
		return invalid
	}
	subject := s.accessTokens[f.Get("subject_token")]
	if subject == nil || !subject.works(now) {
		return oauthRefusal(http.StatusBadRequest, "invalid_grant", "The access token provided is invalid.")
	}
	c.entry.User = subject.grant.user.Login
	if subject.grant.user.Deactivated {
		return oauthRefusal(http.StatusBadRequest, "account_deactivated", "User's account has been deactivated")
	}
	for _, scope := range scopes {
		if !holds(subject.scopes, scope) {
			return oauthRefusal(http.StatusUnauthorized, "unauthorized", "Unauthorized")
		}
	}
	object := subject.object
	if f.Has("resource") || f.Has("box_shared_link") {
		object = s.resource(f)
		if object == nil || (subject.object != nil && !object.within(subject.object)) {
			return oauthRefusal(http.StatusBadRequest, "invalid_resource", "The target resource is invalid.")
		}
	}
	if s.sweepNarrowed(subject.grant, now); len(subject.grant.narrowed) >= s.limits.narrowed {
		return rowByName("token_rate_limited").answer()
	}
	if subject.pair != nil {
		s.use(subject.pair)
	}
	token := &accessToken{
		value: "1!" + randomString(300, narrowedLetters), grant: subject.grant, parent: subject, scopes: scopes, object: object,
		issuedAt: now, expiresAt: subject.expiresAt,
	}
	s.accessTokens[token.value] = token
	subject.grant.narrowed[token] = struct{}{}
	s.counters.Narrowed++
	c.note("issued_access_token", token.value)
	body := tokenBody{
		AccessToken: token.value, ExpiresIn: s.expiresIn(token, now), RestrictedTo: []restriction{},
		TokenType: "bearer", IssuedTokenType: typeAccessToken,
	}
	for _, scope := range scopes {
		r := restriction{Scope: scope}
		if object != nil {
			r.Object = object.mini()
		}
		body.RestrictedTo = append(body.RestrictedTo, r)
	}
	return jsonAnswer(http.StatusOK, body)
}

// sweepNarrowed forgets narrowed tokens that no longer work, once there are
// many.
func (s *Server) sweepNarrowed(g *grant, now time.Time) {
	if len(g.narrowed) < s.limits.narrowed/2 {
		return
	}
	for t := range g.narrowed {
		if !t.works(now) {
			delete(g.narrowed, t)
			delete(s.accessTokens, t.value)
		}
	}
}

// holds says whether a token with these scopes may give the wanted one.
func holds(scopes []string, want string) bool {
	has := func(name string) bool { return slices.Contains(scopes, name) }
	return has(want) ||
		(want == "root_readonly" && has("root_readwrite")) ||
		(slices.Contains(readOnlyNarrow, want) && (has("root_readonly") || has("root_readwrite"))) ||
		(slices.Contains(writeNarrow, want) && has("root_readwrite"))
}

// resource finds the item that a token is to be narrowed to: by an API
// address, of Box's or of this emulator, or by a shared link.
func (s *Server) resource(f url.Values) *item {
	if link := f.Get("box_shared_link"); link != "" {
		return s.tree.byLink(link)
	}
	u, err := url.Parse(f.Get("resource"))
	if err != nil || u.Host == "" {
		return nil
	}
	rest, ok := strings.CutPrefix(u.Path, "/2.0/")
	kind, id, found := strings.Cut(rest, "/")
	if !ok || !found || u.Host == "app.box.com" {
		return nil
	}
	it := s.tree.items[id]
	if it == nil || kind != it.kind+"s" {
		return nil
	}
	return it
}
