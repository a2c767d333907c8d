package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
)

// settingsFlags are how settings are given at the command line. A secret never
// stands in an argument: it comes from standard input, a file or a prompt.
type settingsFlags struct {
	file    string
	set     []string
	unset   []string
	secrets []string

	proxy   string
	noProxy []string
	caFile  string
}

func (f *settingsFlags) register(cmd *cobra.Command, edit bool) {
	fs := cmd.Flags()
	fs.StringVar(&f.file, "settings", "", "JSON file of settings, or - for standard input")
	fs.StringArrayVar(&f.set, "set", nil, "a setting, as name=value (repeatable)")
	fs.StringArrayVar(&f.secrets, "secret", nil, "a secret, as name=@FILE, name=@- for standard input, or name to be asked (repeatable)")
	fs.StringVar(&f.proxy, "proxy", "", "HTTP proxy of this connection: a URL, or @FILE or @- for one with a password")
	fs.StringSliceVar(&f.noProxy, "no-proxy", nil, "hosts to reach without the proxy")
	fs.StringVar(&f.caFile, "ca-file", "", "certificates in PEM to trust beside the system's")
	if edit {
		fs.StringArrayVar(&f.unset, "unset", nil, "a setting or secret to clear (repeatable)")
	}
}

// settings reads what the flags name. A cleared setting is null in it.
func (a *app) settings(ctx context.Context, d *descriptor.Descriptor, f *settingsFlags) (descriptor.Settings, error) {
	s := descriptor.Settings{}
	if f.file != "" {
		data, err := a.read(ctx, f.file, handshake.MaxSettingsBytes)
		if err != nil {
			return nil, err
		}
		if s, err = descriptor.Decode(data); err != nil {
			return nil, err
		}
	}
	for _, pair := range f.set {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, usage("--set takes name=value")
		}
		field, known := d.Field(name)
		if known && field.Secret {
			return nil, usage("%s is a secret: give it with --secret %s=@FILE, or --secret %s to be asked", name, name, name)
		}
		s[name] = typed(field.Type, value)
	}
	for _, pair := range f.secrets {
		name, source, given := strings.Cut(pair, "=")
		value, err := a.secret(ctx, name, source, given)
		if err != nil {
			return nil, err
		}
		s[name] = value
	}
	for _, name := range f.unset {
		s[name] = nil
	}
	return s, nil
}

// typed turns an argument into the field's type. What doesn't fit stays text,
// for the validation to tell.
func typed(t descriptor.Type, value string) any {
	switch t {
	case descriptor.Boolean:
		if b, err := strconv.ParseBool(value); err == nil {
			return b
		}
	case descriptor.Integer, descriptor.Number:
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			return n
		}
	case descriptor.String:
	}
	return value
}

// secret reads a secret from where source says. The last line end is cut, as
// editors and echo add one.
func (a *app) secret(ctx context.Context, name, source string, given bool) (string, error) {
	if !given {
		return a.prompt(ctx, name)
	}
	path, ok := strings.CutPrefix(source, "@")
	if !ok {
		return "", usage("a secret never stands in an argument: use --secret %s=@FILE, --secret %s=@- or --secret %s", name, name, name)
	}
	data, err := a.read(ctx, path, handshake.MaxSettingsBytes)
	if err != nil {
		return "", err
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return "", connector.Errorf(connector.SettingInvalid, connector.OriginSettings, "What %s holds isn't text in UTF-8; it may be UTF-16, or not text at all.", path).
			At("/" + name).With(connector.FixSettings).Suggest("Save it as UTF-8.")
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

// prompt asks for a secret without showing it.
func (a *app) prompt(ctx context.Context, name string) (string, error) {
	f, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", usage("there is no terminal to ask for %s: use --secret %s=@FILE or --secret %s=@-", name, name, name)
	}
	fd := int(f.Fd())
	shown, err := term.GetState(fd)
	if err != nil {
		return "", usage("the terminal can't be read: %v", err)
	}
	a.note("%s (not shown):", name)
	value, err := interruptible(ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
	if ctx.Err() != nil {
		_ = term.Restore(fd, shown) // the terminal is the person's again
		return "", err
	}
	if err != nil {
		return "", usage("the terminal can't be read: %v", err)
	}
	return string(value), nil
}

// read reads a file, or standard input for "-", up to a limit.
func (a *app) read(ctx context.Context, path string, limit int64) ([]byte, error) {
	r := a.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, usage("%s can't be read: %v", path, unwrapped(err))
		}
		defer func() { _ = f.Close() }()
		r = f
	}
	data, err := interruptible(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(r, limit+1)) })
	if ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		return nil, usage("%s can't be read: %v", path, unwrapped(err))
	}
	if int64(len(data)) > limit {
		return nil, connector.Errorf(connector.LimitExceeded, connector.OriginSettings, "%s holds more than %d bytes.", path, limit)
	}
	return data, nil
}

// line reads one line of standard input.
func (a *app) line(ctx context.Context, limit int64) (string, error) {
	text, err := interruptible(ctx, func() (string, error) {
		return bufio.NewReader(io.LimitReader(a.stdin, limit)).ReadString('\n')
	})
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return strings.TrimSpace(text), nil
	case ctx.Err() != nil:
		return "", err
	default:
		return "", usage("standard input can't be read: %v", err)
	}
}

// interruptible reads, unless ctx ends first. A read that nobody waits for any
// more ends with the process.
func interruptible[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := read()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// network is the change of the way to the service that the flags name, or nil
// for none.
func (a *app) network(ctx context.Context, f *settingsFlags) (func(*connector.Network), error) {
	if f.proxy == "" && f.caFile == "" && len(f.noProxy) == 0 {
		return nil, nil
	}
	proxy, err := a.proxy(ctx, f.proxy)
	if err != nil {
		return nil, err
	}
	var cas []byte
	if f.caFile != "" {
		if cas, err = a.read(ctx, f.caFile, handshake.MaxSettingsBytes); err != nil {
			return nil, err
		}
	}
	return func(n *connector.Network) {
		if proxy != "" {
			n.ProxyURL = connector.NewSecret(proxy)
		}
		if len(f.noProxy) > 0 {
			n.NoProxy = f.noProxy
		}
		if f.caFile != "" {
			n.ExtraCAs = cas
		}
	}, nil
}

// proxy reads a proxy's URL, which stands in an argument only without a
// password.
func (a *app) proxy(ctx context.Context, proxy string) (string, error) {
	if proxy == "" {
		return "", nil
	}
	if path, ok := strings.CutPrefix(proxy, "@"); ok {
		data, err := a.read(ctx, path, handshake.MaxSettingsBytes)
		if err != nil {
			return "", err
		}
		proxy = strings.TrimSpace(string(data))
	} else if u, err := url.Parse(proxy); err == nil && u.User != nil {
		return "", usage("a proxy's password never stands in an argument: use --proxy @FILE or --proxy @-")
	}
	u, err := url.Parse(proxy)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", usage("--proxy takes the URL of an HTTP proxy, such as http://proxy.example:3128")
	}
	return proxy, nil
}

func unwrapped(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
