package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"text/tabwriter"
	"time"

	"github.com/boxconnection/connector/plugin/box/boxsim"
	"github.com/spf13/cobra"
)

// maxSecretFile bounds what is read of the file with the client secret.
const maxSecretFile = 4096

// settings are the flags.
type settings struct {
	listen           string
	json             bool
	verbose          bool
	allowRemote      bool
	exitWithStdin    bool
	redirectURIs     []string
	clientID         string
	clientSecretFile string
	tlsCert, tlsKey  string
	autoConsent      bool
	tokenRate        int
	rotation         string
	accessLifetime   time.Duration
	listenContent    string
	contentFolder    string
	indexDelay       time.Duration
}

func newRoot(stdin io.Reader) *cobra.Command {
	var s settings
	root := &cobra.Command{
		Use:   "boxsim",
		Short: "Serve an emulator of Box on this machine",
		Long: `Serve an emulator of Box's sign-in, token and revocation endpoints and of a
tree of folders and files. State is in memory, the content of uploads in a
private folder that is removed at the end. Tests steer it through its
control API, whose address and token it prints when it starts.`,
		Args:          noArgs,
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), s, stdin, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := root.Flags()
	f.StringVar(&s.listen, "listen", "localhost:0", "address to listen on; port 0 takes a free one")
	f.BoolVar(&s.json, "json", false, "print one line of JSON with the addresses and credentials")
	f.BoolVarP(&s.verbose, "verbose", "v", false, "log each request to standard error, without secrets")
	f.BoolVar(&s.allowRemote, "allow-remote", false, "allow an address that other machines can reach")
	f.BoolVar(&s.exitWithStdin, "exit-with-stdin", false, "end when standard input is closed")
	f.StringArrayVar(&s.redirectURIs, "redirect-uri", nil, "register a further redirect URI (repeatable) beside\n"+boxsim.DefaultRedirectURI)
	f.StringVar(&s.clientID, "client-id", "", "client ID (default: made up)")
	f.StringVar(&s.clientSecretFile, "client-secret-file", "", "file with the client secret (default: made up)")
	f.StringVar(&s.tlsCert, "tls-cert", "", "certificate in PEM, to serve HTTPS")
	f.StringVar(&s.tlsKey, "tls-key", "", "its key in PEM")
	f.BoolVar(&s.autoConsent, "auto-consent", false, "allow every sign-in at once, without a page")
	f.IntVar(&s.tokenRate, "token-rate", 0, "token requests a second before 429 is answered; 0 is no limit")
	f.StringVar(&s.rotation, "rotation", string(boxsim.ReplayUntilUsed),
		fmt.Sprintf("what becomes of a spent refresh token:\n%s, %s or %s", boxsim.ReplayUntilUsed, boxsim.StrictSingleUse, boxsim.DistinctChildren))
	f.DurationVar(&s.accessLifetime, "access-lifetime", 0, "lifetime of access tokens; 0 varies it from 60 to 70 minutes")
	f.StringVar(&s.listenContent, "listen-content", "", "address of uploads and downloads, which Box has on other hosts\n(default: a free port beside the first)")
	f.StringVar(&s.contentFolder, "content-folder", "", "where the private folder for uploads is made (default: the system's\nfolder for temporary files)")
	f.DurationVar(&s.indexDelay, "index-delay", time.Duration(boxsim.DefaultKnobs().IndexDelay), "how long the search doesn't find a new item yet")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.SetVersionTemplate("boxsim {{.Version}}\n")
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newEvidence(), newCatalogue(), newVersion())
	return root
}

func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return &usageError{err}
	}
	return nil
}

// versionText is the linked version, or the module's as far as the build knows
// it.
func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

func newVersion() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "boxsim %s\n", versionText())
		return err
	}}
}

func newEvidence() *cobra.Command {
	return &cobra.Command{
		Use: "evidence", Short: "Print how well each emulated behaviour is known", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, e := range boxsim.Evidence() {
				if _, err := fmt.Fprintf(w, "%s\t%s\t%s\n", e.Grade, e.ID, e.Reason); err != nil {
					return err
				}
			}
			return w.Flush()
		},
	}
}

func newCatalogue() *cobra.Command {
	return &cobra.Command{
		Use: "catalogue", Short: "Print the failures that a fault can serve by name", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, r := range boxsim.Catalogue() {
				if _, err := fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", r.Name, r.Status, r.Code, r.Message); err != nil {
					return err
				}
			}
			return w.Flush()
		},
	}
}

// serve runs the emulator until the context ends.
func serve(ctx context.Context, s settings, stdin io.Reader, stdout, stderr io.Writer) error {
	opts, how, err := s.options(stderr)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	in, err := boxsim.Listen(ctx, s.listen, opts, how)
	if errors.Is(err, boxsim.ErrNotLoopback) {
		return &usageError{fmt.Errorf("%w; --allow-remote allows it", err)}
	}
	if errors.Is(err, boxsim.ErrOptions) {
		return &usageError{err}
	}
	if err != nil {
		return err
	}
	if s.exitWithStdin {
		// The read ends with the process at the latest. How it ends doesn't
		// matter.
		go func() {
			defer stop()
			_, _ = io.Copy(io.Discard, stdin)
		}()
	}
	if err := announce(stdout, in.Info(), s.json); err != nil {
		return errors.Join(err, in.Close())
	}
	return in.Wait()
}

func (s settings) options(stderr io.Writer) (boxsim.Options, boxsim.ListenOptions, error) {
	knobs := boxsim.DefaultKnobs()
	knobs.AutoConsent, knobs.TokenRate = s.autoConsent, s.tokenRate
	knobs.Rotation, knobs.AccessLifetime = boxsim.Rotation(s.rotation), boxsim.Duration(s.accessLifetime)
	knobs.IndexDelay = boxsim.Duration(s.indexDelay)
	opts := boxsim.Options{
		ClientID: s.clientID, RedirectURIs: append([]string{boxsim.DefaultRedirectURI}, s.redirectURIs...), Knobs: &knobs,
		ContentFolder: s.contentFolder,
	}
	if s.verbose {
		opts.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	how := boxsim.ListenOptions{AllowRemote: s.allowRemote, ContentAddr: s.listenContent}
	if s.clientSecretFile != "" {
		secret, err := readSecret(s.clientSecretFile)
		if err != nil {
			return opts, how, err
		}
		opts.ClientSecret = secret
	}
	if (s.tlsCert == "") != (s.tlsKey == "") {
		return opts, how, &usageError{errors.New("--tls-cert and --tls-key go together")}
	}
	if s.tlsCert != "" {
		cert, err := tls.LoadX509KeyPair(s.tlsCert, s.tlsKey)
		if err != nil {
			return opts, how, fmt.Errorf("certificate: %w", err)
		}
		how.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}
	return opts, how, nil
}

func readSecret(name string) (secret string, err error) {
	file, err := os.Open(name) //nolint:gosec // the person names it
	if err != nil {
		return "", fmt.Errorf("client secret: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	b, err := io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("client secret: %w", err)
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 || len(b) > maxSecretFile {
		return "", fmt.Errorf("client secret: %s is empty or too large", name)
	}
	return string(b), nil
}

// announce tells where the emulator is. The secrets in it are worth nothing
// anywhere else.
func announce(w io.Writer, info boxsim.Info, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(info)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string) string { return name + "\t" + value + "\n" }
	text := "An emulator of Box is running. Press Ctrl+C to end it.\n\n" +
		line("Authorize URL", info.AuthorizeURL) + line("Token URL", info.TokenURL) + line("Revoke URL", info.RevokeURL) +
		line("API URL", info.APIURL) + line("Upload URL", info.UploadURL) + line("Client ID", info.ClientID) + line("Client secret", info.ClientSecret)
	for _, uri := range info.RedirectURIs {
		text += line("Redirect URI", uri)
	}
	for _, u := range info.Users {
		text += line("Account", u.Login)
	}
	text += line("Control URL", info.ControlURL) + line("Control token", info.ControlToken)
	if _, err := io.WriteString(t, text); err != nil {
		return err
	}
	return t.Flush()
}
