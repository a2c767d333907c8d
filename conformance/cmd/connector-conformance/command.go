package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/conformance"
)

// The exit codes.
const (
	exitConformant = 0
	exitNot        = 1
	exitUsage      = 2
	exitFault      = 3
)

// exitError carries an exit code; its text is shown if it isn't empty.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usage(err error) error { return &exitError{exitUsage, err} }

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitConformant
	}
	if text := err.Error(); text != "" {
		_, _ = fmt.Fprintf(stderr, "connector-conformance: %s\n", text)
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	return exitFault
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "connector-conformance",
		Short: "Judge whether a connector keeps the contract",
		Long: `Judge whether a connector keeps the contract, before an engine loads it.

Exit codes: 0 conformant, 1 not conformant, 2 wrong usage or nothing ran,
3 the suite itself failed.`,
		Version: versionText(), SilenceErrors: true, SilenceUsage: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage(errors.New("say what to do: run, list or explain; see --help"))
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.SetVersionTemplate("connector-conformance {{.Version}}\n")
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newRun(), newHost(), newList(), newExplain(), newPeer(), &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "connector-conformance %s\n", versionText())
			return err
		},
	})
	return root
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return usage(err)
	}
	return nil
}

// runFlags are the flags of run.
type runFlags struct {
	profile, out, attach string
	formats, checks      []string
	parallel             int
	watchdogs            float64
	verbose              bool
}

func newRun() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run BINARY",
		Short: "Run the checks on a connector",
		Long: `Run the checks on a connector's binary, or with --attach on a plugin that was
started with --debug. Without --profile only the checks run that need neither
settings nor a service, and the outcome is never "conformant".`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, f, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.profile, "profile", "", "file that tells how to exercise the connector")
	flags.StringSliceVar(&f.formats, "report", nil, "write reports: json, junit, markdown (a list)")
	flags.StringVar(&f.out, "out", ".", "folder for the reports")
	flags.StringSliceVar(&f.checks, "check", nil, "run only these checks or areas (a list)")
	flags.StringVar(&f.attach, "attach", "", "judge the plugin at this socket, started with --debug")
	flags.IntVar(&f.parallel, "parallel", 0, "checks at a time (default 4)")
	flags.Float64Var(&f.watchdogs, "watchdogs", 1, "factor on the time that checks have")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "list the checks that passed, too")
	return cmd
}

func run(cmd *cobra.Command, f runFlags, args []string) error {
	for _, format := range f.formats {
		if writers()[format].name == "" {
			return usage(fmt.Errorf("there is no report %q: json, junit, markdown", format))
		}
	}
	o := conformance.Options{ProfilePath: f.profile, Checks: f.checks, Parallel: f.parallel, Watchdogs: f.watchdogs}
	var target conformance.Target
	switch {
	case f.attach != "" && len(args) == 0:
		target, o.Attached = conformance.Attach(f.attach), true
	case f.attach == "" && len(args) == 1:
		target = conformance.Binary(args[0])
	default:
		return usage(errors.New("name either a binary or --attach ADDRESS"))
	}
	if f.profile != "" {
		p, err := conformance.ReadProfile(f.profile)
		if err != nil {
			return usage(err)
		}
		o.Profile = p
	}
	if self, err := os.Executable(); err == nil {
		o.PeerFolder = filepath.Dir(self)
	}
	r, err := conformance.Run(cmd.Context(), target, o)
	return finish(cmd, f, r, err)
}

// writer writes a form of report into a file.
type writer struct {
	name  string
	write func(*conformance.Report, io.Writer) error
}

func writers() map[string]writer {
	return map[string]writer{
		"json":     {"conformance.json", (*conformance.Report).JSON},
		"junit":    {"conformance.xml", (*conformance.Report).JUnit},
		"markdown": {"conformance.md", (*conformance.Report).Markdown},
	}
}

func write(r *conformance.Report, f runFlags) error {
	for _, format := range f.formats {
		w := writers()[format]
		var b strings.Builder
		if err := w.write(r, &b); err != nil {
			return err
		}
		if err := os.MkdirAll(f.out, 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(f.out, w.name), []byte(b.String()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func summarise(w io.Writer, r *conformance.Report, verbose bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := range r.Results {
		res := &r.Results[i]
		if res.Verdict == conformance.Pass && !verbose {
			continue
		}
		text := res.Title
		if len(res.Messages) > 0 {
			text = strings.Join(strings.Fields(res.Messages[0]), " ")
		}
		verdict := string(res.Verdict)
		if res.Known {
			verdict += " (known)"
		}
		if _, err := fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", verdict, res.ID, strings.Join(res.Clauses, ","), text); err != nil {
			return err
		}
		if res.Verdict != conformance.Pass && res.Verdict != conformance.NotApplicable && res.Repeat != "" {
			if _, err := fmt.Fprintf(t, "\t\t\t%s\n", res.Repeat); err != nil {
				return err
			}
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, stale := range r.Stale {
		if _, err := fmt.Fprintln(w, "stale:", stale); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s %s %s: %s (%d checks, %d passed; clauses covered: %d of %d, %d %%; %.1f s)\n",
		r.Subject.ID, r.Subject.Version, r.Subject.SHA256, strings.ReplaceAll(string(r.Outcome), "_", " "), len(r.Results),
		r.Count(conformance.Pass), r.Coverage.Covered, r.Coverage.Observable, r.Coverage.Percent(), r.Duration.Seconds())
	return err
}

func newList() *cobra.Command {
	markdown := false
	cmd := &cobra.Command{Use: "list", Short: "List the checks", Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		if markdown {
			_, err := io.WriteString(cmd.OutOrStdout(), conformance.CataloguePage())
			return err
		}
		t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, c := range conformance.Checks() {
			if _, err := fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.ID, c.Level, strings.Join(c.Clauses, ","), c.Title); err != nil {
				return err
			}
		}
		return t.Flush()
	}}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "as a page with the clauses that no check looks at")
	return cmd
}

func newExplain() *cobra.Command {
	return &cobra.Command{
		Use: "explain CHECK", Short: "Say what a check demands, and of which clauses", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all := conformance.Checks()
			i := slices.IndexFunc(all, func(c conformance.Info) bool { return c.ID == args[0] })
			if i < 0 {
				return usage(fmt.Errorf("there is no check %q; connector-conformance list names them", args[0]))
			}
			_, err := io.WriteString(cmd.OutOrStdout(), all[i].Explain())
			return err
		},
	}
}
