// Package store says what a host needs of the place that keeps its
// connections. The values that matter are sealed before they get here: a
// store sees ciphertext, the fields it must find things by, and the lease.
//
// A store keeps three promises that a connection's life hangs on: a write
// that returned nil is durable; a write is whole or absent, whatever kills
// the process; and every change is a compare-and-swap, so that nobody
// overwrites what they haven't read.
package store

import (
	"context"
	"time"

	"github.com/boxconnection/connector/proto/connector"
)

// Key names a credential. Every part is non-empty.
type Key struct {
	// Owner is the engine's account.
	Owner string `json:"owner"`
	// Connection is the connection's ID: random, and never used again.
	Connection string `json:"connection"`
	// Environment tells test from production; "default" where there is one.
	Environment string `json:"environment"`
}

// Field names a sealed value of a record.
type Field string

// The sealed fields.
const (
	FieldSettings   Field = "settings"   // the settings, as JSON
	FieldNetwork    Field = "network"    // how to reach the service
	FieldCredential Field = "credential" // the current credential
	FieldPrevious   Field = "previous"   // the one before, until the current one was used
	FieldCandidate  Field = "candidate"  // a sign-in that isn't promoted yet
	FieldRevocation Field = "revocation" // what a tombstone still has to revoke
	FieldOverrides  Field = "overrides"  // how an environment differs from its base
)

// State is where a record is in its life.
type State string

// The states.
const (
	StateDraft     State = "draft"     // not saved yet; not found any more from ExpiresAt on
	StateSaved     State = "saved"     // a connection
	StateTombstone State = "tombstone" // deleted; its ID stays taken
)

// Record is what a store keeps under a key.
type Record struct {
	Key Key `json:"key"`
	// Revision grows by one with every change of the record. The store sets it.
	Revision uint64 `json:"revision"`
	// Generation grows by one with every new credential, with a deletion, and
	// with nothing else.
	Generation uint64 `json:"generation"`
	State      State  `json:"state"`
	// Name is unique among an owner's saved connections of one environment.
	// Drafts and tombstones don't hold a name.
	Name string `json:"name,omitempty"`
	// Base is the connection that a draft edits; empty for a new one.
	Base string `json:"base,omitempty"`
	// Connector is the connector's ID, and CredentialFormat the format of the
	// current credential, zero for none.
	Connector string `json:"connector"`
	// Plugin is the name or path by which the engine loads the connector.
	Plugin           string `json:"plugin,omitempty"`
	CredentialFormat uint32 `json:"credential_format,omitempty"`
	// SettingsRevision grows by one with every change of settings or network.
	// OpenedWith is the one that the current credential was got with.
	SettingsRevision uint64 `json:"settings_revision"`
	OpenedWith       uint64 `json:"opened_with,omitempty"`
	// Account is whom the connection is pinned to; nil before the first
	// sign-in.
	Account *connector.Account `json:"account,omitempty"`
	// Verdict is set while the credential is known to be dead.
	Verdict *Verdict `json:"verdict,omitempty"`
	// Sealed holds ciphertext by field. Deleting a field drops it. A record that
	// comes from a store has a map here, be it empty.
	Sealed map[Field][]byte `json:"sealed,omitempty"`

	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	// ExpiresAt is the end of a draft.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// SignedInAt, RenewedAt and TestedAt are for people.
	SignedInAt time.Time `json:"signed_in_at,omitzero"`
	RenewedAt  time.Time `json:"renewed_at,omitzero"`
	TestedAt   time.Time `json:"tested_at,omitzero"`
	TestPassed bool      `json:"test_passed,omitempty"`
	// AccessExpiresAt and LapsesAt come from the credential. DueAt is when
	// keep-alive or the outbox should look at the record; zero means never.
	AccessExpiresAt time.Time `json:"access_expires_at,omitzero"`
	LapsesAt        time.Time `json:"lapses_at,omitzero"`
	DueAt           time.Time `json:"due_at,omitzero"`

	// HeldUntil is the number of adoptions from which on the record's grant is
	// this store's to renew and revoke; zero for always. An import sets it to
	// the next one.
	HeldUntil uint64 `json:"held_until,omitempty"`
	// Unrevoked says why grants that the record had were left at the service:
	// they were dropped while they weren't this store's to revoke.
	Unrevoked *connector.Diagnostic `json:"unrevoked,omitempty"`

	// Lease is who may spend the credential now, or nil. Only Acquire, Commit
	// and Release change it; Create and Update ignore it.
	Lease *Lease `json:"lease,omitempty"`
	// Interrupted is the last lease that ended with neither Commit nor Release:
	// its holder died or froze. Acquire sets it when it takes such a lease
	// over, and a Commit may, for a holder that doesn't know what came of its
	// intent. A Commit that changes the generation clears it.
	Interrupted *Lease `json:"interrupted,omitempty"`
}

// Verdict is the finding that a credential is dead. It holds for one
// generation and one settings revision only.
type Verdict struct {
	Generation       uint64                `json:"generation"`
	SettingsRevision uint64                `json:"settings_revision"`
	At               time.Time             `json:"at"`
	Diagnostic       *connector.Diagnostic `json:"diagnostic"`
}

// Lease is the right to spend a record's credential. At most one holder has
// it; it ends at Until, or with its holder where the store can tell.
type Lease struct {
	// ID is new with every Acquire, unless it was chosen by the caller.
	ID string `json:"id"`
	// Holder says who it is, for people: node and process.
	Holder string `json:"holder"`
	// Intent says what the holder is about to do ("renew", "sign-in",
	// "revoke"). It is durable before Acquire returns.
	Intent string `json:"intent"`
	// Generation is the record's when the lease began.
	Generation uint64    `json:"generation"`
	Since      time.Time `json:"since"`
	Until      time.Time `json:"until"`
}

// Query selects records. Empty fields select all.
type Query struct {
	Owner       string
	Connection  string
	Environment string
	Name        string
	State       State
	Base        string
}

// Listed is a record of a list, or the reason why it couldn't be read. One bad
// record never hides the others.
type Listed struct {
	Record *Record
	// Key is known even where the record is not, as far as the store can tell.
	Key Key
	Err *connector.Diagnostic
}

// Flow is a sign-in that waits for its callback.
type Flow struct {
	// ID is the hash of the state; nobody can compute the state from it.
	ID        string    `json:"id"`
	Key       Key       `json:"key"`
	ExpiresAt time.Time `json:"expires_at"`
	// Binding is the hash of what the person's browser must show.
	Binding []byte `json:"binding"`
	// Sealed is the pending blob and what belongs to it.
	Sealed []byte `json:"sealed"`
}

// Store keeps records. Implementations are safe for concurrent use by any
// number of processes, keep every wait within the context's deadline, and
// fail with a *connector.Diagnostic of one of these codes: ConnectionNotFound,
// ConnectionExists, ConnectionChanged (the compare-and-swap lost),
// StoreUnwritable, StoreDamaged, StoreBusy, StoreVersionNewer,
// StoreUnavailable, StoreUnsuitable, or UsageWrong for a call that can't be
// meant, such as a key with a part that is empty or isn't UTF-8. Where the
// context ended, the diagnostic unwraps to its error.
type Store interface {
	// Now is the store's clock. All times in the store are on it.
	Now(ctx context.Context) (time.Time, error)

	// Get returns the record, tombstones included, or ConnectionNotFound.
	Get(ctx context.Context, key Key) (*Record, error)

	// List returns what the query selects, ordered by name, then by key.
	List(ctx context.Context, q Query) ([]Listed, error)

	// Create writes a new record at revision 1. It fails with ConnectionExists
	// if the key was ever used, or the name is taken.
	Create(ctx context.Context, r *Record) error

	// Update writes the record if its stored revision is still r.Revision, and
	// else fails with ConnectionChanged. It works under anybody's lease: a
	// sign-in or a deletion doesn't wait for a renewal, it outdates it by its
	// generation. On success r.Revision and r.UpdatedAt are the new ones.
	Update(ctx context.Context, r *Record) error

	// Delete removes a draft for good. Connections become tombstones by Update
	// instead, since their IDs stay taken; asked to delete one, it fails with
	// UsageWrong.
	Delete(ctx context.Context, key Key, revision uint64) error

	// Acquire takes the lease, unless somebody holds it, and returns the record
	// as it is under the lease. If it is held, held is that lease and the error
	// nil. Success proves that the store is writable.
	Acquire(ctx context.Context, key Key, want LeaseRequest) (r *Record, held *Lease, err error)

	// Commit writes what change makes of the record, if the record's generation
	// is still the lease's, and ends the lease. It does so after the lease ran
	// out, too, and after somebody else acquired one, which stays theirs, as
	// long as nobody has changed the generation. Otherwise it fails with
	// ConnectionChanged and writes nothing. An error of change is returned as
	// it is, with nothing written and the lease kept. After an error of any
	// other code the write may have happened or not: read before use. change
	// must be quick and must not call the store. It may be called again, if
	// somebody changed the record meanwhile but not its generation; what it did
	// to the earlier copy doesn't count.
	Commit(ctx context.Context, key Key, lease *Lease, change func(*Record) error) (*Record, error)

	// Release ends the lease without a change. A lease that is no longer held
	// is no error.
	Release(ctx context.Context, key Key, lease *Lease) error

	// PutFlow keeps a flow until it expires.
	PutFlow(ctx context.Context, f Flow) error

	// PeekFlow returns a flow without ending it, or ConnectionNotFound. The
	// host looks at the browser's binding before it takes the flow.
	PeekFlow(ctx context.Context, id string) (*Flow, error)

	// TakeFlow returns a flow and removes it, in one step: of two callers one
	// gets it, the other ConnectionNotFound.
	TakeFlow(ctx context.Context, id string) (*Flow, error)

	// Flows returns the flows that wait, in no order. One that can't be read is
	// left out: nobody can answer it.
	Flows(ctx context.Context) ([]Flow, error)

	// Due returns at most limit keys whose DueAt has passed, the longest
	// overdue first.
	Due(ctx context.Context, limit int) ([]Key, error)

	// Identity returns where the store belongs and where it is. The first call
	// in a store's life records the place, if the store can be written; of
	// several first ones, one does. A store that holds neither records nor flows
	// has nothing to protect: it belongs wherever it is.
	Identity(ctx context.Context) (Identity, error)

	// Adopt records the actual place, durably, and counts one adoption more. A
	// store in its recorded place can be adopted too.
	Adopt(ctx context.Context) (Identity, error)

	// Close ends the use of the store. It doesn't wait for leases.
	Close() error
}

// LeaseRequest says who wants a lease, for how long and what for.
type LeaseRequest struct {
	// ID becomes the lease's: one of [NewLeaseID], or empty to let the store
	// choose. A caller who doesn't know what came of an Acquire, and so has done
	// nothing under its lease, asks again with the same ID: a lease that it got
	// after all isn't held against it but begins anew.
	ID     string
	Holder string
	Intent string
	For    time.Duration
}
