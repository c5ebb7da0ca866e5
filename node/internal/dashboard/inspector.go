package dashboard

import (
	"context"
	"encoding/json"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/node/internal/lineage"
)

// Inspector shows single aggregates, and sends commands where that is allowed. What is the
// application's own ([actor.Internal]) does not exist for it, unless the node exposes it. Its
// methods are safe for concurrent use, and return when ctx ends at the latest.
type Inspector interface {
	// ShownKinds returns the kinds whose aggregates are shown, sorted.
	ShownKinds() []ShownKind
	// ListAggregates returns ids of a kind that begin with a prefix and come after one, sorted
	// by their bytes; at most limit.
	ListAggregates(ctx context.Context, kind actor.Kind, prefix, after string, limit int) ([]string, error)
	// LastVersion returns the version of the last event of an aggregate; 0: there is none.
	LastVersion(ctx context.Context, of actor.Address) (actor.Version, error)
	// Aggregate returns an aggregate as it is. Parts that cannot be read say why.
	Aggregate(ctx context.Context, of actor.Address) Aggregate
	// History returns the commands whose last events are above one version, up to another.
	History(ctx context.Context, of actor.Address, after, upTo actor.Version) ([]lineage.Command, error)
	// States returns the states at two versions, each with the version that callers were told
	// then; 0: the aggregate did not exist. Errors are those of [gateway.History].
	States(ctx context.Context, of actor.Address, from, v actor.Version) (was, is gateway.PastState, err error)
	// Lineage finds causes and effects of commands.
	Lineage() *lineage.Reader
	// Follow reads events as they come, beginning some before the present, until ctx ends or
	// stop is called, which waits for it. It keeps the newest of those that match.
	Follow(ctx context.Context, f TailFilter, newest int) (t Tail, stop func())
	// Description returns the OpenAPI document that has the commands which can be sent.
	Description() []byte
	// MaySend reports whether the node lets operators send commands.
	MaySend() bool
	// Send sends a command as an operator, log included.
	Send(ctx context.Context, by Operator, c SentCommand) SentResult
}

// ShownKind is a kind of aggregates.
type ShownKind struct {
	Kind actor.Kind
	Saga bool
}

// Aggregate is an aggregate as it is.
type Aggregate struct {
	Address   actor.Address
	Last      actor.Version // of the last event; 0: it has no history
	Told      actor.Version // that callers are told
	Exists    bool          // it has events of its own
	Partition int
	Saga      bool
	Ended     bool
	Overdue   bool
	StateErr  string // why neither Told nor the rest of the state is known

	Snapshot    actor.Version // of the newest one that this build can read; 0: none
	SnapshotAt  time.Time     // of the last commit in it
	SnapshotErr string

	Timers     []Timer
	Effects    []PendingEffect
	EffectsErr string
	Parked     []ParkedItem
	ParkedMore bool
	ParkedErr  string
}

// Timer is a command that an aggregate has set for a time.
type Timer struct {
	Name, Command string
	ID            actor.CommandID
	At            time.Time
}

// TailFilter selects events. Empty fields select all.
type TailFilter struct {
	Kind  actor.Kind
	ID    string // what the aggregate's id begins with
	Event string // part of the event's name
	User  string // the principal of its command
}

// Tail is a reader of the event stream.
type Tail interface {
	// Newest returns the newest events that match, the newest first, how many matched since the
	// tail began, and why it cannot go on; empty: it does.
	Newest() (events []actor.EventRecord, matched uint64, fault string)
}

// SentCommand is a command that an operator sends.
type SentCommand struct {
	To   actor.Address
	Name string
	Key  string // the id of the command: sent twice, it takes effect once
	Body []byte // JSON
}

// SentResult is what became of it.
type SentResult struct {
	OK       bool
	Status   int // of the HTTP API
	Replayed bool
	Version  actor.Version
	Reply    json.RawMessage
	Code     string // why it was refused
	Detail   string
	Details  json.RawMessage
	Incident string // names a line of the log
}
