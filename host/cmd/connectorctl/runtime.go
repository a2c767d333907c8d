package main

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/river"
	"github.com/boxconnection/connector/host/store"
)

// runtimeKinds are what --kind takes.
var runtimeKinds = []store.RuntimeKind{store.RuntimeLocal, store.RuntimeCluster, store.RuntimeCloud}

// worker holds the flags of the worker command.
type worker struct {
	runtime   string
	kind      string
	beat      time.Duration
	keepAlive time.Duration
	tests     int
}

func (a *app) workerCommand() *cobra.Command {
	var w worker
	cmd := &cobra.Command{
		Use: "worker --runtime NAME", Short: "Run the tests that are asked of a runtime, and keep connections alive", Args: noArgs,
		Long: `Register this process for a runtime of the account and serve it until interrupted:
run the connection tests that are asked of it with 'connection test --on', and, in
turns with other workers, do what the keepalive command does. Needs --store, and the
key of the store in the home. It opens no port.

Several workers may serve one runtime; they share its work. A local runtime takes
no part in the keep-alive of the others' connections.`,
		PreRunE: func(*cobra.Command, []string) error { return w.check() },
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer e.close()
			return a.work(cmd.Context(), e, w)
		},
	}
	f := cmd.Flags()
	f.StringVar(&w.runtime, "runtime", "", "the runtime's name")
	f.StringVar(&w.kind, "kind", string(store.RuntimeCluster), "what the runtime is: local, cluster or cloud")
	f.IntVar(&w.tests, "tests", 4, "how many tests run at a time")
	f.DurationVar(&w.keepAlive, "keepalive-every", 10*time.Minute, "how often connections are kept alive, in the whole cluster")
	f.DurationVar(&w.beat, "heartbeat", 5*time.Second, "how often this process tells that it is alive; after three missed it counts as dead")
	_ = f.MarkHidden("heartbeat") // it is there
	return cmd
}

func (w worker) check() error {
	switch {
	case w.runtime == "":
		return usage("--runtime is missing")
	case !slices.Contains(runtimeKinds, store.RuntimeKind(w.kind)):
		return usage("--kind takes local, cluster or cloud")
	case w.tests < 1:
		return usage("--tests takes a number from 1 on")
	case w.keepAlive < time.Second:
		return usage("--keepalive-every takes a second or more")
	case w.beat < 10*time.Millisecond:
		return usage("--heartbeat takes 10ms or more")
	}
	return nil
}

// work serves a runtime until ctx ends. That is how a worker is stopped, so it
// is no error.
func (a *app) work(ctx context.Context, e *engine, w worker) error {
	e.tellPlace(ctx)
	if e.queue != nil {
		if err := e.queue.Migrate(ctx); err != nil {
			return err
		}
	}
	node, err := e.host.Join(ctx, a.owner, w.runtime, host.NodeOptions{Kind: store.RuntimeKind(w.kind), Every: w.beat})
	if err != nil {
		return err // of a store without a queue as well: it keeps no runtimes
	}
	return e.queue.Serve(ctx, e.host, node, river.ServeOptions{
		Tests: w.tests, KeepAliveEvery: w.keepAlive, NoKeepAlive: w.kind == string(store.RuntimeLocal),
		Ready: func() {
			state := map[string]string{"runtime": w.runtime, "account": a.owner, "kind": w.kind, "state": "serving"}
			_ = a.print(state, func(w io.Writer) { say(w, "Serving the runtime %s of account %s.", state["runtime"], a.owner) }) // whoever waits for it sees
		},
		Lost: func(err error) {
			if err != nil {
				a.note("The store can't be reached; the worker goes on trying:")
				a.showError(err)
				return
			}
			a.note("The store is back.")
		},
	})
}

func (a *app) runtimeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "runtime", Short: "Look after the runtimes of the account"}
	cmd.AddCommand(a.runtimeListCommand(), a.runtimeRemoveCommand())
	return group(cmd)
}

func (a *app) runtimeListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the runtimes, and which of them are alive", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer e.close()
			list, err := e.tenant.Runtimes(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(list, func(w io.Writer) {
				for _, r := range list {
					say(w, "%-20s %-8s %-8s %d process(es), last heartbeat %s", clean(r.Name), r.Kind, r.State, r.Nodes, when(r.BeatAt))
				}
			})
		},
	}
}

func (a *app) runtimeRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Take a runtime that is dead off the list", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer e.close()
			if err := e.tenant.RemoveRuntime(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.print(map[string]string{"removed": args[0]}, func(w io.Writer) { say(w, "Removed the runtime %s.", clean(args[0])) })
		},
	}
}
