// Package loopback receives a sign-in's callback on this machine: a small
// server on localhost, on both of its addresses, that lives as long as one
// sign-in.
package loopback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/boxconnection/connector/proto/connector"
)

// DefaultPort is the port of the redirect URI unless the person names another.
// It is fixed, since services compare the registered URI with the one in use.
const DefaultPort = 8085

const (
	// headerTimeout and maxHeader bound what a stranger on this machine can
	// keep busy.
	headerTimeout = 5 * time.Second
	maxHeader     = 32 << 10
	// lingerFor is how long the last page may take to reach the browser.
	lingerFor = 2 * time.Second
	// busyLimit bounds the callbacks that are looked at at the same time.
	busyLimit = 16
)

// Server waits for a callback.
type Server struct {
	redirectURI string
	path        string
	listeners   []net.Listener
	server      *http.Server
	serving     sync.WaitGroup
	busy        chan struct{}

	// mu is held while a callback is completed.
	mu       sync.Mutex
	complete func(callbackURL string) (ours bool, err error)
	finished bool
	outcome  chan error
}

// ErrNoCallback ends a Wait to which nobody came in time.
var ErrNoCallback = errors.New("no callback came in time")

// Listen binds localhost's addresses: 127.0.0.1 and, where the machine has it,
// ::1, on the same port. Port 0 takes a free one. It fails with
// connector.CallbackPortTaken before anything else has happened. The owner is
// the account in the callback's path.
func Listen(owner string, port int) (*Server, error) {
	listeners, err := Bind(port)
	if err != nil {
		return nil, err
	}
	s := &Server{
		path: callbackPath(owner), listeners: listeners, outcome: make(chan error, 1), busy: make(chan struct{}, busyLimit),
	}
	bound := listeners[0].Addr().(*net.TCPAddr).Port
	s.redirectURI = RedirectURI(owner, bound)
	s.server = &http.Server{
		Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout,
		MaxHeaderBytes: maxHeader,
	}
	return s, nil
}

// RedirectURI is the URI to register for an owner and a port.
func RedirectURI(owner string, port int) string {
	return fmt.Sprintf("http://localhost:%d%s", port, callbackPath(owner))
}

func callbackPath(owner string) string { return "/account/" + owner + "/oauth2/callback" }

// Bind listens on localhost's addresses: 127.0.0.1 and, where the machine has
// it, ::1, on the same port, so that no stranger gets what is sent to the other
// one. Port 0 takes a free one. It fails with connector.CallbackPortTaken.
func Bind(port int) ([]net.Listener, error) {
	var lc net.ListenConfig
	ctx := context.Background() // binding doesn't block
	v4, err := lc.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	switch {
	case err == nil:
		port = v4.Addr().(*net.TCPAddr).Port
	case !unavailable(err):
		return nil, taken(port, err)
	}
	v6, err6 := lc.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(port)))
	switch {
	case err6 == nil && v4 == nil:
		return []net.Listener{v6}, nil
	case err6 == nil:
		return []net.Listener{v4, v6}, nil
	case v4 != nil && unavailable(err6):
		return []net.Listener{v4}, nil
	case v4 != nil: // a stranger on ::1 would get the callback
		_ = v4.Close()
	}
	return nil, taken(port, err6)
}

// unavailable reports whether the machine has no such address at all.
func unavailable(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EPROTONOSUPPORT)
}

func taken(port int, err error) error {
	return connector.Errorf(connector.CallbackPortTaken, connector.OriginHost, "Port %d on localhost, which the sign-in's callback needs, can't be had.", port).
		Suggest("End the program that uses it, such as another sign-in, or choose another with --port and register the redirect URI with that port.").
		Because(err)
}

// RedirectURI is where the callback arrives, byte for byte.
func (s *Server) RedirectURI() string { return s.redirectURI }

// Wait serves until complete has accepted or refused a callback for good, ctx
// ends, or patience has passed without a callback, which is [ErrNoCallback].
// Only a GET of the callback's exact path with a state counts. complete is
// called with the whole URL; what it returns is told to the browser in fixed
// words. If it says that the callback isn't this sign-in's own, the waiting
// goes on.
//
// A callback that has come is completed whatever patience says, and whether or
// not the browser stays: its code is good for one exchange. complete has a
// deadline of its own; its context ends with ctx.
func (s *Server) Wait(ctx context.Context, patience time.Duration, complete func(ctx context.Context, callbackURL string) (ours bool, err error)) error {
	s.mu.Lock()
	s.complete = func(callbackURL string) (bool, error) { return complete(ctx, callbackURL) }
	s.mu.Unlock()
	for _, l := range s.listeners {
		s.serving.Go(func() { _ = s.server.Serve(l) })
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-s.outcome:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return s.giveUp()
	}
}

// giveUp ends the waiting, after the callback that is being completed, if there
// is one.
func (s *Server) giveUp() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished {
		return <-s.outcome
	}
	s.finished = true
	return ErrNoCallback
}

// Close frees the port, after the last page has been sent.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), lingerFor)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
	for _, l := range s.listeners {
		_ = l.Close()
	}
	s.serving.Wait()
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.EscapedPath() != s.path:
		pageNotHere.write(w)
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		pageOnlyGet.write(w)
	case r.URL.Query().Get("state") == "":
		pageIncomplete.write(w)
	case r.Header.Get("Sec-Purpose") != "" || r.Header.Get("Purpose") != "": // a prefetch
		pageIncomplete.write(w)
	default:
		s.callback(w, r)
	}
}

func (s *Server) callback(w http.ResponseWriter, r *http.Request) {
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	default:
		pageBusy.write(w)
		return
	}
	// One at a time: a second callback waits for the first one's outcome.
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished || s.complete == nil {
		pageAnswered.write(w)
		return
	}
	ours, err := s.complete(s.callbackURL(r))
	if !ours {
		pageForeign.write(w)
		return
	}
	s.finished = true
	switch {
	case err == nil:
		pageDone.write(w)
	case errors.Is(err, connector.AuthorizationDenied):
		pageDenied.write(w)
	case errors.Is(err, connector.AccountMismatch):
		pageOtherAccount.write(w)
	default:
		pageFailed.write(w)
	}
	s.outcome <- err
}

// callbackURL is the URL that the browser was sent to: the redirect URI with
// the request's query.
func (s *Server) callbackURL(r *http.Request) string {
	return s.redirectURI + "?" + r.URL.RawQuery
}
