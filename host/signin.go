package host

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"time"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
)

// signInLife is how long a sign-in waits for its callback if the connector
// doesn't say less.
const signInLife = 10 * time.Minute

// SignIn is a sign-in that has begun.
type SignIn struct {
	// URL is for the person's browser.
	URL string
	// RedirectURI is the URI to register with the application at the service,
	// byte for byte.
	RedirectURI string
	// Binding ties the sign-in to the browser that began it. An engine keeps it
	// where only that browser can show it, in a cookie for example, and passes
	// what the callback's request shows to CompleteSignIn.
	Binding connector.Secret
	// ExpiresAt is on the store's clock.
	ExpiresAt time.Time
}

// pendingSignIn is the plaintext of a flow.
type pendingSignIn struct {
	Pending     []byte `json:"pending"`
	RedirectURI string `json:"redirect_uri"`
	Settings    uint64 `json:"settings_revision"`
	Actor       string `json:"actor"`
	Name        string `json:"name"`
}

// fieldFlow binds a flow's ciphertext: the state's hash stands for the field.
const fieldFlow = "flow:"

// BeginSignIn begins a sign-in. Nothing of it stays in the connector, so its
// callback may reach another process that works on the same store.
func (c *Connection) BeginSignIn(ctx context.Context, redirectURI string) (*SignIn, error) {
	s, r, err := c.beginSignIn(ctx, redirectURI)
	if aerr := c.tenant.audit(ctx, audit.ActionBeginSignIn, r, err); err == nil && aerr != nil {
		return nil, aerr
	}
	return s, err
}

func (c *Connection) beginSignIn(ctx context.Context, redirectURI string) (*SignIn, *store.Record, error) {
	conn, err := c.Connector()
	if err != nil {
		return nil, nil, err
	}
	if err := c.host.Copied(ctx); err != nil {
		return nil, nil, err
	}
	if !conn.description.Has(connector.CapabilityAuthorize) {
		return nil, nil, connector.Errorf(connector.Unsupported, connector.OriginConnector, "The connector %s has no sign-in in a browser.", conn.description.ID)
	}
	r, err := c.load(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := c.host.vault.withheld(ctx, r); err != nil {
		return nil, r, err
	}
	cfg, err := c.host.vault.config(ctx, r)
	if err != nil {
		return nil, r, err
	}
	now, err := c.host.store.Now(ctx)
	if err != nil {
		return nil, r, err
	}
	state, bind := opaque(), opaque()
	b, err := conn.calls.begin(ctx, cfg.settings, redirectURI, state, now)
	if err != nil {
		return nil, r, err
	}
	if b.url == "" || len(b.pending) > handshake.MaxPendingBytes {
		return nil, r, contractBroken("BeginAuthorization answered without a URL, or with too large a pending blob")
	}
	f := store.Flow{ID: flowID(state), Key: c.key, ExpiresAt: now.Add(signInLife), Binding: digest(bind)}
	if !b.expires.IsZero() && b.expires.Before(f.ExpiresAt) {
		f.ExpiresAt = b.expires
	}
	plain, err := json.Marshal(pendingSignIn{b.pending, redirectURI, r.SettingsRevision, c.tenant.actor, r.Name})
	if err != nil {
		return nil, r, connector.Diagnose(err, connector.OriginHost)
	}
	if f.Sealed, err = c.host.vault.sealer.Seal(ctx, c.key, store.Field(fieldFlow+f.ID), plain); err != nil {
		return nil, r, err
	}
	if err := c.host.store.PutFlow(ctx, f); err != nil {
		return nil, r, err
	}
	return &SignIn{URL: b.url, RedirectURI: redirectURI, Binding: connector.NewSecret(bind), ExpiresAt: f.ExpiresAt}, r, nil
}

// SignedIn is the outcome of a sign-in.
type SignedIn struct {
	Owner       string             `json:"owner"`
	Connection  string             `json:"connection"`
	Environment string             `json:"environment"`
	Account     *connector.Account `json:"account,omitempty"`
	// Warnings are the connector's.
	Warnings connector.Diagnostics `json:"warnings,omitempty"`
}

// CompleteSignIn ends a sign-in with the callback that the person's browser
// was sent to: the whole URL, and the binding that the browser shows. A
// callback that doesn't fit ends nothing; of several equal ones the first
// counts. The credential is written before it is used, then the account is
// asked for and compared with the one that the connection is pinned to. If it
// is another one, the old credential stays and the error is
// connector.AccountMismatch; [Connection.ConfirmAccount] accepts it.
func (h *Host) CompleteSignIn(ctx context.Context, callbackURL string, bind connector.Secret) (*SignedIn, error) {
	flow, p, err := h.takeFlow(ctx, callbackURL, bind)
	if err != nil {
		_ = h.record(ctx, audit.Event{Action: audit.ActionSignIn}, err)
		return nil, err
	}
	t := h.Tenant(flow.Key.Owner, flow.Key.Environment, p.Actor)
	done, r, err := h.completeSignIn(ctx, flow.Key, p, callbackURL)
	if r == nil {
		r = &store.Record{Key: flow.Key, Name: p.Name}
	}
	if aerr := t.audit(ctx, audit.ActionSignIn, r, err); err == nil && aerr != nil {
		return done, aerr
	}
	return done, err
}

// takeFlow finds the sign-in that a callback belongs to, and ends its waiting
// only if everything fits.
func (h *Host) takeFlow(ctx context.Context, callbackURL string, bind connector.Secret) (*store.Flow, pendingSignIn, error) {
	var p pendingSignIn
	if err := h.Copied(ctx); err != nil {
		return nil, p, err // the sign-in is the original's
	}
	if len(callbackURL) > handshake.MaxCallbackBytes {
		return nil, p, foreignCallback("it is too long")
	}
	u, err := url.Parse(callbackURL)
	if err != nil {
		return nil, p, foreignCallback("it isn't a URL")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(query["state"]) != 1 || query.Get("state") == "" {
		return nil, p, foreignCallback("it has no state parameter, or several")
	}
	id := flowID(query.Get("state"))
	flow, err := h.store.PeekFlow(ctx, id)
	if is(err, connector.ConnectionNotFound) {
		return nil, p, foreignCallback("no sign-in waits for it: it was answered already, it expired, or it was never begun here")
	}
	if err != nil {
		return nil, p, err
	}
	if subtle.ConstantTimeCompare(flow.Binding, digest(bind.Reveal())) != 1 {
		return nil, p, foreignCallback("it comes from another browser than the one that began the sign-in")
	}
	plain, err := h.vault.sealer.Open(ctx, flow.Key, store.Field(fieldFlow+id), flow.Sealed)
	if err != nil {
		return nil, p, err
	}
	if err := json.Unmarshal(plain, &p); err != nil {
		return nil, p, connector.Diagnose(err, connector.OriginHost)
	}
	if !atRedirectURI(u, p.RedirectURI) {
		return nil, p, foreignCallback("it arrived at another address than the sign-in's redirect URI")
	}
	if _, err := h.store.TakeFlow(ctx, id); err != nil {
		if is(err, connector.ConnectionNotFound) {
			err = foreignCallback("the sign-in was answered a moment ago")
		}
		return nil, p, err
	}
	return flow, p, nil
}

func (h *Host) completeSignIn(ctx context.Context, key store.Key, p pendingSignIn, callbackURL string) (*SignedIn, *store.Record, error) {
	r, err := h.store.Get(ctx, key)
	if err == nil {
		r, err = h.current(ctx, r)
	}
	if err != nil {
		return nil, nil, err
	}
	if r.State == store.StateTombstone {
		return nil, r, notFound(key.Connection)
	}
	if r.SettingsRevision != p.Settings {
		return nil, r, connector.Errorf(connector.AuthorizationExpired, connector.OriginHost, "The settings were changed while the sign-in was under way.").
			With(connector.SignInAgain).Suggest("Begin the sign-in again.")
	}
	conn, err := h.connectorOf(ctx, r) // this node may not have begun the sign-in
	if err != nil {
		return nil, r, err
	}
	cfg, err := h.vault.config(ctx, r)
	if err != nil {
		return nil, r, err
	}
	now, err := h.store.Now(ctx)
	if err != nil {
		return nil, r, err
	}
	cred, warnings, err := h.complete(ctx, conn, key, cfg, p, callbackURL, now)
	if err != nil {
		return nil, r, err
	}
	r, account, err := h.promote(ctx, conn, key, cfg, cred, now)
	return &SignedIn{
		Owner: key.Owner, Connection: key.Connection, Environment: key.Environment,
		Account: account, Warnings: warnings,
	}, r, err
}

// complete exchanges what the callback brought. It waits for a service that
// asks it to, as far as a renewal would: the code is good for some more
// seconds, and a person's consent shouldn't be lost to a busy moment.
func (h *Host) complete(ctx context.Context, conn *Connector, key store.Key, cfg config, p pendingSignIn, callbackURL string, now time.Time) (connector.Credential, connector.Diagnostics, error) {
	h.mu.Lock()
	throttle := h.throttle(key)
	h.mu.Unlock()
	for waits := newWaits(); ; {
		err := throttle.spared(ctx)
		if err == nil {
			var (
				cred     connector.Credential
				warnings connector.Diagnostics
			)
			cred, warnings, err = conn.calls.complete(ctx, h.callConfig(cfg), p.Pending, callbackURL, now, h.writes(conn))
			if throttle.learn(ctx, err); err == nil {
				return cred, warnings, nil
			}
		}
		// Another failure may have spent the code.
		if !is(err, connector.RateLimited) || !waits.next(ctx, h, err) {
			return connector.Credential{}, nil, err
		}
	}
}

func foreignCallback(why string) *connector.Diagnostic {
	return connector.Errorf(connector.AuthorizationInvalid, connector.OriginHost, "This callback doesn't belong to a sign-in that waits: %s.", why).
		With(connector.SignInAgain).Suggest("Begin the sign-in again, in the same browser.")
}

// atRedirectURI reports whether a callback arrived at the redirect URI: the
// same scheme, host and path. The service adds to the query only.
func atRedirectURI(callback *url.URL, redirectURI string) bool {
	want, err := url.Parse(redirectURI)
	return err == nil && callback.Scheme == want.Scheme && callback.Host == want.Host && callback.EscapedPath() == want.EscapedPath()
}

// opaque returns 32 random bytes in base64url: letters, digits, '-' and '_'
// only, since services have been seen to stumble over more.
func opaque() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b)
}

func digest(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

func flowID(state string) string { return hex.EncodeToString(digest(state)) }
