package conformance

import (
	"net/http"

	"github.com/boxconnection/connector/conformance/internal/service"
)

// OAuthPeer returns a small OAuth 2.0 service that speaks the control
// protocol, for connectors whose service is nothing in particular, and what
// its line holds when it is served at a base URL: base_url, control_url,
// control_token, client_id and client_secret. Its endpoints are /authorize,
// /token, /revoke, /api/me and /api/ping; renewal tokens rotate and can be
// replayed until the new pair is used. The handler is safe for concurrent use.
func OAuthPeer(baseURL string) (handler http.Handler, vars map[string]string) {
	s := service.New()
	return s, s.Vars(baseURL)
}
