package host

import (
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/host/internal/accesslink"
	"github.com/boxconnection/connector/proto/connector"
)

// granter decides about the access of one execution. If the execution's access
// is narrowed, it gets nothing else.
type granter struct {
	source
	narrowed bool
	scopes   []string
	resource string
}

var _ accesslink.Granter = (*granter)(nil)

// granter returns what an execution may use.
func (c *Connection) granter(l *life, o *connector.Operation, full *handout, input []byte) (*granter, error) {
	conn, err := c.Connector()
	if err != nil {
		return nil, err
	}
	g := &granter{source: c.source(l)}
	if !conn.description.Has(connector.CapabilityNarrow) || !isNarrowed(o) {
		return g, nil
	}
	g.narrowed, g.scopes = true, o.NarrowedTo()
	g.resource, err = resource(o, full.access.Endpoints, input)
	if err == nil && g.resource == "" && len(g.scopes) == 0 {
		err = connector.Errorf(connector.InputInvalid, connector.OriginSettings,
			"The input doesn't name what %q works on, so its access can't be narrowed to it.", o.Title).
			Suggest("Give the members that the operation's resource names: %s.", o.Resource)
	}
	return g, err
}

// Ready implements accesslink.Granter.
func (g *granter) Ready(req connector.AccessRequest) (accesslink.Granted, bool) {
	h := g.life.cached.Load()
	now := g.c.host.elapsed()
	if h == nil || !h.serves(now, want{validity: req.MinValidity, refused: req.Refused}) {
		return accesslink.Granted{}, false
	}
	good := time.Duration(h.good.Load()) - now
	if !g.narrowed {
		return accesslink.Granted{Access: h.access, GoodFor: good}, true
	}
	a, ok := g.life.narrowed.get(narrowKey(g.scopes, g.resource), h.access.Generation, now, req.MinValidity)
	if !ok {
		return accesslink.Granted{}, false
	}
	return accesslink.Granted{Access: a.access, GoodFor: a.goodFor(now, good)}, true
}

// Grant implements accesslink.Granter.
func (g *granter) Grant(ctx context.Context, req connector.AccessRequest) (accesslink.Granted, error) {
	h, err := g.life.access(ctx, want{validity: req.MinValidity, refused: req.Refused})
	if err != nil {
		return accesslink.Granted{}, err
	}
	now := g.c.host.elapsed()
	good := time.Duration(h.good.Load()) - now
	if !g.narrowed {
		return accesslink.Granted{Access: h.access, GoodFor: good}, nil
	}
	a, err := g.life.narrow(ctx, g.c, h, g.scopes, g.resource, req.MinValidity)
	if err != nil {
		return accesslink.Granted{}, err
	}
	return accesslink.Granted{Access: a.access, GoodFor: a.goodFor(now, good)}, nil
}

// goodFor is how long the access may be used without asking again: as long as
// its parent, and not beyond its end.
func (a *narrowAccess) goodFor(now, parent time.Duration) time.Duration {
	if a.ends == 0 {
		return parent
	}
	return min(parent, a.ends-now)
}

var variable = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// resource fills in the resource that an operation's access is narrowed to. It
// is empty if the operation names none, or the input doesn't.
func resource(o *connector.Operation, endpoints map[string]string, input []byte) (string, error) {
	if o.Resource == "" {
		return "", nil
	}
	schema, err := descriptor.ParseDocumentSchema(o.Input)
	if err != nil {
		return "", contractBroken("an operation's schema can't be read")
	}
	document, _ := schema.Read(input) // what is wrong with it, the operation tells
	whole := true
	filled := variable.ReplaceAllStringFunc(o.Resource, func(name string) string {
		name = name[1 : len(name)-1]
		if endpoint, ok := endpoints[name]; ok {
			return endpoint
		}
		switch value := document[name].(type) {
		case string:
			if value != "" {
				return url.PathEscape(value)
			}
		case json.Number:
			return value.String()
		}
		whole = false
		return ""
	})
	if !whole {
		return "", nil
	}
	if climbs(filled) {
		return "", connector.Errorf(connector.InputInvalid, connector.OriginSettings, "What %q works on can't be told from the input.", o.Title).
			Suggest("Give the members that the operation's resource names as the service writes them: %s.", o.Resource)
	}
	return filled, nil
}

// climbs reports whether a URL's path has a segment that leads elsewhere.
func climbs(filled string) bool {
	u, err := url.Parse(filled)
	return err != nil || slices.ContainsFunc(strings.Split(u.EscapedPath(), "/"), func(s string) bool {
		plain, err := url.PathUnescape(s)
		return err != nil || plain == "." || plain == ".."
	})
}
