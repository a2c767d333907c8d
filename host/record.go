package host

import (
	"context"

	"github.com/boxconnection/connector/host/audit"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// casAttempts bounds how often a change of a record is tried again because
// somebody else changed the record meanwhile.
const casAttempts = 8

// record keeps an event with the outcome that err stands for.
func (h *Host) record(ctx context.Context, e audit.Event, err error) error {
	e.Outcome = audit.OutcomeOK
	if d := connector.Diagnose(err, connector.OriginHost); d != nil {
		e.Outcome, e.Origin = string(d.Code), d.Origin
	}
	if e.Actor == "" {
		e.Actor = "host:" + h.holder
	}
	now, nerr := h.store.Now(ctx)
	if nerr == nil {
		e.Time = now.UTC()
	}
	if aerr := h.sink.Record(context.WithoutCancel(ctx), e); aerr != nil {
		h.log.ErrorContext(ctx, "the audit event can't be kept", "action", e.Action, "connection", e.Connection, "error", aerr)
		return aerr
	}
	return nil
}

// update changes a record by compare-and-swap, and tries again with the newer
// record if somebody else was faster.
func (h *Host) update(ctx context.Context, key store.Key, change func(*store.Record) error) (*store.Record, error) {
	for attempt := 1; ; attempt++ {
		r, err := h.store.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		if err := change(r); err != nil {
			return nil, err
		}
		err = h.store.Update(ctx, r)
		if err == nil {
			return r, nil
		}
		if !is(err, connector.ConnectionChanged) || attempt == casAttempts {
			return nil, err
		}
	}
}

func notFound(what string) *connector.Diagnostic {
	return connector.Errorf(connector.ConnectionNotFound, connector.OriginHost, "There is no connection %s.", what).
		Suggest("List the connections to see what there is.")
}
