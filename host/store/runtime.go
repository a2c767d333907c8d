package store

import (
	"context"
	"time"

	"github.com/boxconnection/connector/proto/connector"
)

// MissedBeats is how many heartbeats in a row a node may miss before it counts
// as dead.
const MissedBeats = 3

// RuntimeKind says what a runtime is.
type RuntimeKind string

// The kinds of runtimes.
const (
	RuntimeLocal   RuntimeKind = "local"   // one machine, perhaps behind a firewall
	RuntimeCluster RuntimeKind = "cluster" // nodes that share the work of one runtime
	RuntimeCloud   RuntimeKind = "cloud"   // run by whoever offers the engine
)

// Node is a process that works for a runtime.
type Node struct {
	// Owner and Runtime name the runtime. A runtime works for its owner only.
	Owner   string
	Runtime string
	// ID is the process's own, new with each start.
	ID   string
	Kind RuntimeKind
	// Every is the time between two heartbeats.
	Every time.Duration
}

// Runtime is what is known of a runtime. It is alive as long as one of its
// nodes is.
type Runtime struct {
	Owner string
	Name  string
	// Kind is that of the node heard of last.
	Kind RuntimeKind
	// Nodes counts the nodes that are alive.
	Nodes int
	// Since is when the first of its nodes on record began, BeatAt when one of
	// them was heard of last.
	Since  time.Time
	BeatAt time.Time
	// Stopped says that the node heard of last ended in good order.
	Stopped bool
}

// RunState is where a run of a test is.
type RunState string

// The states of a run.
const (
	RunWaiting RunState = "waiting" // nobody has taken it yet
	RunRunning RunState = "running" // a node works on it
	RunEnded   RunState = "ended"   // over; it stays to be read until it expires
)

// Run is a connection test on a runtime: who asked for it, and what came of it
// so far. It holds no settings and no secret.
type Run struct {
	ID string
	// Key is the connection or draft to test. Its owner owns the run.
	Key     Key
	Runtime string
	// Actor is who asked, for the audit.
	Actor          string
	RequiredScopes []string

	State RunState
	// Node is the ID of the node that took it.
	Node string
	// Checks are those that ended, in their order.
	Checks []connector.Check
	// Failure says why the test ended before all of its checks did; nil if it
	// didn't.
	Failure *connector.Diagnostic
	// Alive says, of a run that hasn't ended, that somebody who is alive works
	// on it or is there to take it.
	Alive     bool
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Runtimes is what a store offers beside [Store] if tests of its connections
// can be run by processes elsewhere. The store tells who is alive, by its own
// clock: a node is dead once it missed [MissedBeats] heartbeats, and at once
// when it left.
//
// The rules of [Store] hold for it: concurrency, deadlines, and the codes of its
// errors, with RuntimeNotFound beside them.
type Runtimes interface {
	// Beat is a node's heartbeat. The first one puts it on record, and takes
	// nodes of its runtime off the record that are dead.
	Beat(ctx context.Context, n Node) error

	// Leave ends a node in good order. One that isn't on record is no error.
	Leave(ctx context.Context, n Node) error

	// Runtimes returns an owner's runtimes, ordered by name.
	Runtimes(ctx context.Context, owner string) ([]Runtime, error)

	// RemoveRuntime takes a runtime off the record, or fails with
	// RuntimeNotFound. A node that is alive is back with its next heartbeat.
	RemoveRuntime(ctx context.Context, owner, name string) error

	// CreateRun keeps a run for so long. It sets State, CreatedAt and ExpiresAt.
	CreateRun(ctx context.Context, r *Run, life time.Duration) error

	// Run returns a run without its first checks, as many as skip says, or
	// ConnectionNotFound if there is none or it expired.
	Run(ctx context.Context, id string, skip int) (*Run, error)

	// TakeRun makes a waiting run the node's: of several who try one succeeds,
	// the others get ConnectionChanged. So does a node of another owner or
	// runtime.
	TakeRun(ctx context.Context, id string, n Node) error

	// AddCheck keeps the check that follows the first n ones of a run. It fails
	// with ConnectionChanged if the run isn't the node's, or has ended. It may
	// be repeated.
	AddCheck(ctx context.Context, id string, node Node, n int, c connector.Check) error

	// EndRun ends a run. The first end counts; a later one, or one of a run that
	// isn't there, is no error.
	EndRun(ctx context.Context, id string, failure *connector.Diagnostic) error
}
