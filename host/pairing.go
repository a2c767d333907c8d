package host

import (
	"context"
	"slices"
	"strings"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
)

// Pairing tells whether operations work on a connection.
type Pairing struct {
	// Problem keeps all of them from running: another connector, or another
	// version of the contract. Nil for none.
	Problem *connector.Diagnostic `json:"problem,omitempty"`
	// Granted are the scopes that the connection's grant covers, as far as the
	// service tells.
	Granted connector.Scopes `json:"granted"`
	// Operations are all operations, in their order.
	Operations []PairedOperation `json:"operations"`
}

// PairedOperation tells whether one operation could run.
type PairedOperation struct {
	ID     string           `json:"id"`
	Title  string           `json:"title"`
	Effect connector.Effect `json:"effect"`
	// Runs: nothing is known that keeps it from running.
	Runs bool `json:"runs"`
	// Missing are the scopes that it needs and the grant doesn't cover.
	Missing []string `json:"missing,omitempty"`
	// Narrowed: it gets access with fewer rights than the connection's.
	Narrowed bool `json:"narrowed,omitempty"`
	// Diagnostic says why it alone doesn't run, or, of severity warning, what
	// can't be known.
	Diagnostic *connector.Diagnostic `json:"diagnostic,omitempty"`
}

// Err returns the first problem that keeps an operation from running, or nil.
func (p *Pairing) Err() error {
	if p.Problem != nil {
		return p.Problem
	}
	for _, o := range p.Operations {
		if !o.Runs {
			return o.Diagnostic
		}
	}
	return nil
}

// Pair tells which operations could run on the connection, and what the others
// lack. It needs access, to know what was granted, and may renew it.
func (c *Connection) Pair(ctx context.Context, o *Operations) (Pairing, error) {
	return c.pair(ctx, &o.description)
}

func (c *Connection) pair(ctx context.Context, set *connector.OperationSet) (Pairing, error) {
	conn, err := c.Connector()
	if err != nil {
		return Pairing{}, err
	}
	p := Pairing{Problem: mismatch(set, &conn.description)}
	if p.Problem == nil {
		access, err := c.Access(ctx, connector.AccessRequest{})
		if err != nil {
			return Pairing{}, err
		}
		p.Granted = access.Scopes
	}
	narrows := conn.description.Has(connector.CapabilityNarrow)
	for i := range set.Operations {
		one := paired(&set.Operations[i], p.Problem, p.Granted, narrows)
		if p.Problem != nil {
			one.Diagnostic = nil // told once for all
		}
		p.Operations = append(p.Operations, one)
	}
	return p, nil
}

// mismatch says why the operations can't work on any connection of this
// connector, or returns nil.
func mismatch(set *connector.OperationSet, d *connector.Description) *connector.Diagnostic {
	switch {
	case set.Connector != d.ID:
		return connector.Errorf(connector.PairingWrong, connector.OriginHost,
			"The operations %s work on connections of %q, and this is one of %q.", set.ID, set.Connector, d.ID).
			Suggest("Use a connection of %q, or the operations that belong to %q.", set.Connector, d.ID)
	case handshake.Version < set.ContractMin || handshake.Version > set.ContractMax:
		return connector.Errorf(connector.PairingWrong, connector.OriginHost,
			"The operations %s work with version %d to %d of the connector contract, and this connection has version %d.",
			set.ID, set.ContractMin, set.ContractMax, handshake.Version).
			Suggest("Update the one that is older.")
	}
	return nil
}

// paired tells whether an operation could run.
func paired(o *connector.Operation, problem *connector.Diagnostic, granted connector.Scopes, narrows bool) PairedOperation {
	p := PairedOperation{
		ID: o.ID, Title: o.Title, Effect: o.Effect, Runs: problem == nil, Diagnostic: problem,
		Narrowed: narrows && isNarrowed(o),
	}
	switch {
	case problem != nil || len(o.Scopes) == 0:
	case !granted.Known:
		p.Diagnostic = connector.Errorf(connector.ScopesUnknown, connector.OriginService,
			"The service doesn't tell which scopes it granted, so it is unknown whether %q may run.", o.Title).
			WithDetail("it needs %s", strings.Join(o.Scopes, ", "))
		p.Diagnostic.Severity = connector.SeverityWarning
	default:
		for _, scope := range o.Scopes {
			if !slices.Contains(granted.Values, scope) {
				p.Missing = append(p.Missing, scope)
			}
		}
		if len(p.Missing) > 0 {
			p.Runs = false
			p.Diagnostic = connector.Errorf(connector.ScopeMissing, connector.OriginService,
				"%q needs scopes that weren't granted: %s.", o.Title, strings.Join(p.Missing, ", ")).
				With(connector.AskAdministrator).
				Suggest("Allow the application these scopes at the service, and sign in again.")
		}
	}
	return p
}

// isNarrowed reports whether an operation declares what its access is narrowed
// to.
func isNarrowed(o *connector.Operation) bool { return len(o.NarrowedTo()) > 0 || o.Resource != "" }
