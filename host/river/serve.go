package river

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	riverqueue "github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	// defaultTests is how many tests a node runs at a time, and defaultKeepAlive
	// the time between two runs of the keep-alive.
	defaultTests     = 4
	defaultKeepAlive = 10 * time.Minute

	// finishWithin is how long running jobs may go on when the worker ends. Then
	// they are cancelled, and get endWithin to tell so.
	finishWithin = 5 * time.Second
	endWithin    = 30 * time.Second

	// kept is how long jobs that are over stay to be looked at.
	kept = time.Hour
)

// ServeOptions completes Serve.
type ServeOptions struct {
	// Tests bounds the tests that run at a time, four if it is zero.
	Tests int
	// NoKeepAlive leaves the keep-alive to other workers.
	NoKeepAlive bool
	// KeepAliveEvery is the time between two runs of the keep-alive in the
	// cluster, ten minutes if it is zero; the worker that leads decides. A
	// second is the least.
	KeepAliveEvery time.Duration
	// KeepAliveConcurrency bounds what a run does at a time, as in
	// [host.Host.KeepAlive].
	KeepAliveConcurrency int
	// Ready, if it isn't nil, is called when the worker serves.
	Ready func()
	// Lost, if it isn't nil, hears when the node's heartbeats don't reach the
	// store, and with nil when they do again.
	Lost func(error)
}

// Serve works for a node's runtime, and in turns with other workers on the
// keep-alive, until ctx ends. Then it finishes what runs, for five seconds, and
// cancels the rest: a test that is cut off says so to whoever waits for it. Serve
// returns when nothing of it runs any more; its error says why it couldn't begin,
// or that it couldn't end in half a minute. While the database can't be reached
// it waits.
func (q *Queue) Serve(ctx context.Context, h *host.Host, node *host.Node, o ServeOptions) error {
	// The heartbeats go on until the last job is over.
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	beaten := make(chan struct{})
	go func() {
		defer close(beaten)
		node.Beat(beating, o.Lost)
	}()
	defer func() {
		stop()
		<-beaten
	}()
	client, err := q.client(h, node, o)
	if err != nil {
		return connector.Diagnose(err, connector.OriginHost)
	}
	if err := q.checkKinds(ctx); err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return q.store.Diagnose(ctx, err)
	}
	if o.Ready != nil {
		o.Ready()
	}
	<-ctx.Done()
	return ended(ctx, client)
}

// ended waits until the client, whose context is over, has stopped.
func ended(ctx context.Context, client *riverqueue.Client[pgx.Tx]) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin+endWithin)
	defer cancel()
	select {
	case <-client.Stopped():
		return nil
	case <-ctx.Done():
		return connector.Errorf(connector.TimedOut, connector.OriginHost, "A job was still running when the worker ended.").
			Suggest("Nothing is lost: it is done again. If it happens again, report it with the log around this time.")
	}
}

// client is River's side of a worker. Each has all kinds of jobs, whichever it
// serves, since the one that leads looks after those of all.
func (q *Queue) client(h *host.Host, node *host.Node, o ServeOptions) (*riverqueue.Client[pgx.Tx], error) {
	if o.Tests == 0 {
		o.Tests = defaultTests
	}
	if o.KeepAliveEvery == 0 {
		o.KeepAliveEvery = defaultKeepAlive
	}
	if o.Tests < 0 || o.KeepAliveEvery < time.Second {
		return nil, connector.Errorf(connector.UsageWrong, connector.OriginHost, "A worker runs one test at least, and the keep-alive at most once a second.")
	}
	workers := riverqueue.NewWorkers()
	if err := errors.Join(
		riverqueue.AddWorkerSafely(workers, &testWorker{node: node, log: q.log}),
		riverqueue.AddWorkerSafely(workers, &keepAliveWorker{host: h, concurrency: o.KeepAliveConcurrency, log: q.log}),
	); err != nil {
		return nil, err
	}
	queues := map[string]riverqueue.QueueConfig{queueOf(node.Owner(), node.Runtime()): {MaxWorkers: o.Tests}}
	if !o.NoKeepAlive {
		queues[keepAliveQueue] = riverqueue.QueueConfig{MaxWorkers: 1}
	}
	periodic := riverqueue.NewPeriodicJob(riverqueue.PeriodicInterval(o.KeepAliveEvery),
		func() (riverqueue.JobArgs, *riverqueue.InsertOpts) { return keepAliveArgs{}, keepAliveOptions() },
		&riverqueue.PeriodicJobOpts{ID: keepAliveArgs{}.Kind(), RunOnStart: true})
	return riverqueue.NewClient(riverpgxv5.New(q.pool), &riverqueue.Config{
		ID: node.ID(), Logger: q.log, Workers: workers, Queues: queues, PeriodicJobs: []*riverqueue.PeriodicJob{periodic},
		FetchOnlyKnownKinds: true,
		JobTimeout:          jobWithin, RescueStuckJobsAfter: rescueAfter, SoftStopTimeout: finishWithin,
		CompletedJobRetentionPeriod: kept, CancelledJobRetentionPeriod: kept, DiscardedJobRetentionPeriod: kept,
	})
}

// checkKinds refuses to work beside a program that has kinds of jobs which this
// one doesn't know.
func (q *Queue) checkKinds(ctx context.Context) error {
	rows, err := q.pool.Query(ctx, `SELECT DISTINCT kind FROM river_job
		WHERE state NOT IN ('completed', 'cancelled', 'discarded') AND kind <> ALL ($1) ORDER BY kind LIMIT 5`,
		[]string{testArgs{}.Kind(), keepAliveArgs{}.Kind()})
	if err != nil {
		return q.store.Diagnose(ctx, err)
	}
	kinds, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return q.store.Diagnose(ctx, err)
	}
	if len(kinds) == 0 {
		return nil
	}
	return connector.Errorf(connector.StoreVersionNewer, connector.OriginHost, "The queue has jobs of kinds that this program doesn't know.").
		WithDetail("%s", strings.Join(kinds, ", ")).
		Suggest("Use the newer program that made them, on all machines.")
}
