package host

import (
	"context"
	"net/http"

	"golang.org/x/oauth2"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/connector/connectorhttp"
)

// source is a connection as the words' AccessSource and Throttle. All clients
// of a connection wait together.
type source struct {
	*throttle

	c    *Connection
	life *life
}

func (c *Connection) source(l *life) source { return source{l.waits, c, l} }

// Access implements connector.AccessSource.
func (s source) Access(ctx context.Context, req connector.AccessRequest) (*connector.Access, error) {
	return s.c.Access(ctx, req)
}

// Access returns access that lasts: from memory, from the store, or renewed,
// once for all callers in all processes. What it returns must not be changed.
func (c *Connection) Access(ctx context.Context, req connector.AccessRequest) (*connector.Access, error) {
	h, err := c.handout(ctx, req)
	if err != nil {
		return nil, err
	}
	return h.access, nil
}

func (c *Connection) handout(ctx context.Context, req connector.AccessRequest) (*handout, error) {
	l := c.opened.Load()
	if l == nil {
		var err error
		if l, err = c.open(ctx); err != nil {
			return nil, err
		}
	}
	return l.access(ctx, want{validity: req.MinValidity, refused: req.Refused})
}

// open finds whose credential the connection uses. Only a saved connection's
// answer is kept: a draft's changes with the first sign-in.
func (c *Connection) open(ctx context.Context) (*life, error) {
	key := lifeKey{c.key, c.key}
	if c.base == "" {
		l := c.host.life(key, c.connectorID)
		c.opened.Store(l)
		return l, nil
	}
	draft, err := c.load(ctx)
	if err != nil {
		return nil, err
	}
	if len(draft.Sealed[store.FieldCredential]) > 0 {
		return c.host.life(key, c.connectorID), nil
	}
	base := c.key
	base.Connection = c.base
	shared, err := c.sharesCredential(ctx, draft, base)
	if err != nil {
		return nil, err
	}
	if shared {
		key.credential = base
	}
	return c.host.life(key, c.connectorID), nil
}

// sharesCredential reports whether a draft may use its connection's
// credential: whether it would send it to the same places.
func (c *Connection) sharesCredential(ctx context.Context, draft *store.Record, base store.Key) (bool, error) {
	conn, err := c.Connector()
	if err != nil {
		return false, err
	}
	r, err := c.host.store.Get(ctx, base)
	if is(err, connector.ConnectionNotFound) || err == nil && r.State == store.StateTombstone {
		return false, nil // an environment that isn't saved yet
	}
	if err != nil {
		return false, err
	}
	before, err := c.host.vault.config(ctx, r)
	if err != nil {
		return false, err
	}
	after, err := c.host.vault.config(ctx, draft)
	if err != nil {
		return false, err
	}
	changed, err := destinationsChanged(conn, before, after)
	return len(changed) == 0, err
}

// TokenSource returns the connection as x/oauth2's TokenSource. Each Token
// call is bounded by ctx.
func (c *Connection) TokenSource(ctx context.Context) oauth2.TokenSource {
	return tokenSource{ctx, c}
}

type tokenSource struct {
	ctx context.Context
	c   *Connection
}

// Token implements oauth2.TokenSource.
func (t tokenSource) Token() (*oauth2.Token, error) {
	h, err := t.c.handout(t.ctx, connector.AccessRequest{})
	if err != nil {
		return nil, err
	}
	return h.token, nil
}

// HTTPClient returns a client that authorises requests to the connection's
// endpoints, renews a refused token once, waits when the service asks any of
// the connection's clients to, of other hosts on the store too, goes through the connection's proxy and trusts
// its certificates. It has no time-out of its own: give each
// request a context. Close its idle connections when it isn't used any more.
func (c *Connection) HTTPClient(ctx context.Context) (*http.Client, error) {
	r, err := c.load(ctx)
	if err != nil {
		return nil, err
	}
	cfg, err := c.host.vault.config(ctx, r)
	if err != nil {
		return nil, err
	}
	base, err := connectorhttp.NewBase(c.host.network(cfg.network))
	if err != nil {
		return nil, err
	}
	l, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	l.waits.refresh(ctx, waitsFresh)
	return connectorhttp.NewClient(c.source(l), base), nil
}

// Narrow returns access with fewer rights: for scopes, for one resource, or
// both. It never falls back to the full access.
func (c *Connection) Narrow(ctx context.Context, scopes []string, resource string) (*connector.Access, error) {
	conn, err := c.Connector()
	if err != nil {
		return nil, err
	}
	if !conn.description.Has(connector.CapabilityNarrow) {
		return nil, connector.Errorf(connector.Unsupported, connector.OriginConnector, "The connector %s can't narrow access.", conn.description.ID)
	}
	full, err := c.Access(ctx, connector.AccessRequest{})
	if err != nil {
		return nil, err
	}
	return c.narrowFrom(ctx, full, scopes, resource)
}

// narrowFrom has the connector narrow this access.
func (c *Connection) narrowFrom(ctx context.Context, full *connector.Access, scopes []string, resource string) (*connector.Access, error) {
	conn, err := c.Connector()
	if err != nil {
		return nil, err
	}
	r, err := c.load(ctx)
	if err != nil {
		return nil, err
	}
	cfg, err := c.host.vault.config(ctx, r)
	if err != nil {
		return nil, err
	}
	now, err := c.host.store.Now(ctx)
	if err != nil {
		return nil, err
	}
	l, err := c.open(ctx)
	if err == nil {
		err = l.waits.spared(ctx)
	}
	if err != nil {
		return nil, err
	}
	narrow, err := conn.calls.narrow(ctx, c.host.callConfig(cfg), full, scopes, resource, now)
	l.waits.learn(ctx, err)
	if err != nil {
		return nil, err
	}
	narrow.Generation = full.Generation
	return narrow, nil
}
