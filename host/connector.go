package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"google.golang.org/grpc"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// loadTimeout bounds one call of the engine's loader: a binary is copied,
// started and asked for its description.
const loadTimeout = time.Minute

// Plugin is a connector's process, as package launch runs it or an engine's
// own launcher does. Calls on it start the process if it isn't running.
type Plugin interface {
	grpc.ClientConnInterface
	// Name is what the plugin is called in messages.
	Name() string
	// Digest is the digest of the binary, for the audit.
	Digest() launch.Digest
}

// Connector is a connector binary that the host has loaded and whose
// description keeps the contract.
type Connector struct {
	plugin      Plugin
	calls       calls
	description connector.Description
	descriptor  *descriptor.Descriptor
}

// Load makes a connector of a plugin: it asks for its description and checks
// it. A connector of the same ID that was
// loaded before is replaced for calls that begin from now on; this is how a
// connector is upgraded under live connections.
func (h *Host) Load(ctx context.Context, p Plugin) (*Connector, error) {
	c := &Connector{plugin: p, calls: newCalls(p)}
	err := c.check(ctx)
	aerr := h.record(ctx, audit.Event{Action: audit.ActionLoad, Subject: c.description.ID + " " + p.Digest().String()}, err)
	if err = cmp.Or(err, aerr); err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.connectors[c.description.ID] = c
	h.mu.Unlock()
	return c, nil
}

// Describe asks a plugin what it is, without checking its form or keeping it.
func Describe(ctx context.Context, p Plugin) (connector.Description, error) {
	return newCalls(p).describe(ctx)
}

func (c *Connector) check(ctx context.Context) error {
	var err error
	if c.description, err = c.calls.describe(ctx); err != nil {
		return err
	}
	c.descriptor, err = descriptor.Parse(c.description.Schema, c.description.Layout)
	return err
}

// Description is what the connector says of itself.
func (c *Connector) Description() connector.Description { return c.description }

// Descriptor is its form.
func (c *Connector) Descriptor() *descriptor.Descriptor { return c.descriptor }

// Validate returns all that is wrong with settings, in the order of the
// form's fields: by the descriptor first, and if that is content by the
// connector. Values of secrets are never in it.
func (c *Connector) Validate(ctx context.Context, settings []byte) (connector.Diagnostics, error) {
	_, warnings, err := c.normalise(ctx, settings)
	if invalid, ok := errors.AsType[*InvalidSettings](err); ok {
		return invalid.Problems, nil
	}
	return warnings, err
}

// normalise returns settings ready to be stored, and what a person should know
// of them. Settings that break a rule are an *InvalidSettings error.
func (c *Connector) normalise(ctx context.Context, settings []byte) ([]byte, connector.Diagnostics, error) {
	s, err := descriptor.Decode(settings)
	if err != nil {
		return nil, nil, err
	}
	s = c.descriptor.Normalize(s)
	if err := invalid(c.descriptor.Validate(s)); err != nil {
		return nil, nil, err
	}
	normal, err := json.Marshal(s)
	if err != nil {
		return nil, nil, err
	}
	found, err := c.calls.validate(ctx, normal)
	if err == nil {
		err = invalid(found)
	}
	return normal, found, err
}

// connectorOf returns the connector of a record, and has the engine load it if
// it isn't loaded: once, however many ask at the same time.
func (h *Host) connectorOf(ctx context.Context, r *store.Record) (*Connector, error) {
	c, err := h.connector(r.Connector)
	if err == nil || h.loader == nil {
		return c, err
	}
	loaded := h.loading.DoChan(r.Connector+"\x00"+r.Plugin, func() (any, error) {
		if c, err := h.connector(r.Connector); err == nil {
			return c, nil // loaded a moment ago
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		return h.loader(ctx, infoOf(r))
	})
	select {
	case l := <-loaded:
		if l.Err != nil {
			return nil, l.Err
		}
		return l.Val.(*Connector), nil
	case <-ctx.Done():
		return nil, gaveUp(ctx)
	}
}

// connector returns a loaded connector.
func (h *Host) connector(id string) (*Connector, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c, ok := h.connectors[id]; ok {
		return c, nil
	}
	return nil, connector.Errorf(connector.UsageWrong, connector.OriginHost, "The connector %q isn't loaded.", id).
		Suggest("Load its binary before using its connections.")
}
