package host

import (
	"cmp"
	"context"
	"sync"

	"google.golang.org/grpc"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/internal/accesslink"
	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/proto/connector"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

// Operations is a binary with operations that the host has loaded. It works
// for any connection of the connector that it names. It is safe for concurrent
// use.
type Operations struct {
	host        *Host
	plugin      Plugin
	description connector.OperationSet

	mu     sync.Mutex
	closed bool
	links  map[uint64]*accesslink.Link // by incarnation
}

// incarnations is a plugin whose process may be another one after a crash. An
// execution and its handle belong to one of them.
type incarnations interface {
	Incarnation(ctx context.Context) (*launch.Incarnation, error)
}

// LoadOperations asks a plugin for its operations and checks what it says.
// Close the result when it isn't used any more; closing the host does so too.
func (h *Host) LoadOperations(ctx context.Context, p Plugin) (*Operations, error) {
	o := &Operations{host: h, plugin: p, links: map[uint64]*accesslink.Link{}}
	var err error
	o.description, err = DescribeOperations(ctx, p)
	aerr := h.record(ctx, audit.Event{Action: audit.ActionLoad, Subject: o.description.ID + " " + p.Digest().String()}, err)
	if err = cmp.Or(err, aerr); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations[o] = struct{}{}
	return o, nil
}

// DescribeOperations asks a plugin which operations it has, without keeping
// it. A plugin that is something else, a connector for one, is a
// connector.PairingWrong diagnostic.
func DescribeOperations(ctx context.Context, p Plugin) (connector.OperationSet, error) {
	ctx, cancel := context.WithTimeout(ctx, offlineTimeout)
	defer cancel()
	resp, err := operationv1.NewOperationServiceClient(p).Describe(ctx, &operationv1.DescribeRequest{})
	if err != nil {
		err = protoconv.ErrorFromStatus(err)
		if is(err, connector.Unsupported) {
			err = connector.Errorf(connector.PairingWrong, connector.OriginHost, "Plugin %q has no operations.", p.Name()).
				Suggest("Give the binary with the operations, and not the connector's.").Because(err)
		}
		return connector.OperationSet{}, err
	}
	return protoconv.OperationSetFromProto(resp)
}

// Description is what the operations say of themselves.
func (o *Operations) Description() connector.OperationSet { return o.description }

// Close ends the streams on which the plugin asks for access. The plugin stays
// the caller's.
func (o *Operations) Close() {
	o.host.mu.Lock()
	delete(o.host.operations, o)
	o.host.mu.Unlock()
	o.mu.Lock()
	o.closed = true
	links := o.links
	o.links = nil
	o.mu.Unlock()
	for _, l := range links {
		l.Close()
	}
}

// process returns the plugin's running process, with the link on which it asks
// for access.
func (o *Operations) process(ctx context.Context) (grpc.ClientConnInterface, *accesslink.Link, error) {
	var (
		conn grpc.ClientConnInterface = o.plugin
		id   uint64
		done <-chan struct{}
	)
	if p, ok := o.plugin.(incarnations); ok {
		inc, err := p.Incarnation(ctx)
		if err != nil {
			return nil, nil, err
		}
		conn, id, done = inc, inc.ID(), inc.Done()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, nil, connector.Errorf(connector.UsageWrong, connector.OriginHost, "The operations %s are closed.", o.description.ID)
	}
	l, ok := o.links[id]
	if !ok {
		for old, gone := range o.links { // of processes that are gone
			gone.Close()
			delete(o.links, old)
		}
		l = accesslink.New(lasting{conn}, done, o.host.log.With("operations", o.description.ID))
		o.links[id] = l
	}
	return conn, l, nil
}

// lasting opens streams that don't keep their process from being closed.
type lasting struct{ grpc.ClientConnInterface }

// NewStream opens a stream.
func (c lasting) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return c.ClientConnInterface.NewStream(launch.Lasting(ctx), desc, method, opts...)
}

// closeOperations ends all links.
func (h *Host) closeOperations() {
	h.mu.Lock()
	all := make([]*Operations, 0, len(h.operations))
	for o := range h.operations {
		all = append(all, o)
	}
	h.mu.Unlock()
	for _, o := range all {
		o.Close()
	}
}

// tellPause tells running operations that a service asked one of a
// connection's users to wait.
func (h *Host) tellPause() {
	h.mu.Lock()
	all := make([]*Operations, 0, len(h.operations))
	for o := range h.operations {
		all = append(all, o)
	}
	h.mu.Unlock()
	for _, o := range all {
		o.mu.Lock()
		for _, l := range o.links {
			l.Nudge()
		}
		o.mu.Unlock()
	}
}
