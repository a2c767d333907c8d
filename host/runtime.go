package host

import (
	"context"
	"time"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// defaultBeat is the time between two heartbeats of a runtime's node.
const defaultBeat = 5 * time.Second

// leaveWithin bounds how long a node that ends tries to tell so. If it can't, it
// counts as dead when its heartbeats are missed.
const leaveWithin = 5 * time.Second

// Dispatcher tells runtimes that there is work for them; package host/river has
// one.
type Dispatcher interface {
	// Dispatch hands the run of a test to the nodes of an owner's runtime. It
	// carries IDs only: who takes the run reads and checks it.
	Dispatch(ctx context.Context, owner, runtime, run string) error
}

// WithDispatcher lets connections be tested on runtimes. The store must be one
// that keeps runtimes, as PostgreSQL's is.
func WithDispatcher(d Dispatcher) Option { return option(func(h *Host) { h.dispatcher = d }) }

// Runtime is what is known of a runtime: a place where an owner's connections
// can be tested.
type Runtime struct {
	Owner string            `json:"owner"`
	Name  string            `json:"name"`
	Kind  store.RuntimeKind `json:"kind"`
	State RuntimeState      `json:"state"`
	// Nodes counts the processes that work for it now.
	Nodes  int       `json:"nodes"`
	Since  time.Time `json:"since"`
	BeatAt time.Time `json:"last_beat"`
}

// RuntimeState says whether a runtime can be used.
type RuntimeState string

// The states of a runtime.
const (
	RuntimeAlive   RuntimeState = "alive"
	RuntimeDead    RuntimeState = "dead"    // it missed its heartbeats
	RuntimeStopped RuntimeState = "stopped" // it ended in good order
)

// Runtimes lists the owner's runtimes, by name. A store that keeps none is
// connector.UsageWrong.
func (t *Tenant) Runtimes(ctx context.Context) ([]Runtime, error) {
	rt, err := t.host.runtimes()
	if err != nil {
		return nil, err
	}
	listed, err := rt.Runtimes(ctx, t.owner)
	if err != nil {
		return nil, err
	}
	list := make([]Runtime, 0, len(listed))
	for _, r := range listed {
		state := RuntimeDead
		switch {
		case r.Nodes > 0:
			state = RuntimeAlive
		case r.Stopped:
			state = RuntimeStopped
		}
		list = append(list, Runtime{
			Owner: r.Owner, Name: r.Name, Kind: r.Kind, State: state, Nodes: r.Nodes, Since: r.Since, BeatAt: r.BeatAt,
		})
	}
	return list, nil
}

// RemoveRuntime takes a runtime off the list. One that is alive is
// connector.UsageWrong: stop it first.
func (t *Tenant) RemoveRuntime(ctx context.Context, name string) error {
	r, err := t.runtime(ctx, name)
	if err == nil && r.State == RuntimeAlive {
		err = connector.Errorf(connector.UsageWrong, connector.OriginHost, "The runtime %s is alive.", quoted(name)).
			Suggest("Stop its processes first.")
	}
	if err != nil {
		return err
	}
	rt, err := t.host.runtimes()
	if err != nil {
		return err
	}
	return rt.RemoveRuntime(ctx, t.owner, name)
}

// runtime returns a runtime of the owner. Whether somebody else has one of that
// name is nothing that the owner should learn.
func (t *Tenant) runtime(ctx context.Context, name string) (Runtime, error) {
	list, err := t.Runtimes(ctx)
	if err != nil {
		return Runtime{}, err
	}
	for _, r := range list {
		if r.Name == name {
			return r, nil
		}
	}
	return Runtime{}, connector.Errorf(connector.RuntimeNotFound, connector.OriginHost,
		"The account %s has no runtime %s.", quoted(t.owner), quoted(name)).
		WithDetail("a runtime that works for another account can't be used").
		Suggest("List the account's runtimes, or start one of this name for it.")
}

// Node is this process as a worker for a runtime.
type Node struct {
	host *Host
	rt   store.Runtimes
	node store.Node
}

// NodeOptions completes a node.
type NodeOptions struct {
	// Kind is store.RuntimeCluster if it is empty.
	Kind store.RuntimeKind
	// Every is the time between two heartbeats, five seconds if it is zero. Who
	// misses three of them is dead to others.
	Every time.Duration
}

// Join puts this process on record as a node of an owner's runtime. From then
// on others expect its heartbeats: call [Node.Beat]. A runtime may have several
// nodes; they share its work.
func (h *Host) Join(ctx context.Context, owner, runtime string, o NodeOptions) (*Node, error) {
	rt, err := h.runtimes()
	if err != nil {
		return nil, err
	}
	if err := checkName(runtime); err != nil {
		return nil, connector.Errorf(connector.UsageWrong, connector.OriginHost, "%s can't be a runtime's name.", quoted(runtime)).
			Suggest("Use 1 to %d bytes without control characters, slashes and blanks at the ends.", maxName)
	}
	if o.Kind == "" {
		o.Kind = store.RuntimeCluster
	}
	if o.Every == 0 {
		o.Every = defaultBeat
	}
	n := &Node{host: h, rt: rt, node: store.Node{Owner: owner, Runtime: runtime, ID: h.holder + "/" + token(4), Kind: o.Kind, Every: o.Every}}
	return n, rt.Beat(ctx, n.node)
}

// ID is the node's own; no other has it.
func (n *Node) ID() string { return n.node.ID }

// Owner is the account that the node works for.
func (n *Node) Owner() string { return n.node.Owner }

// Runtime is the name of the runtime that the node works for.
func (n *Node) Runtime() string { return n.node.Runtime }

// Beat sends the node's heartbeats until ctx ends, and then tells that it left.
// While the store can't be reached it goes on trying; told, if it isn't nil,
// hears when that begins, with the reason, and when it is over, with nil.
func (n *Node) Beat(ctx context.Context, told func(error)) {
	ticker := time.NewTicker(n.node.Every)
	defer ticker.Stop()
	for lost := false; ; {
		select {
		case <-ctx.Done():
			n.leave(ctx)
			return
		case <-ticker.C:
		}
		err := n.beat(ctx)
		if ctx.Err() != nil || (err != nil) == lost {
			continue
		}
		lost = err != nil
		if told != nil {
			told(err)
		}
	}
}

// beat is one heartbeat. It doesn't wait for longer than the next one is away
// for, but for a second at least.
func (n *Node) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(n.node.Every, time.Second))
	defer cancel()
	return n.rt.Beat(ctx, n.node)
}

func (n *Node) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	if err := n.rt.Leave(ctx, n.node); err != nil {
		n.host.log.WarnContext(ctx, "a runtime's node can't tell that it ends", "runtime", n.node.Runtime, "error", err)
	}
}

// runtimes is the part of the store that keeps them.
func (h *Host) runtimes() (store.Runtimes, error) {
	if rt, ok := h.store.(store.Runtimes); ok {
		return rt, nil
	}
	return nil, connector.Errorf(connector.UsageWrong, connector.OriginHost, "This store keeps no runtimes: it is in a folder of this machine.").
		Suggest("Keep the connections in PostgreSQL to work on them from several machines, or test the connection here.")
}

// asked keeps an event for a test that was asked of a runtime.
func (t *Tenant) asked(ctx context.Context, key store.Key, runtime string, err error) error {
	return t.host.record(ctx, audit.Event{
		Actor: t.actor, Owner: key.Owner, Environment: key.Environment, Connection: key.Connection,
		Action: audit.ActionTest, Subject: "runtime " + runtime,
	}, err)
}
