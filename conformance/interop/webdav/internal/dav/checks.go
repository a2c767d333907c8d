package dav

import (
	"context"
	"iter"
	"strings"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
)

func declared() []connector.CheckDeclaration {
	return []connector.CheckDeclaration{
		{ID: "server", Title: "The server answers", SideEffect: connector.SideEffectNone},
		{ID: "folder", Title: "The folder can be read", DependsOn: []string{"server"}, SideEffect: connector.SideEffectRead},
		{ID: "scopes", Title: "Needed scopes are granted", DependsOn: []string{"folder"}, SideEffect: connector.SideEffectNone},
		{ID: "writable", Title: "The server takes changes", DependsOn: []string{"folder"}, SideEffect: connector.SideEffectNone},
	}
}

// Test runs the checks.
func (Connector) Test(ctx context.Context, req plugin.TestRequest) iter.Seq[connector.Check] {
	t := &test{req: req}
	return plugin.RunChecks(ctx, declared(), map[string]plugin.CheckFunc{
		"server": t.server, "folder": t.folder, "scopes": t.scopes, "writable": t.writable,
	})
}

// test is one run of the checks, with what earlier ones found.
type test struct {
	req      plugin.TestRequest
	settings *settings
	allowed  string
}

func (t *test) server(ctx context.Context) connector.Check {
	s, err := load(t.req.Settings)
	if err != nil {
		return plugin.Failed(err)
	}
	t.settings = s
	if _, err := s.call(ctx, t.req.Network, nil, "PROPFIND", "0"); err != nil {
		return plugin.Failed(err)
	}
	return plugin.Passed("%s answers.", host(s.Folder))
}

func (t *test) folder(ctx context.Context) connector.Check {
	if t.req.Access == nil {
		return plugin.Skipped("There is no access.")
	}
	if _, err := t.settings.call(ctx, t.req.Network, t.req.Access, "PROPFIND", t.settings.Depth); err != nil {
		return plugin.Failed(err)
	}
	return plugin.Passed("")
}

// scopes can't find out anything: WebDAV has none.
func (t *test) scopes(context.Context) connector.Check {
	if len(t.req.RequiredScopes) == 0 {
		return plugin.Passed("None is asked for.")
	}
	return plugin.Warned(connector.Errorf(connector.ScopesUnknown, connector.OriginService, "A WebDAV server doesn't tell what a user may do.").
		Suggest("Ask the server's administrator."))
}

// writable looks at what the server says that it allows, and changes nothing.
func (t *test) writable(ctx context.Context) connector.Check {
	header, err := t.settings.call(ctx, t.req.Network, t.req.Access, "OPTIONS", "")
	switch {
	case err != nil:
		return plugin.Failed(err)
	case strings.Contains(strings.Join(header.Values("Allow"), ","), "PROPPATCH"):
		return plugin.Passed("")
	default:
		return plugin.Warned(connector.Errorf(connector.PermissionDenied, connector.OriginService, "The server allows no changes here.").
			Suggest("Use it for reading, or ask the server's administrator."))
	}
}
