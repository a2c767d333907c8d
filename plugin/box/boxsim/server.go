package boxsim

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options sets up an emulator. The zero value is a working one, with random
// credentials.
type Options struct {
	// ClientID and ClientSecret are those of the one registered application.
	// If empty they are made up, in Box's form of 32 letters and digits.
	ClientID     string
	ClientSecret string
	// RedirectURIs are registered with the application; [DefaultRedirectURI]
	// if there are none.
	RedirectURIs []string
	// Scopes are those that the application is configured for; root_readwrite
	// if there are none.
	Scopes []string
	// Users are the accounts; [DefaultUsers] if there are none.
	Users []User
	// ControlToken guards the control API. If empty it is made up.
	ControlToken string
	// ContentFolder is where the private folder is made that holds the content
	// of uploads, and that Close removes; the system's folder for temporary
	// files if empty.
	ContentFolder string
	// Knobs is the behaviour; nil means [DefaultKnobs].
	Knobs *Knobs
	// Now is the clock that the emulator's offset is added to; time.Now if nil.
	Now func() time.Time
	// Logger gets a line for each request, at debug level, without secrets.
	// Nil means no log.
	Logger *slog.Logger
}

// Server is the emulator as an http.Handler. It is safe for concurrent use.
type Server struct {
	clientID     string
	clientSecret string
	redirectURIs []string
	scopes       []string
	controlToken string

	log        *slog.Logger
	mux        *http.ServeMux
	sameOrigin *http.CrossOriginProtection
	clock      *clock
	journal    *journal
	faults     *faults
	limits     limits
	store      *store
	contentURL string // where uploads and downloads are served; empty: where the request came to

	mu            sync.Mutex // guards what follows
	knobs         Knobs
	users         []*User
	tree          *tree
	consents      map[string]*consent
	codes         map[string]*code
	accessTokens  map[string]*accessToken
	refreshTokens map[string]*refreshToken
	pairs         []*pair // in the order of issue
	tokenTimes    []time.Time
	tickets       map[string]*ticket
	sessions      map[string]*uploadSession
	counters      Counters
}

// route is one endpoint of the emulated Box. Its handler runs under s.mu.
type route struct {
	pattern string
	handle  func(*Server, *call) answer
	// receive, if there is one, takes the content of the request before the
	// handler runs, without s.mu. It returns a refusal, or errCut.
	receive func(*Server, *call) (*answer, error)
}

func routes() []route {
	own := []route{
		{pattern: "GET /api/oauth2/authorize", handle: (*Server).authorize},
		{pattern: "POST /api/oauth2/authorize", handle: (*Server).decide},
		{pattern: "POST /oauth2/token", handle: (*Server).token},
		{pattern: "POST /oauth2/revoke", handle: (*Server).revokeToken},
		{pattern: "GET /2.0/users/me", handle: (*Server).usersMe},
	}
	return append(own, contentRoutes()...)
}

// Endpoints lists the emulated endpoints as patterns of http.ServeMux.
func Endpoints() []string {
	var out []string
	for _, rt := range routes() {
		out = append(out, rt.pattern)
	}
	return out
}

// ErrOptions says that the options contradict themselves or Box's rules, for
// example with a redirect URI that Box would not register.
var ErrOptions = errors.New("the emulator can't be set up like this")

// New returns an emulator, or [ErrOptions] with all that is wrong.
func New(opts Options) (*Server, error) { return newServer(opts, defaultLimits()) }

func newServer(opts Options, bounds limits) (*Server, error) {
	s := &Server{
		clientID: opts.ClientID, clientSecret: opts.ClientSecret, controlToken: opts.ControlToken,
		redirectURIs: slices.Clone(opts.RedirectURIs), scopes: slices.Clone(opts.Scopes),
		log: opts.Logger, mux: http.NewServeMux(), sameOrigin: http.NewCrossOriginProtection(),
		clock: &clock{base: opts.Now}, journal: newJournal(bounds.requests), limits: bounds, faults: &faults{},
		knobs: DefaultKnobs(), consents: map[string]*consent{}, codes: map[string]*code{},
		accessTokens: map[string]*accessToken{}, refreshTokens: map[string]*refreshToken{},
		tickets: map[string]*ticket{}, sessions: map[string]*uploadSession{}, store: &store{parent: opts.ContentFolder},
	}
	for _, made := range []*string{&s.clientID, &s.clientSecret, &s.controlToken} {
		if *made == "" {
			*made = randomString(32, lowercase)
		}
	}
	if len(s.redirectURIs) == 0 {
		s.redirectURIs = []string{DefaultRedirectURI}
	}
	if len(s.scopes) == 0 {
		s.scopes = []string{"root_readwrite"}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.clock.base == nil {
		s.clock.base = time.Now
	}
	users := opts.Users
	if len(users) == 0 {
		users = DefaultUsers()
	}
	for _, u := range users {
		s.users = append(s.users, &u)
	}
	if opts.Knobs != nil {
		s.knobs = *opts.Knobs
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	s.tree = newTree(s.users[0])
	for _, rt := range routes() {
		s.mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(rt, w, r) })
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.serve(route{handle: (*Server).unknown}, w, r) })
	s.routeControl()
	return s, nil
}

func (s *Server) check() error {
	errs := []error{s.knobs.validate()}
	for i, uri := range s.redirectURIs {
		errs = append(errs, checkRegistration(uri))
		if slices.Contains(s.redirectURIs[:i], uri) {
			errs = append(errs, fmt.Errorf("redirect URI %q: registered twice", uri))
		}
	}
	for i, u := range s.users {
		if u.ID == "" || u.Login == "" {
			errs = append(errs, errors.New("users: every user needs an ID and a login"))
		}
		for _, other := range s.users[:i] {
			if other.ID == u.ID || other.Login == u.Login {
				errs = append(errs, fmt.Errorf("users: %s appears twice", u.Login))
			}
		}
	}
	return errors.Join(errs...)
}

// ServeHTTP answers as Box, or under /_sim/ as the emulator itself.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close releases the requests that faults hold, and removes the faults and the
// content of uploads. The handler still answers afterwards, but takes no
// content.
func (s *Server) Close() {
	s.faults.release("", true)
	s.store.close(s.log)
}

// unknown answers what isn't emulated.
func (s *Server) unknown(c *call) answer {
	for _, rt := range routes() {
		if _, pattern, _ := strings.Cut(rt.pattern, " "); sameShape(pattern, c.r.URL.Path) {
			return apiRefusal(http.StatusMethodNotAllowed, "method_not_allowed", "Method Not Allowed", nil)
		}
	}
	return apiRefusal(http.StatusNotFound, "not_found", "Not Found", nil)
}

// sameShape compares a path with a pattern of package http.
func sameShape(pattern, path string) bool {
	return slices.EqualFunc(strings.Split(pattern, "/"), strings.Split(path, "/"), func(p, segment string) bool {
		return p == segment || strings.HasPrefix(p, "{")
	})
}

// Info is what a client needs to use an emulator. It holds its secrets.
type Info struct {
	BaseURL      string `json:"base_url"`
	AuthorizeURL string `json:"authorize_url"`
	TokenURL     string `json:"token_url"`
	RevokeURL    string `json:"revoke_url"`
	APIURL       string `json:"api_url"`
	// UploadURL is the base of the API for uploads.
	UploadURL string `json:"upload_url"`
	// ContentURL is the origin of uploads and of downloads, whose addresses
	// need no token.
	ContentURL   string   `json:"content_url"`
	ControlURL   string   `json:"control_url"`
	ClientID     string   `json:"client_id"`
	ClientSecret string   `json:"client_secret"`
	ControlToken string   `json:"control_token"`
	RedirectURIs []string `json:"redirect_uris"`
	Users        []User   `json:"users"`
}

// Info returns the addresses of an emulator that is served at a base URL, and
// its credentials.
func (s *Server) Info(baseURL string) Info {
	base := strings.TrimRight(baseURL, "/")
	content := cmp.Or(s.contentURL, base)
	return Info{
		UploadURL: content + "/api/2.0", ContentURL: content,
		BaseURL: base, AuthorizeURL: base + "/api/oauth2/authorize", TokenURL: base + "/oauth2/token",
		RevokeURL: base + "/oauth2/revoke", APIURL: base + "/2.0", ControlURL: base + "/_sim",
		ClientID: s.clientID, ClientSecret: s.clientSecret, ControlToken: s.controlToken,
		RedirectURIs: slices.Clone(s.redirectURIs), Users: s.Users(),
	}
}

// Control returns a client of the control API of an emulator that is served at
// a base URL.
func (s *Server) Control(baseURL string) Control {
	info := s.Info(baseURL)
	return Control{BaseURL: info.ControlURL, Token: info.ControlToken}
}

// Users lists the accounts.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]User, 0, len(s.users))
	for _, u := range s.users {
		out = append(out, *u)
	}
	return out
}
