package main

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/host/river"
	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/host/store/filestore"
	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/proto/connector"
)

// What to do with a plugin whose digest isn't on record.
const (
	untrustedRefuse = "refuse"
	untrustedRecord = "record"
	untrustedAllow  = "allow"
)

// closeWithin bounds the end of a command: a renewal that is under way is
// finished and written.
const closeWithin = 60 * time.Second

// engine is what commands work with.
type engine struct {
	app      *app
	home     string
	launcher *launch.Launcher
	trust    *launch.TrustFile

	// The rest is nil in a launching engine.
	store  store.Store
	keys   *seal.Keyring
	sink   *audit.File
	queue  *river.Queue // nil for connections in a folder
	host   *host.Host
	tenant *host.Tenant
}

// homeFolder is --home, or the user's data folder.
func (a *app) homeFolder() (string, error) {
	if a.home != "" {
		return filepath.Abs(a.home)
	}
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "connectorctl"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", connector.Errorf(connector.StoreUnavailable, connector.OriginHost, "This user has no home folder.").
			Suggest("Name a folder with --home.").Because(err)
	}
	return filepath.Join(home, ".local", "share", "connectorctl"), nil
}

// makeHome makes the home folder.
func makeHome(home string) error {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return connector.Errorf(connector.StoreUnwritable, connector.OriginHost, "The folder %s can't be made.", home).
			Suggest("Choose a folder that this user can write with --home.").Because(err)
	}
	return nil
}

// launching is an engine that can load plugins and has no connections.
func (a *app) launching() (*engine, error) {
	home, err := a.homeFolder()
	if err != nil {
		return nil, err
	}
	launcher, err := launch.New(launch.Options{Logger: a.logger()})
	if err != nil {
		return nil, err
	}
	return &engine{app: a, home: home, launcher: launcher, trust: launch.TrustFileAt(filepath.Join(home, "trust.json"))}, nil
}

// open is an engine with the connections of --home.
func (a *app) open(ctx context.Context) (*engine, error) {
	e, err := a.launching()
	if err != nil {
		return nil, err
	}
	if err := e.openHost(ctx); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *engine) openHost(ctx context.Context) error {
	if err := makeHome(e.home); err != nil {
		return err
	}
	var err error
	if e.store, err = e.app.openStore(ctx, e.home); err != nil {
		return err
	}
	if e.keys, err = e.openKeys(ctx, filepath.Join(e.home, "keys.json")); err != nil {
		return err
	}
	if e.sink, err = audit.OpenFile(auditPath(e.home)); err != nil {
		return err
	}
	opts := []host.Option{
		host.WithLogger(e.app.logger()), host.WithNetwork(host.NetworkFromEnvironment()),
		host.WithLoader(func(ctx context.Context, i host.Info) (*host.Connector, error) { return e.connector(ctx, i.Plugin) }),
		host.WithKeepAliveRate(e.app.keepAliveRate),
	}
	if e.app.newFormats {
		opts = append(opts, host.WithNewFormats())
	}
	if pg, ok := e.store.(*pgstore.Store); ok {
		if e.queue, err = river.Open(ctx, pg, river.WithLogger(e.app.logger())); err != nil {
			return err
		}
		opts = append(opts, host.WithDispatcher(e.queue))
	}
	if e.host, err = host.Open(e.store, e.keys, e.sink, opts...); err != nil {
		return err
	}
	e.tenant = e.host.Tenant(e.app.owner, e.app.environment, actor())
	return nil
}

// openStore opens the database of --store, or the folder in the home.
func (a *app) openStore(ctx context.Context, home string) (store.Store, error) {
	if a.store == "" {
		s, err := filestore.Open(ctx, filepath.Join(home, "store"), filestore.WithSite(a.site))
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	dsn := a.store
	if path, ok := strings.CutPrefix(dsn, "@"); ok {
		data, err := a.read(ctx, path, maxPasted)
		if err != nil {
			return nil, err
		}
		dsn = strings.TrimSpace(string(data))
	} else if holdsPassword(dsn) {
		return nil, usage("a database's password never stands in an argument: use --store @FILE, or PostgreSQL's password file")
	}
	s, err := pgstore.Open(ctx, dsn, pgstore.WithSite(a.site))
	if err != nil {
		return nil, err
	}
	return s, nil
}

// holdsPassword reports whether a connection string names a password, in
// either of its forms.
func holdsPassword(dsn string) bool {
	if u, err := url.Parse(dsn); err == nil && u.User != nil {
		if _, set := u.User.Password(); set {
			return true
		}
	}
	return strings.Contains(strings.ToLower(dsn), "password")
}

// openKeys makes a key only where there is nothing yet that another one
// sealed.
func (e *engine) openKeys(ctx context.Context, path string) (*seal.Keyring, error) {
	used := false
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		listed, err := e.store.List(ctx, store.Query{})
		if err != nil {
			return nil, err
		}
		used = len(listed) > 0
	}
	return seal.OpenOrCreate(ctx, path, used)
}

func auditPath(home string) string { return filepath.Join(home, "audit.jsonl") }

// close ends the engine. What can't be ended in time ends with the process.
func (e *engine) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	var errs []error
	if e.host != nil {
		errs = append(errs, e.host.Close(ctx))
	}
	errs = append(errs, e.launcher.Close(ctx))
	if e.queue != nil {
		e.queue.Close()
	}
	if e.sink != nil {
		errs = append(errs, e.sink.Close())
	}
	if e.store != nil {
		errs = append(errs, e.store.Close())
	}
	if err := errors.Join(errs...); err != nil {
		e.app.logger().Warn("the end wasn't clean", "error", err)
	}
}

// pluginPath finds a plugin's binary. A bare name means the one beside this
// program, never one of PATH or of the working folder.
func pluginPath(name string) (string, error) {
	if strings.ContainsRune(name, os.PathSeparator) || strings.Contains(name, "/") {
		return filepath.Abs(name)
	}
	self, err := os.Executable()
	if err != nil {
		return "", connector.Errorf(connector.PluginNotExecutable, connector.OriginHost, "The folder of this program is unknown, so %q can't be found beside it.", name).
			Suggest("Give the plugin's path.").Because(err)
	}
	if runtime.GOOS == "windows" && filepath.Ext(name) == "" {
		name += ".exe"
	}
	return filepath.Join(filepath.Dir(self), name), nil
}

// plugin loads a connector's binary under the policy for untrusted ones.
func (e *engine) plugin(ctx context.Context, name string) (*launch.Plugin, error) {
	return e.pluginOf(ctx, name, func(ctx context.Context, p host.Plugin) error {
		_, err := host.Describe(ctx, p)
		return err
	})
}

// pluginOf loads a plugin's binary; describe says whether it is one of the
// kind that is wanted.
func (e *engine) pluginOf(ctx context.Context, name string, describe func(context.Context, host.Plugin) error) (*launch.Plugin, error) {
	path, err := pluginPath(name)
	if err != nil {
		return nil, err
	}
	if e.app.untrusted == untrustedAllow {
		return e.launcher.Load(ctx, path, launch.AnyDigest())
	}
	p, err := e.launcher.Load(ctx, path, launch.TrustedBy(e.trust))
	if e.app.untrusted == untrustedRefuse || !errors.Is(err, connector.PluginUntrusted) {
		return p, err
	}
	if p, err = e.launcher.Load(ctx, path, launch.AnyDigest()); err != nil {
		return nil, err
	}
	if err := describe(ctx, p); err != nil { // another kind: there is nothing to trust
		return nil, err
	}
	if err := e.record(p); err != nil {
		return nil, err
	}
	e.app.note("Trusted from now on: %s (%s)", p.Path(), p.Digest())
	return p, nil
}

// record trusts the bytes of a binary from now on.
func (e *engine) record(p *launch.Plugin) error {
	if err := makeHome(e.home); err != nil {
		return err
	}
	return e.trust.Trust(p.Path(), p.Digest(), time.Now())
}

// connector loads a connector.
func (e *engine) connector(ctx context.Context, name string) (*host.Connector, error) {
	p, err := e.plugin(ctx, name)
	if err != nil {
		return nil, err
	}
	return e.host.Load(ctx, p)
}

// connection opens a saved connection and loads its connector.
func (e *engine) connection(ctx context.Context, name string) (*host.Connection, error) {
	info, err := e.tenant.Info(ctx, name)
	if err != nil {
		return nil, err
	}
	e.app.connection = name
	if _, err := e.connector(ctx, info.Plugin); err != nil {
		return nil, err
	}
	return e.tenant.Connection(ctx, name)
}

// onConnection runs a command on the saved connection that its argument names.
func (a *app) onConnection(f func(ctx context.Context, e *engine, c *host.Connection, name string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		e, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer e.close()
		c, err := e.connection(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return f(cmd.Context(), e, c, args[0])
	}
}
