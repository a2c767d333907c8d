package box

import (
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
)

// settings are a connection's settings, decoded.
type settings struct {
	ConnectionType string `json:"connection_type"`
	AuthorizeURL   string `json:"authorize_url"`
	TokenURL       string `json:"token_url"`
	RevokeURL      string `json:"revoke_url"`
	APIURL         string `json:"api_url"`
	UploadURL      string `json:"upload_url"`
	ClientID       string `json:"client_id"`
	Scopes         string `json:"scopes"`

	clientSecret connector.Secret
}

// load decodes settings and refuses what can't be used. The SDK has held them
// against the schema before; what is checked here keeps a token from a place
// where it mustn't go whoever calls.
func load(raw plugin.Settings) (*settings, error) {
	s, err := decode(raw)
	if err != nil {
		return nil, err
	}
	if err := s.problems().Err(); err != nil {
		return nil, err
	}
	return s, nil
}

func decode(raw plugin.Settings) (*settings, error) {
	var s settings
	var secret struct {
		ClientSecret string `json:"client_secret"`
	}
	if raw.Decode(&s) != nil || raw.Decode(&secret) != nil {
		return nil, connector.Errorf(connector.SettingsUnreadable, connector.OriginSettings,
			"The settings aren't a JSON object of the Box connector.").
			With(connector.FixSettings).Suggest("Save the connection's settings again.")
	}
	s.clientSecret = connector.NewSecret(secret.ClientSecret)
	return &s, nil
}

// invalid finds values that break a rule. Values that are missing aren't its
// matter: a draft may be incomplete.
func (s *settings) invalid() connector.Diagnostics {
	var found connector.Diagnostics
	if s.ConnectionType != "" && s.ConnectionType != "oauth2" {
		found = append(found, wrong("/connection_type", "The connection type isn't one that the Box connector has.",
			"Choose OAuth 2.0."))
	}
	for _, d := range s.destinations() {
		if problem := d.problem(); d.value != "" && problem != "" {
			found = append(found, wrong(d.pointer, "The "+d.title+" can't be used: "+problem+".",
				"Give an https URL, or leave the field empty for Box's own."))
		}
	}
	if strings.ContainsFunc(s.Scopes, notInScope) {
		found = append(found, wrong("/scopes", "The scopes hold a character that no scope can have.",
			"Write the scopes' names separated by single spaces, such as: root_readonly manage_webhook."))
	}
	return found
}

// problems finds everything that stops the settings from being used.
func (s *settings) problems() connector.Diagnostics {
	found := s.invalid()
	for _, d := range s.destinations() {
		if d.value == "" {
			found = append(found, missing(d.pointer, d.title))
		}
	}
	if s.ClientID == "" {
		found = append(found, missing("/client_id", "client ID"))
	}
	if s.clientSecret.IsZero() {
		found = append(found, missing("/client_secret", "client secret"))
	}
	return found
}

// config is the settings as package oauth2 takes them. The style is fixed:
// Box wants the client's credentials in the body, and trying which style works
// would send a one-time token twice.
func (s *settings) config(redirectURI string) *oauth2.Config {
	return &oauth2.Config{
		ClientID:     s.ClientID,
		ClientSecret: s.clientSecret.Reveal(),
		RedirectURL:  redirectURI,
		Scopes:       strings.Fields(s.Scopes),
		Endpoint: oauth2.Endpoint{
			AuthURL: s.AuthorizeURL, TokenURL: s.TokenURL, AuthStyle: oauth2.AuthStyleInParams,
		},
	}
}

// destination is a setting that says where secrets go.
type destination struct {
	pointer, title, value string
	query                 bool // a query is allowed
}

func (s *settings) destinations() []destination {
	return []destination{
		{"/authorize_url", "authorize URL", s.AuthorizeURL, true},
		{"/token_url", "token URL", s.TokenURL, false},
		{"/revoke_url", "revoke URL", s.RevokeURL, false},
		{"/api_url", "API URL", s.APIURL, false},
		{"/upload_url", "upload URL", s.UploadURL, false},
	}
}

// problem says what is wrong with the destination, or "". It never repeats
// the value, which may hold a password.
func (d destination) problem() string {
	u, err := url.Parse(d.value)
	switch {
	case err != nil || u.Hostname() == "":
		return "it isn't an absolute URL such as https://api.box.com/2.0"
	case u.Scheme != "https" && u.Scheme != "http":
		return "it begins with neither https:// nor http://"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "http is allowed for this machine (localhost) only"
	case u.User != nil:
		return "it holds a user name or a password"
	case strings.Contains(d.value, "#"):
		return "it holds a fragment (#)"
	case !d.query && strings.Contains(d.value, "?"):
		return "it holds a query (?)"
	}
	return ""
}

// loopback reports whether a host is this machine by its name alone.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// notInScope reports whether r can't stand in a list of scopes (RFC 6749,
// section 3.3).
func notInScope(r rune) bool {
	return r < ' ' || r > '~' || r == '"' || r == '\\'
}

func wrong(pointer, summary, suggestion string) *connector.Diagnostic {
	return connector.Errorf(connector.SettingInvalid, connector.OriginSettings, "%s", summary).
		At(pointer).With(connector.FixSettings).Suggest("%s", suggestion)
}

func missing(pointer, title string) *connector.Diagnostic {
	return connector.Errorf(connector.SettingRequired, connector.OriginSettings, "The %s is missing.", title).
		At(pointer).With(connector.FixSettings).Suggest("Fill it in and save the connection.")
}
