package host

import (
	"context"
	"encoding/json"

	"github.com/boxconnection/connector/descriptor"
	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/proto/connector"
)

// Connector is a connector binary that the host has loaded and whose
// description keeps the contract.
type Connector struct {
	host        *Host
	plugin      *launch.Plugin
	calls       calls
	description connector.Description
	descriptor  *descriptor.Descriptor
}

// Load makes a connector of a plugin that package launch has loaded: it asks
// for its description and checks it. A connector of the same ID that was
// loaded before is replaced for calls that begin from now on; this is how a
// connector is upgraded under live connections.
func (h *Host) Load(ctx context.Context, p *launch.Plugin) (*Connector, error) {
	c := &Connector{host: h, plugin: p, calls: newCalls(p)}
	err := c.check(ctx)
	h.record(ctx, audit.Event{Action: audit.ActionLoad, Subject: c.description.ID + " " + p.Digest().String()}, err)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.connectors[c.description.ID] = c
	h.mu.Unlock()
	return c, nil
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
	_, problems, err := c.normalise(ctx, settings)
	return problems, err
}

// normalise returns settings ready to be stored, or what is wrong with them.
func (c *Connector) normalise(ctx context.Context, settings []byte) ([]byte, connector.Diagnostics, error) {
	s, err := descriptor.Decode(settings)
	if err != nil {
		return nil, nil, err
	}
	s = c.descriptor.Normalize(s)
	if problems := c.descriptor.Validate(s); problems.Err() != nil {
		return nil, problems, nil
	}
	normal, err := json.Marshal(s)
	if err != nil {
		return nil, nil, err
	}
	problems, err := c.calls.validate(ctx, normal)
	return normal, problems, err
}

// connector returns the loaded connector of a record.
func (h *Host) connector(id string) (*Connector, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c, ok := h.connectors[id]; ok {
		return c, nil
	}
	return nil, connector.Errorf(connector.UsageWrong, connector.OriginHost, "The connector %q isn't loaded.", id).
		Suggest("Load its binary before using its connections.")
}
