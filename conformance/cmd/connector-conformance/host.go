package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/conformance"
)

func newHost() *cobra.Command {
	var o conformance.HostOptions
	var command string
	var f runFlags
	cmd := &cobra.Command{
		Use:   "host --command TEMPLATE",
		Short: "Judge a host by what it does with a probe",
		Long: `Judge a host: it is started for actions (create, sign-in, access, test) with a
connector that writes down each call, is slow, crashes and refuses.

TEMPLATE is split at spaces, and no shell is in between. {action}, {home},
{plugin}, {settings} and {secret} stand for values; see HOSTS.md.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Command = strings.Fields(command)
			if o.Probe == "" {
				self, err := os.Executable()
				if err != nil {
					return &exitError{exitFault, err}
				}
				o.Probe = filepath.Join(filepath.Dir(self), "connector-probe")
				if runtime.GOOS == "windows" {
					o.Probe += ".exe"
				}
			}
			r, err := conformance.RunHost(cmd.Context(), o)
			return finish(cmd, f, r, err)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&command, "command", "", "how the host is started for an action")
	flags.StringVar(&o.Probe, "probe", "", "the probe's binary (default: connector-probe beside this program)")
	flags.StringSliceVar(&o.Checks, "check", nil, "run only these checks (a list)")
	flags.StringSliceVar(&f.formats, "report", nil, "write reports: json, junit, markdown (a list)")
	flags.StringVar(&f.out, "out", ".", "folder for the reports")
	flags.IntVar(&o.Parallel, "parallel", 0, "checks at a time (default 4)")
	flags.Float64Var(&o.Watchdogs, "watchdogs", 1, "factor on the time that things have")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "list the checks that passed, too")
	return cmd
}

// finish writes and shows a report, and makes the exit code of it.
func finish(cmd *cobra.Command, f runFlags, r *conformance.Report, err error) error {
	switch {
	case errors.Is(err, conformance.ErrUsage), errors.Is(err, conformance.ErrProfile):
		return usage(err)
	case r == nil:
		return &exitError{exitFault, err}
	}
	if err := write(r, f); err != nil {
		return &exitError{exitFault, err}
	}
	if err := summarise(cmd.OutOrStdout(), r, f.verbose); err != nil {
		return &exitError{exitFault, err}
	}
	switch {
	case errors.Is(err, conformance.ErrNothingRan):
		return usage(err)
	case err != nil:
		return &exitError{exitFault, err}
	case r.Outcome == conformance.NotConformant:
		return &exitError{code: exitNot}
	}
	return nil
}
