package box

import (
	"context"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	tokenExchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessTokenType    = "urn:ietf:params:oauth:token-type:access_token"
)

// Narrow makes an access token with fewer rights by Box's token exchange. It
// needs at least one scope; the resource, if any, is the API's URL of a file
// or folder. An answer that doesn't show that it is narrowed as asked is an
// error: Box ignores a resource that it doesn't understand the place of, and
// answers with full access.
func (c *Connector) Narrow(ctx context.Context, req plugin.NarrowRequest) (*connector.Access, error) {
	clock := c.hostClock(req.Now)
	s, err := load(req.Settings)
	if err != nil {
		return nil, err
	}
	if err := narrowable(req, s); err != nil {
		return nil, err
	}
	base, err := c.transports.get(req.Network)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	form := url.Values{
		"grant_type":         {tokenExchangeGrant},
		"client_id":          {s.ClientID},
		"client_secret":      {s.clientSecret.Reveal()},
		"subject_token":      {req.Access.Token.Reveal()},
		"subject_token_type": {accessTokenType},
		"scope":              {strings.Join(req.Scopes, " ")},
	}
	if req.Resource != "" {
		form.Set("resource", req.Resource)
	}
	call := &tokenCall{kind: narrowing, base: base, pointer: "/token_url", now: c.now}
	begun := clock()
	if err := call.post(ctx, s.TokenURL, form); err != nil {
		return nil, err
	}
	granted, ok := call.answer.narrowed(req)
	if !ok {
		return nil, connector.Errorf(connector.UnexpectedAnswer, connector.OriginService,
			"Box's answer doesn't show that the access is narrowed as asked, so it isn't used.").
			Suggest("Check the scopes and the resource that were asked for.")
	}
	return narrowedAccess(req.Access, &call.answer, begun, granted), nil
}

// narrowedAccess is the access in a token answer, which lasts no longer than
// its parent.
func narrowedAccess(parent *connector.Access, a *tokenAnswer, begun time.Time, granted []string) *connector.Access {
	narrowed := *parent
	narrowed.Token = connector.NewSecret(a.accessToken)
	narrowed.Type = a.tokenType
	narrowed.IssuedAt = begun.UTC().Round(0)
	narrowed.ExpiresAt, narrowed.RenewAt = expiry(narrowed.IssuedAt, a.life)
	if end := parent.ExpiresAt; !end.IsZero() && (narrowed.ExpiresAt.IsZero() || end.Before(narrowed.ExpiresAt)) {
		narrowed.ExpiresAt = end
	}
	if end := narrowed.ExpiresAt; !end.IsZero() && narrowed.RenewAt.After(end) {
		narrowed.RenewAt = end
	}
	narrowed.Scopes = connector.Scopes{Known: true, Values: granted}
	return &narrowed
}

// narrowable refuses a request that Box would misunderstand.
func narrowable(req plugin.NarrowRequest, s *settings) error {
	misuse := func(summary, suggestion string) error {
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "%s", summary).Suggest("%s", suggestion)
	}
	valid := func(scope string) bool {
		return scope != "" && !strings.ContainsFunc(scope, notInScope) && !strings.Contains(scope, " ")
	}
	switch {
	case req.Access == nil || req.Access.Token.IsZero():
		return misuse("There is no access to narrow.", "Sign in to Box first.")
	case len(req.Scopes) == 0:
		return misuse("Box narrows access to named scopes, and none was named.", "Name at least one, such as item_download.")
	case slices.ContainsFunc(req.Scopes, func(scope string) bool { return !valid(scope) }):
		return misuse("A scope holds a character that no scope can have.", "Name each scope by itself, such as item_download.")
	case req.Resource != "" && !within(s.APIURL, req.Resource):
		return misuse("The resource isn't below the connection's API URL.",
			"Name it by the API's URL of the file or folder, such as https://api.box.com/2.0/folders/123.")
	}
	return nil
}

// within reports whether a URL lies below a base, without anything in it that
// could lead elsewhere.
func within(base, resource string) bool {
	rest, ok := strings.CutPrefix(resource, strings.TrimSuffix(base, "/")+"/")
	return ok && rest != "" && !strings.ContainsAny(rest, "?#\\%") && path.Clean("/"+rest) == "/"+rest
}

// narrowed returns the scopes that an answer shows, and whether it shows that
// it is narrowed as asked.
func (a *tokenAnswer) narrowed(req plugin.NarrowRequest) (granted []string, ok bool) {
	if a.accessToken == req.Access.Token.Reveal() {
		return nil, false
	}
	for _, r := range a.restrictedTo {
		if req.Resource != "" && (r.Object == nil || r.Object.ID != path.Base(req.Resource)) {
			return nil, false
		}
		granted = append(granted, strings.Fields(r.Scope)...)
	}
	if len(granted) == 0 && a.scope != nil && req.Resource == "" {
		granted = strings.Fields(*a.scope)
	}
	if len(granted) == 0 && a.issuedType == accessTokenType && req.Resource == "" {
		granted = slices.Clone(req.Scopes) // Box writes the type only for a narrowed token
	}
	slices.Sort(granted)
	granted = slices.Compact(granted)
	asked := func(scope string) bool { return slices.Contains(req.Scopes, scope) }
	return granted, len(granted) > 0 && !slices.ContainsFunc(granted, func(scope string) bool { return !asked(scope) })
}
