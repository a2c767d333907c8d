package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"regexp"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// app is one run of the command line.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	// Flags of every command.
	home        string
	store       string
	owner       string
	environment string
	site        string
	json        bool
	verbose     bool
	untrusted   string
	newFormats  bool

	// keepAliveRate is keepalive's own flag.
	keepAliveRate float64

	// connection is the one that the command is about, where signing in to it
	// is what may help.
	connection string
}

// defaultOwner is the owner unless --account names another.
const defaultOwner = "local"

// defaultPlugin is the connector of new connections unless --plugin names
// another.
const defaultPlugin = "box-connection"

// ownerPattern keeps an owner usable as a segment of the callback's path.
var ownerPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// run executes a command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if ctx.Err() != nil {
		a.note("interrupted")
		return exitInterrupted
	}
	var shown *shownError
	if !errors.As(err, &shown) {
		a.showError(err)
	}
	return exitCode(err)
}

func (a *app) root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "connectorctl",
		Short: "Set up, test and use connections to services",
		Long: `Connectorctl loads a connector binary, keeps a connection's settings and
credential sealed in a folder, signs in through a browser, tests the
connection and hands out access tokens.

Exit codes: 0 done, 1 failed, 2 usage, 10 fix the settings, 11 sign in again,
12 ask an administrator, 13 wait and retry, 14 plugin fault, 15 store or key
fault, 130 interrupted.`,
		Version:       versionText(),
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.checkFlags() },
	}
	cmd.SetVersionTemplate("connectorctl {{.Version}}\n")
	f := cmd.PersistentFlags()
	f.StringVar(&a.home, "home", "", "folder of connections, key and audit (default $XDG_DATA_HOME/connectorctl)")
	f.StringVar(&a.store, "store", "", "PostgreSQL database to keep the connections in, as postgres://USER@HOST/DATABASE,\nor @FILE for one with a password (default: a folder in the home)")
	f.StringVar(&a.owner, "account", defaultOwner, "the engine's account that owns the connections")
	f.StringVar(&a.environment, "environment", host.DefaultEnvironment, "environment of the connections")
	f.StringVar(&a.site, "site", "", "name of this installation. A store that was first used or adopted under another name,\nor none, is a copy: nothing of it is renewed or revoked (see store adopt)")
	f.BoolVar(&a.json, "json", false, "print JSON")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "log to stderr what happens")
	f.StringVar(&a.untrusted, "untrusted", untrustedRecord,
		"for a plugin without a digest on record: refuse it, record its digest and trust it from now on, or allow it")
	f.BoolVar(&a.newFormats, "new-formats", false,
		"let connectors write their newest credential format; not before every node has builds that read it")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%v", err) })
	cmd.AddCommand(a.pluginCommand(), a.connectionCommand(), a.accessCommand(), a.runCommand(), a.webCommand(), a.keepAliveCommand(), a.workerCommand(), a.runtimeCommand(), a.storeCommand(), a.auditCommand(), a.demoCommand(), a.versionCommand())
	return cmd
}

func (a *app) checkFlags() error {
	if !ownerPattern.MatchString(a.owner) {
		return usage("--account takes letters, digits, '.', '_' and '-', 64 at most")
	}
	if err := store.CheckSite(a.site); err != nil {
		return err
	}
	switch a.untrusted {
	case untrustedRefuse, untrustedRecord, untrustedAllow:
	default:
		return usage("--untrusted takes %s, %s or %s", untrustedRefuse, untrustedRecord, untrustedAllow)
	}
	return nil
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := versionText()
			return a.print(map[string]string{"version": v}, func(w io.Writer) { say(w, "connectorctl %s", v) })
		},
	}
}

// versionText is the linked version, or what the build recorded.
func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// logger logs to stderr if --verbose is given.
func (a *app) logger() *slog.Logger {
	if !a.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// actor names who runs the command, for the audit.
func actor() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	node, err := os.Hostname()
	if err != nil {
		node = "local"
	}
	return fmt.Sprintf("connectorctl:%s@%s", name, node)
}

func usage(format string, args ...any) *connector.Diagnostic {
	return connector.Errorf(connector.UsageWrong, connector.OriginHost, format, args...).
		Suggest("See --help.")
}

func noArgs(cmd *cobra.Command, args []string) error { return exactly(0)(cmd, args) }

// group is a command that only holds others. Without one of them it shows its
// help; a name that isn't among them is a mistake of usage.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		err := usage("%q has no command %q", cmd.CommandPath(), args[0])
		if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
			err = err.Suggest("Did you mean %q?", like[0])
		}
		return err
	}
	return cmd
}

// exactly wants n arguments.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usage("%q takes %d argument(s), not %d", cmd.CommandPath(), n, len(args))
		}
		return nil
	}
}
