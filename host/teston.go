package host

import (
	"cmp"
	"context"
	"iter"
	"time"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

const (
	// lookEvery is how often whoever waits for a test on a runtime looks for its
	// next check.
	lookEvery = 100 * time.Millisecond

	// takenWithin bounds the wait for a runtime that is alive but busy.
	takenWithin = time.Minute

	// runLife is how long a run is kept: the wait for a node, the test, and the
	// time to read its end.
	runLife = takenWithin + runWithin + time.Minute

	// bearFor is how long a test goes on while the store can't be reached, as
	// when its server is restarted.
	bearFor = 20 * time.Second
)

// TestOn is [Connection.Test] on a runtime of the owner: one of its nodes runs
// the test, and each check is yielded as it ends there. Drafts can be tested as
// well. A runtime that isn't the owner's is connector.RuntimeNotFound. One that
// is dead or dies meanwhile is connector.RuntimeDead, told as soon as it has
// missed its heartbeats. If the caller leaves, the test ends there too.
//
// It needs [WithDispatcher], and nodes that serve the runtime.
func (c *Connection) TestOn(ctx context.Context, runtime string, o TestOptions) iter.Seq2[connector.Check, error] {
	return func(yield func(connector.Check, error) bool) {
		run, err := c.dispatch(ctx, runtime, o)
		w := watch{c: c, run: run, yield: yield, took: time.Now()}
		err = cmp.Or(err, c.tenant.asked(ctx, c.key, runtime, err))
		if err == nil {
			err = w.follow(ctx)
		}
		if err != nil && run != nil {
			w.abandon(ctx, err)
		}
		if err != nil && !w.left {
			yield(connector.Check{}, err)
		}
	}
}

// dispatch hands a test to the runtime.
func (c *Connection) dispatch(ctx context.Context, runtime string, o TestOptions) (*store.Run, error) {
	rt, err := c.host.runtimes()
	if err != nil {
		return nil, err
	}
	r, err := c.tenant.runtime(ctx, runtime)
	if err != nil {
		return nil, err
	}
	if r.State != RuntimeAlive {
		return nil, notAlive(r)
	}
	if c.host.dispatcher == nil {
		return nil, connector.Errorf(connector.UsageWrong, connector.OriginHost, "This host has no way to its runtimes.").
			Suggest("Open it with a dispatcher.")
	}
	if _, err := c.load(ctx); err != nil {
		return nil, err
	}
	run := &store.Run{ID: token(12), Key: c.key, Runtime: runtime, Actor: c.tenant.actor, RequiredScopes: o.RequiredScopes}
	if err := rt.CreateRun(ctx, run, runLife); err != nil {
		return nil, err
	}
	if err := c.host.dispatcher.Dispatch(ctx, c.key.Owner, runtime, run.ID); err != nil {
		return nil, err // nobody hears of the run, and it expires
	}
	return run, nil
}

func notAlive(r Runtime) error {
	how := "missed its heartbeats"
	if r.State == RuntimeStopped {
		how = "was stopped"
	}
	return connector.Errorf(connector.RuntimeDead, connector.OriginHost, "The runtime %s %s.", quoted(r.Name), how).
		WithDetail("last heard of at %s", r.BeatAt.Format(time.RFC3339)).With(connector.Retry).
		Suggest("Start it again, or choose another runtime.")
}

// watch follows a run and tells its checks.
type watch struct {
	c     *Connection
	run   *store.Run
	yield func(connector.Check, error) bool
	took  time.Time // since when the run has been where it is
	done  []connector.Check
	left  bool // nobody listens any more
}

// follow tells checks until the run ends. Its error is why it ended early.
func (w *watch) follow(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	state := w.run.State
	for {
		now, err := w.look(ctx)
		if err != nil {
			return err
		}
		if now.State != state {
			state, w.took = now.State, time.Now()
		}
		for _, check := range now.Checks {
			w.tell(check)
			if w.left {
				return connector.Errorf(connector.Canceled, connector.OriginHost, "Nobody waits for the test any more.")
			}
		}
		switch {
		case state == store.RunEnded && now.Failure != nil:
			return now.Failure
		case state == store.RunEnded:
			return nil
		case !now.Alive:
			return w.died(ctx)
		case state == store.RunWaiting && time.Since(w.took) > takenWithin:
			return connector.Errorf(connector.TimedOut, connector.OriginHost, "The runtime %s didn't come to the test within %s.", quoted(w.run.Runtime), takenWithin).
				With(connector.Retry).Suggest("It may be busy with other tests: try again, or give it more processes.")
		case state == store.RunRunning && time.Since(w.took) > runWithin+bearFor:
			return connector.Errorf(connector.TimedOut, connector.OriginHost, "The test on runtime %s took too long.", quoted(w.run.Runtime)).
				With(connector.Retry).Suggest("Try again.")
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return connector.Diagnose(context.Cause(ctx), connector.OriginHost)
		}
	}
}

// look reads what is new.
func (w *watch) look(ctx context.Context) (run *store.Run, err error) {
	rt, err := w.c.host.runtimes()
	if err != nil {
		return nil, err
	}
	err = bear(ctx, func(ctx context.Context) error {
		run, err = rt.Run(ctx, w.run.ID, len(w.done))
		return err
	})
	return run, err
}

func (w *watch) tell(check connector.Check) {
	w.done = append(w.done, check)
	w.left = !w.yield(check, nil)
}

// died says that nobody alive works on the run.
func (w *watch) died(ctx context.Context) error {
	if r, err := w.c.tenant.runtime(ctx, w.run.Runtime); err == nil && r.State != RuntimeAlive {
		return notAlive(r)
	}
	return connector.Errorf(connector.RuntimeDead, connector.OriginHost, "The process of runtime %s that ran the test missed its heartbeats.", quoted(w.run.Runtime)).
		With(connector.Retry).Suggest("Run the test again: the runtime has other processes.")
}

// abandon ends the run for its node as well, and tells which checks weren't
// reached, as far as they are known here.
func (w *watch) abandon(ctx context.Context, failure error) {
	if rt, err := w.c.host.runtimes(); err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
		defer cancel()
		if err := rt.EndRun(ctx, w.run.ID, connector.Diagnose(failure, connector.OriginHost)); err != nil {
			w.c.host.log.WarnContext(ctx, "a test can't be ended", "run", w.run.ID, "error", err)
		}
	}
	conn, err := w.c.Connector()
	if err != nil || len(w.done) == 0 {
		return
	}
	for _, check := range notReached(conn, w.done) {
		check.Runtime = w.run.Runtime
		if !w.left {
			w.tell(check)
		}
	}
}

// bear repeats a call to the store while it fails for a passing reason.
func bear(ctx context.Context, call func(context.Context) error) error {
	const again = 200 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, bearFor)
	defer cancel()
	for {
		err := call(ctx)
		if d := connector.Diagnose(err, connector.OriginHost); d == nil || d.Disposition != connector.Retry {
			return err
		}
		if sleep(ctx, again); ctx.Err() != nil {
			return err
		}
	}
}
