package launch

import (
	"context"
	"fmt"
	"sync"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/boxconnection/connector/host/launch/internal/logs"
	"github.com/boxconnection/connector/proto/connector"
)

// abandonAfter is how long a killed process may take to be gone. The kernel
// can hold one longer, in a read from a dead disk for instance.
const abandonAfter = 2 * time.Second

// Incarnation is one run of a plugin's process. Whatever refers to state
// inside the process, a stream or a handle, is bound to it. It implements
// grpc.ClientConnInterface and is safe for concurrent use.
type Incarnation struct {
	plugin *Plugin
	id     uint64
	client *goplugin.Client
	conn   *grpc.ClientConn
	link   *link
	log    *logs.Log
	calls  *gate

	cleaning sync.Once
	over     chan struct{} // closed when the process has ended and why is known
	done     chan struct{} // closed when everything of it is gone

	mu       sync.Mutex
	stopping bool
	why      *connector.Diagnostic // set when the process has ended or was condemned
	checking *checkup
}

var _ grpc.ClientConnInterface = (*Incarnation)(nil)

// checkup is a health check that several callers wait for.
type checkup struct {
	done chan struct{}
	err  error
}

// ID returns the number of the incarnation, counted from 1 for each plugin.
func (i *Incarnation) ID() uint64 { return i.id }

// PID returns the process's ID, for logs.
func (i *Incarnation) PID() int { return i.link.child.PID() }

// Version returns the contract's major version that was negotiated.
func (i *Incarnation) Version() int { return i.client.NegotiatedVersion() }

// Done is closed when the process has ended.
func (i *Incarnation) Done() <-chan struct{} { return i.over }

// Err returns why the incarnation ended or is being killed, or nil while it is
// good for calls.
func (i *Incarnation) Err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.why == nil {
		return nil
	}
	return i.why
}

// Ping checks that the process answers and says that it is serving. It takes
// at most Options.PingTimeout; a process that fails it is killed, and the
// error is a PluginUnresponsive diagnostic.
func (i *Incarnation) Ping(ctx context.Context) error {
	if err := i.Err(); err != nil {
		return err
	}
	c := i.checkUp()
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return canceled("The health check of plugin \""+i.plugin.name+"\"", ctx)
	}
}

// checkUp starts a health check, or joins the one that is running.
func (i *Incarnation) checkUp() *checkup {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.checking != nil {
		return i.checking
	}
	c := &checkup{done: make(chan struct{})}
	i.checking = c
	go func() {
		defer close(c.done)
		timeout := i.plugin.launcher.options.PingTimeout
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := i.checkHealth(ctx); err != nil {
			c.err = i.condemn(connector.Errorf(connector.PluginUnresponsive, connector.OriginConnector,
				"Plugin %q doesn't answer; its process was ended.", i.plugin.name).
				WithDetail("no good answer to a health check within %v", timeout).
				With(connector.Retry).
				Suggest("Try again: a new process is started. If it happens again, report it to the plugin's author.").
				Because(err))
		}
		i.mu.Lock()
		i.checking = nil
		i.mu.Unlock()
	}()
	return c
}

// checkHealth asks for the status that go-plugin's servers report. The answer
// alone isn't enough: a plugin may say that it isn't serving.
func (i *Incarnation) checkHealth(ctx context.Context) error {
	reply, err := grpc_health_v1.NewHealthClient(i.conn).
		Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: goplugin.GRPCServiceName})
	if err != nil {
		return err
	}
	if reply.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("the plugin's health is %v", reply.GetStatus())
	}
	return nil
}

// condemn kills the process for a reason, unless it has ended for another. It
// returns the reason that counts.
func (i *Incarnation) condemn(why *connector.Diagnostic) *connector.Diagnostic {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.why != nil:
	case i.stopping:
		return closedError(i.plugin.name)
	default:
		i.why = why
		i.link.kill()
	}
	return i.why
}

// watch looks after a running process until everything of it is gone.
func (i *Incarnation) watch() {
	defer close(i.done)
	defer i.plugin.gone(i)
	ticker := time.NewTicker(i.plugin.launcher.options.HealthInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if i.calls.busy() {
				i.checkUp()
			}
			continue
		case <-i.link.child.Done():
		}
		break
	}
	i.mu.Lock()
	state := i.link.child.State()
	if i.why == nil {
		if i.stopping {
			i.why = closedError(i.plugin.name)
		} else {
			i.why = connector.Errorf(connector.PluginExited, connector.OriginConnector,
				"Plugin %q ended in the middle of its work (%v).", i.plugin.name, state).
				With(connector.Retry).
				Suggest("Try again: a new process is started. The log shows what the plugin printed.")
		}
	}
	why, asked := i.why, i.stopping
	i.mu.Unlock()
	if asked {
		i.plugin.logger.Info("The plugin ended.", "incarnation", i.id, "state", state.String())
	} else {
		i.plugin.logger.Error("The plugin's process is gone.", "incarnation", i.id, "state", state.String(), "error", why)
		i.plugin.ended(why)
	}
	close(i.over)
	i.cleanUp()
}

// drain refuses new calls and waits for the running ones.
func (i *Incarnation) drain(ctx context.Context) {
	select {
	case <-i.calls.shut():
	case <-i.over:
	case <-ctx.Done():
		i.plugin.logger.Warn("Calls are still running; the plugin is ended all the same.", "incarnation", i.id)
	}
}

// stop asks the process to end, kills it if it doesn't, and waits until
// everything of it is gone.
func (i *Incarnation) stop() error {
	i.calls.shut()
	i.mu.Lock()
	i.stopping = true
	i.mu.Unlock()
	timeout := i.plugin.launcher.options.KillTimeout
	force := time.AfterFunc(timeout, i.link.kill)
	defer force.Stop()
	go i.cleanUp()
	select {
	case <-i.done:
		return nil
	case <-time.After(timeout + abandonAfter):
		return connector.Errorf(connector.PluginUnresponsive, connector.OriginHost,
			"Plugin %q was killed but its process isn't gone.", i.plugin.name).
			WithDetail("process %d", i.PID()).Suggest("Look at what the process waits for; it may be a disk.")
	}
}

// cleanUp lets go-plugin end the process, if it still lives, and remove what
// it made: the connection and the socket's folder.
func (i *Incarnation) cleanUp() {
	i.cleaning.Do(func() {
		i.client.Kill()
		i.log.Close()
	})
}
