package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/netutil"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/internal/loopback"
	"github.com/boxconnection/connector/host/web"
)

// What a stranger on this machine can keep busy is bounded. Answers have no
// deadline of their own: a test is shown as long as it runs.
const (
	webHeaderTimeout = 5 * time.Second
	webReadTimeout   = 30 * time.Second
	webIdleTimeout   = 2 * time.Minute
	webMaxHeader     = 32 << 10
	webMaxConns      = 256 // on each of the two addresses
	// webStopWithin is how long requests in flight may take to end.
	webStopWithin = 5 * time.Second
)

func (a *app) webCommand() *cobra.Command {
	var (
		port    int
		plugins []string
		open    bool
	)
	cmd := &cobra.Command{
		Use: "web", Short: "Serve the page on which connections are set up, for this machine only", Args: noArgs,
		Long: `Serve the connection page on localhost, and print a link that opens it once.
The link works for a few minutes; what it opens works in that browser until the
command is interrupted. The redirect URI to register with an application is
http://localhost:PORT/account/ACCOUNT/oauth2/callback, which the page shows too.`,
		PreRunE: func(*cobra.Command, []string) error {
			if port < 0 || port > maxPort {
				return usage("--port takes a number from 1 to %d, or 0 for any that is free", maxPort)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer e.close()
			return a.serveWeb(cmd.Context(), e, port, plugins, open)
		},
	}
	f := cmd.Flags()
	f.IntVar(&port, "port", loopback.DefaultPort, "port on localhost; it is part of the redirect URI")
	f.StringSliceVar(&plugins, "plugin", []string{defaultPlugin}, "a connector to offer for new connections (repeatable)")
	f.BoolVar(&open, "open", false, "open the page in this machine's browser")
	return cmd
}

// serveWeb serves the page until ctx ends. That is how it is stopped, so it is
// no error.
func (a *app) serveWeb(ctx context.Context, e *engine, port int, plugins []string, open bool) error {
	listeners, err := loopback.Bind(port)
	if err != nil {
		return err
	}
	port = listeners[0].Addr().(*net.TCPAddr).Port
	base := fmt.Sprintf("http://localhost:%d", port)
	door := newDoor(port, time.Now)
	handler, err := web.Handler(e.host, a.webOptions(e, base, plugins, door))
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	server := &http.Server{
		Handler: door.mount(handler), ReadHeaderTimeout: webHeaderTimeout, ReadTimeout: webReadTimeout,
		IdleTimeout: webIdleTimeout, MaxHeaderBytes: webMaxHeader,
		ErrorLog:    slog.NewLogLogger(a.logger().Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- server.Serve(netutil.LimitListener(l, webMaxConns)) }()
	}
	link := base + doorPath + "?" + doorKey + "=" + door.key.Reveal()
	_ = a.print(map[string]string{"url": link, "base": base, "redirect_uri": loopback.RedirectURI(a.owner, port)}, func(w io.Writer) {
		say(w, "Open this link within %s; it works once:\n  %s", doorWithin, link)
	}) // whoever waits for it sees
	if open {
		a.openBrowser(link)
	}
	left := len(listeners)
	select {
	case <-ctx.Done():
		err = nil
	case err = <-ended:
		left--
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), webStopWithin)
	defer cancel()
	if server.Shutdown(stopping) != nil {
		_ = server.Close() // what is left has had its time
	}
	for range left {
		<-ended //nolint:errcheck // told already, or the end that was asked for
	}
	return err
}

func (a *app) webOptions(e *engine, base string, plugins []string, door *door) web.Options {
	choices := make([]web.Choice, len(plugins))
	for i, name := range plugins {
		choices[i] = web.Choice{Plugin: name, Title: titleOf(name)}
	}
	who := web.Principal{Owner: a.owner, Environment: a.environment, Actor: actor() + " (web)"}
	return web.Options{
		Base: base, Load: e.connector, Choices: choices, Logger: a.logger(),
		Principal: func(r *http.Request) (web.Principal, error) { return who, door.admits(r) },
		Audit: func(_ context.Context, owner string) iter.Seq2[audit.Event, error] {
			return func(yield func(audit.Event, error) bool) {
				for event, err := range audit.Read(auditPath(e.home)) {
					if (err != nil || event.Owner == owner) && !yield(event, err) {
						return
					}
				}
			}
		},
	}
}

func closeAll(listeners []net.Listener) error {
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
