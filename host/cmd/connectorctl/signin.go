package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/cli/browser"
	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/internal/loopback"
	"github.com/boxconnection/connector/proto/connector"
)

// maxPasted bounds a line that a person pastes.
const maxPasted = 64 << 10

const maxPort = 1<<16 - 1

// signInFlags are the flags of sign-in.
type signInFlags struct {
	port          int
	timeout       time.Duration
	paste         bool
	noBrowser     bool
	switchAccount bool
}

func (a *app) signInCommand() *cobra.Command {
	var flags signInFlags
	cmd := &cobra.Command{
		Use: "sign-in NAME", Short: "Sign in through a browser and store the credential", Args: exactly(1),
		Long: `Sign in through a browser. The service sends the browser back to
http://localhost:PORT/account/ACCOUNT/oauth2/callback, which must be registered
with the application, byte for byte.

Where the browser runs on another machine than this command, forward the port
(ssh -L 8085:localhost:8085 HOST), or use --paste and paste the address that
the browser ends at.`,
		PreRunE: func(*cobra.Command, []string) error { return flags.check() },
		RunE: a.onConnection(func(ctx context.Context, e *engine, c *host.Connection, name string) error {
			a.connection = "" // this is the sign-in
			signIn := a.byLoopback
			if flags.paste {
				signIn = a.byPaste
			}
			done, err := signIn(ctx, e, c, &flags)
			if errors.Is(err, connector.AccountMismatch) {
				done, err = a.otherAccount(ctx, c, err, flags.switchAccount)
			}
			if err != nil {
				return err
			}
			result := map[string]any{"event": "signed_in", "connection": name, "account": done.Account, "warnings": done.Warnings}
			return a.print(result, func(w io.Writer) {
				say(w, "The access token was received and stored.\n  account  %s", accountText(done.Account))
				for _, d := range done.Warnings {
					showDiagnostic(w, "  ", d)
				}
			})
		}),
	}
	f := cmd.Flags()
	f.IntVar(&flags.port, "port", loopback.DefaultPort, "port of the callback on localhost; it is part of the redirect URI")
	f.DurationVar(&flags.timeout, "timeout", 5*time.Minute, "how long to wait for the person")
	f.BoolVar(&flags.paste, "paste", false, "read the address that the browser ends at from standard input")
	f.BoolVar(&flags.noBrowser, "no-browser", false, "print the URL only")
	f.BoolVar(&flags.switchAccount, "switch-account", false, "accept another account than the connection's")
	return cmd
}

func (f *signInFlags) check() error {
	if f.port < 0 || f.port > maxPort {
		return usage("--port takes a number from 1 to %d, or 0 for any that is free", maxPort)
	}
	if f.timeout <= 0 {
		return usage("--timeout takes how long to wait, such as 5m")
	}
	return nil
}

// otherAccount deals with a sign-in to another account than the connection's:
// it is accepted, or dropped and revoked, since nobody can come back to it.
func (a *app) otherAccount(ctx context.Context, c *host.Connection, mismatch error, accept bool) (*host.SignedIn, error) {
	if accept {
		account, err := c.ConfirmAccount(ctx)
		return &host.SignedIn{Account: account}, err
	}
	if err := c.RejectAccount(ctx); err != nil {
		a.logger().Warn("the sign-in to the other account isn't taken back yet", "error", err)
	}
	return nil, connector.Diagnose(mismatch, connector.OriginHost).
		Suggest("Sign in to the connection's account, in a private window if the browser remembers the other one; or use --switch-account to give the connection to the other account.")
}

// byLoopback waits for the callback on localhost.
func (a *app) byLoopback(ctx context.Context, e *engine, c *host.Connection, flags *signInFlags) (*host.SignedIn, error) {
	server, err := loopback.Listen(a.owner, flags.port)
	if err != nil {
		return nil, err
	}
	defer server.Close()
	s, err := c.BeginSignIn(ctx, server.RedirectURI())
	if err != nil {
		return nil, err
	}
	a.tellURL(s)
	if !flags.noBrowser {
		a.openBrowser(s.URL)
	}
	var done *host.SignedIn
	err = server.Wait(ctx, flags.timeout, func(ctx context.Context, callbackURL string) (bool, error) {
		var err error
		done, err = e.host.CompleteSignIn(ctx, callbackURL, s.Binding)
		return !foreign(err), err
	})
	if errors.Is(err, loopback.ErrNoCallback) {
		return nil, noAnswer(flags.timeout, s.RedirectURI)
	}
	return done, err
}

// foreign reports whether a callback belongs to no sign-in that waits. The
// service's own refusal of a code has the same name, but ends the sign-in.
func foreign(err error) bool {
	d := connector.Diagnose(err, connector.OriginHost)
	return d != nil && d.Code == connector.AuthorizationInvalid && d.Origin == connector.OriginHost
}

// byPaste reads the callback from standard input.
func (a *app) byPaste(ctx context.Context, e *engine, c *host.Connection, flags *signInFlags) (*host.SignedIn, error) {
	s, err := c.BeginSignIn(ctx, loopback.RedirectURI(a.owner, flags.port))
	if err != nil {
		return nil, err
	}
	a.tellURL(s)
	a.note("After you allowed the access the browser ends at an address that begins with the redirect URI, and may show an error.\nPaste that whole address here:")
	waiting, cancel := context.WithTimeout(ctx, flags.timeout)
	defer cancel()
	line, err := a.line(waiting, maxPasted)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, noAnswer(flags.timeout, s.RedirectURI)
	case err != nil:
		return nil, err
	case line == "":
		return nil, usage("no address was pasted")
	}
	return e.host.CompleteSignIn(ctx, line, s.Binding)
}

// tellURL prints what to register and where to go: for a program on standard
// output, for a person on standard error.
func (a *app) tellURL(s *host.SignIn) {
	if a.json {
		_ = a.printJSON(a.stdout, map[string]any{
			"event": "url", "url": s.URL, "redirect_uri": s.RedirectURI, "expires_at": s.ExpiresAt,
		}) // a reader that went away can't be told
		return
	}
	a.note("The application must have exactly this redirect URI registered:\n  %s\nAllow the access in a browser:\n  %s", s.RedirectURI, s.URL)
}

// openBrowser opens the person's browser if there is one. Without one the URL
// that was printed is the way.
func (a *app) openBrowser(url string) {
	browser.Stdout, browser.Stderr = io.Discard, io.Discard
	if err := browser.OpenURL(url); err != nil {
		a.note("No browser could be opened here. Open the URL yourself; if your browser is on another machine, forward the port or use --paste.")
	}
}

func noAnswer(after time.Duration, redirectURI string) error {
	return connector.Errorf(connector.AuthorizationExpired, connector.OriginHost, "No answer came within %s.", after).
		With(connector.SignInAgain).
		WithDetail("the redirect URI to register is exactly %s", redirectURI).
		Suggest("If the service showed an error about the redirect URI, register it byte for byte with the application, which must be one for user sign-in (OAuth 2.0), and sign in again.")
}
