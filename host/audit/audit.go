// Package audit says what a host tells about its doings: who did what to
// which connection, and how it ended. An event never holds a value of a
// setting, a token or a credential.
package audit

import (
	"context"
	"time"

	"github.com/boxconnection/connector/proto/connector"
)

// Action names what was done.
type Action string

// The actions.
const (
	ActionLoad        Action = "plugin.load"
	ActionDraft       Action = "connection.draft"
	ActionSave        Action = "connection.save"
	ActionDelete      Action = "connection.delete"
	ActionTest        Action = "connection.test"
	ActionBeginSignIn Action = "sign_in.begin"
	ActionSignIn      Action = "sign_in.complete"
	ActionSwitch      Action = "sign_in.switch_account"
	ActionSignOut     Action = "sign_out"
	ActionRenew       Action = "credential.renew"
	ActionRevoke      Action = "credential.revoke"
	ActionHandOut     Action = "access.hand_out"
	ActionRun         Action = "operation.run"
	ActionAdopt       Action = "store.adopt"
	ActionExport      Action = "connection.export"
	ActionImport      Action = "connection.import"
	ActionPrune       Action = "sealing_key.remove"
)

// Event is one thing that was done or tried.
type Event struct {
	Time time.Time `json:"time"`
	// Actor is who did it: a person or a program of the engine's.
	Actor string `json:"actor"`
	Owner string `json:"owner"`
	// Connection is the ID, Name what people call it.
	Connection  string `json:"connection,omitempty"`
	Name        string `json:"name,omitempty"`
	Environment string `json:"environment,omitempty"`
	Action      Action `json:"action"`
	// Outcome is "ok", or the code of the diagnostic that ended it.
	Outcome string `json:"outcome"`
	// Origin is the diagnostic's.
	Origin connector.Origin `json:"origin,omitempty"`
	// Generation is the credential's after the action.
	Generation uint64 `json:"generation,omitempty"`
	// Subject tells more: a connector's ID and digest, an account's ID.
	Subject string `json:"subject,omitempty"`
}

// OutcomeOK is the outcome of what went well.
const OutcomeOK = "ok"

// Sink keeps events. Record returns when the event is kept; it is safe for
// concurrent use and must not block for longer than its context. An error
// reaches whoever acted, as connector.AuditUnwritable.
type Sink interface {
	Record(ctx context.Context, e Event) error
}
