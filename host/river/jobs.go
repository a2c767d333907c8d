package river

import (
	"context"
	"errors"
	"log/slog"
	"time"

	riverqueue "github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	// keepAliveQueue is the queue of the periodic job.
	keepAliveQueue = "keep_alive"

	// stint bounds a run of the keep-alive. What is left then is done by the next
	// one after a pause. It is longer than a connection takes at most, so that
	// those which are slow don't hold up the rest.
	stint = 90 * time.Second
	pause = 5 * time.Second

	// keepAliveAttempts and keepAliveAgain are for a store that fails in the
	// middle, and for a process that dies.
	keepAliveAttempts = 5
	keepAliveAgain    = time.Minute

	// jobWithin bounds a job of any kind, and rescueAfter is when one is given up
	// whose process died. River tells it by the clock of the process that leads; a
	// job that is still running then does no harm twice: a test is taken once, and
	// a renewal has one winner.
	jobWithin   = 8 * time.Minute
	rescueAfter = 10 * time.Minute
)

// testArgs are the arguments of a job that runs a connection test.
type testArgs struct {
	Run string `json:"run"`
}

// Kind implements [riverqueue.JobArgs].
func (testArgs) Kind() string { return "connection_test" }

// testWorker runs connection tests for a node.
type testWorker struct {
	riverqueue.WorkerDefaults[testArgs]

	node *host.Node
	log  *slog.Logger
}

// Work implements [riverqueue.Worker].
func (w *testWorker) Work(ctx context.Context, job *riverqueue.Job[testArgs]) error {
	err := w.node.RunTest(ctx, job.Args.Run)
	if err == nil {
		return nil
	}
	w.log.WarnContext(ctx, "a job asked for a test that wasn't run to its end", "run", job.Args.Run, "error", err)
	return riverqueue.JobCancel(err)
}

// keepAliveArgs are the arguments of the periodic keep-alive.
type keepAliveArgs struct{}

// Kind implements [riverqueue.JobArgs].
func (keepAliveArgs) Kind() string { return "keep_alive" }

// keepAliveOptions let one run at a time wait or work in the whole cluster. The
// time at which it may run is long past, so that the clock of the process that
// inserts it, which may be wrong, doesn't count.
func keepAliveOptions() *riverqueue.InsertOpts {
	return &riverqueue.InsertOpts{
		Queue: keepAliveQueue, MaxAttempts: keepAliveAttempts, ScheduledAt: time.Unix(1, 0),
		UniqueOpts: riverqueue.UniqueOpts{ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
			rivertype.JobStateRetryable, rivertype.JobStateScheduled,
		}},
	}
}

// keepAliveWorker works through what is due.
type keepAliveWorker struct {
	riverqueue.WorkerDefaults[keepAliveArgs]

	host        *host.Host
	concurrency int
	log         *slog.Logger
}

// NextRetry implements [riverqueue.Worker].
func (w *keepAliveWorker) NextRetry(*riverqueue.Job[keepAliveArgs]) time.Time {
	return time.Now().Add(keepAliveAgain)
}

// Work implements [riverqueue.Worker].
func (w *keepAliveWorker) Work(ctx context.Context, _ *riverqueue.Job[keepAliveArgs]) error {
	short, cancel := context.WithTimeout(ctx, stint)
	defer cancel()
	sum, err := w.host.KeepAlive(short, w.concurrency)
	w.log.InfoContext(ctx, "kept alive", "renewed", sum.Renewed, "revoked", sum.Revoked,
		"sign_in_again", sum.SignInAgain, "failed", sum.Failed, "skipped", sum.Skipped, "error", err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil: // this process ends; another one goes on
		return riverqueue.JobSnooze(0)
	case errors.Is(short.Err(), context.DeadlineExceeded):
		return riverqueue.JobSnooze(pause)
	case errors.Is(err, connector.StoreNotAdopted):
		return riverqueue.JobCancel(err) // trying this one again won't help; the next looks anew
	default:
		return err
	}
}
