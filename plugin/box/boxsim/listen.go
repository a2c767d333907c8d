package boxsim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// The server's limits. Writing takes longer than the longest hold, delay and
// slow body together.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 3*maxDelay + 30*time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
	// stopTimeout is how long requests in flight may take to end.
	stopTimeout = 3 * time.Second
)

// ErrNotLoopback says that an address other machines can reach was asked for
// without [ListenOptions].AllowRemote.
var ErrNotLoopback = errors.New("not a loopback address")

// ListenOptions says how an emulator is served.
type ListenOptions struct {
	// TLS serves HTTPS with its certificates; nil serves HTTP.
	TLS *tls.Config
	// AllowRemote lets it listen on addresses that other machines can reach.
	// The emulator hands tokens to whoever asks, so think twice.
	AllowRemote bool
	// ContentAddr is a second address, which serves uploads and downloads as
	// Box's other hosts do. If empty it is a free port beside the first.
	ContentAddr string
}

// Instance is an emulator that listens.
type Instance struct {
	*Server
	baseURL string
	stop    context.CancelFunc
	ended   chan struct{}
	err     error
	once    sync.Once
}

// Listen serves an emulator on an address such as "localhost:0" until the
// context ends or Close is called. It refuses addresses that aren't loopback
// with [ErrNotLoopback].
func Listen(ctx context.Context, addr string, opts Options, serve ListenOptions) (*Instance, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address to listen on: %w", err)
	}
	if !loopback(host) && !serve.AllowRemote {
		return nil, fmt.Errorf("listen on %q: %w", addr, ErrNotLoopback)
	}
	content := serve.ContentAddr
	if content == "" {
		content = net.JoinHostPort(host, "0")
	}
	if contentHost, _, err := net.SplitHostPort(content); err != nil {
		return nil, fmt.Errorf("address of the content: %w", err)
	} else if !loopback(contentHost) && !serve.AllowRemote {
		return nil, fmt.Errorf("listen on %q: %w", content, ErrNotLoopback)
	}
	s, err := New(opts)
	if err != nil {
		return nil, err
	}
	ln, baseURL, err := listen(ctx, addr, serve.TLS)
	if err != nil {
		return nil, err
	}
	contentLn, contentURL, err := listen(ctx, content, serve.TLS)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	s.contentURL = contentURL
	ctx, cancel := context.WithCancel(ctx)
	in := &Instance{Server: s, baseURL: baseURL, stop: cancel, ended: make(chan struct{})}
	go in.run(ctx, ln, contentLn)
	return in, nil
}

// listen opens one address and returns its URL.
func listen(ctx context.Context, addr string, secure *tls.Config) (net.Listener, string, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, "", err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, "", err
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return nil, "", errors.Join(err, ln.Close())
	}
	scheme := "http"
	if secure != nil {
		scheme = "https"
		cfg := secure.Clone()
		cfg.NextProtos = []string{"http/1.1"} // a connection of HTTP/2 can't be dropped alone
		ln = tls.NewListener(ln, cfg)
	}
	if host == "" {
		host = "localhost"
	}
	return ln, scheme + "://" + net.JoinHostPort(host, port), nil
}

func (in *Instance) run(ctx context.Context, listeners ...net.Listener) {
	defer close(in.ended)
	defer in.Server.Close()
	defer in.stop()
	requests, cancelRequests := context.WithCancel(context.Background())
	defer cancelRequests()
	srv := &http.Server{
		Handler: in.Server, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(in.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return requests },
	}
	served := make(chan error, len(listeners))
	for _, ln := range listeners {
		go func() { served <- srv.Serve(ln) }()
	}
	left := len(listeners)
	select {
	case err := <-served:
		in.err, left = err, left-1
	case <-ctx.Done():
	}
	cancelRequests() // ends holds and waits
	limit, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := srv.Shutdown(limit); err != nil {
		in.err = errors.Join(in.err, err, srv.Close())
	}
	for ; left > 0; left-- {
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			in.err = errors.Join(in.err, err)
		}
	}
}

// BaseURL is where the emulator is served, without a trailing slash.
func (in *Instance) BaseURL() string { return in.baseURL }

// Info returns the emulator's addresses and credentials.
func (in *Instance) Info() Info { return in.Server.Info(in.baseURL) }

// Control returns a client of the emulator's control API.
func (in *Instance) Control() Control { return in.Server.Control(in.baseURL) }

// Wait returns when the emulator has stopped serving, with the reason if it
// wasn't asked to.
func (in *Instance) Wait() error {
	<-in.ended
	return in.err
}

// Close stops the emulator and waits until it has.
func (in *Instance) Close() error {
	in.once.Do(in.stop)
	return in.Wait()
}
